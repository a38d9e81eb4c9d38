"""Commands of `tapewatch`, each in a process of its own that is forked from one that has loaded them all.

What a command does, says and returns is that of `python -m streamer`; the seconds that imports take are spent
once. Where it matters that a process begins from nothing, start it with `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FIRST = """
import json, os, select, signal, sys
from streamer.cli import main
from streamer.cli.app import application
import streamer.app.replay, streamer.pipeline.warmup

application([])
answers = os.fdopen(os.dup(1), "w", buffering=1)
for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        break
    ends = os.pidfd_open(child)
    if not select.select([ends], [], [], asked["timeout_s"])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ends)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers)
else:
    sys.exit()
answers.close()
for number, name in enumerate(("in", "out", "err")):
    os.dup2(os.open(os.path.join(asked["room"], name), os.O_RDWR | os.O_CREAT), number)
sys.stdin = open(0, closefd=False)
os.environ.clear()
os.environ.update(asked["environ"])
os.chdir(asked["folder"])
sys.argv = ["tapewatch", *asked["arguments"]]
main()
"""


class _First:
    """The process that all others are forked from."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FIRST],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, **asked: object) -> int:
        """Run a command to its end; returns its exit code, negative where a signal ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


@cache
def _first() -> _First:
    found = _First()
    atexit.register(found.end)
    return found


def tapewatch(
    *arguments: str | Path,
    given: str = "",
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_s: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: what it is given on stdin is no terminal, and its hash seed is 0."""
    command = ["tapewatch", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as room:
        Path(room, "in").write_text(given)
        code = _first().fork(
            arguments=command[1:],
            environ={**os.environ, **(environ or {})},
            folder=str(folder or Path.cwd()),
            room=room,
            timeout_s=timeout_s,
        )
        return subprocess.CompletedProcess(
            command, code, *(Path(room, name).read_text() for name in ("out", "err"))
        )
