"""Commands of `tapewatch`, each in a process of its own that is forked from one that has loaded them all.

What a command does, says and returns is that of `python -m streamer`; the seconds that imports take, and the
kernels of an example, are spent once. Where it matters that a process begins from nothing, start it with
`subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

_FIRST = """
import atexit, json, os, runpy, select, signal, sys, threading
from streamer.cli import main
from streamer.cli.app import application
import streamer.app.daemon, streamer.app.replay
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.warmup import warm_up

def forks():
    "Fork a process for each line, until one of them is this process: then, what was asked of it."
    answers, rest, rooms = os.dup(1), b"", {}
    while True:
        for ready in select.select([0, *rooms], [], [])[0]:
            if ready:
                child, room = rooms.pop(ready)
                os.close(ready)
                with open(os.path.join(room, "new"), "w") as out:
                    out.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
                os.rename(out.name, os.path.join(room, "code"))
                continue
            read = os.read(0, 1 << 20)
            if not read:
                for child, _ in rooms.values():
                    os.kill(child, signal.SIGKILL)
                sys.exit()
            *lines, rest = (rest + read).split(b"\\n")
            for line in lines:
                asked = json.loads(line)
                if (child := os.fork()) == 0:
                    for each in (answers, *rooms):
                        os.close(each)
                    return asked
                rooms[os.pidfd_open(child)] = child, asked["room"]
                os.write(answers, b"%d\\n" % child)

application([])
warm_up(compile_plan(load(sys.argv[1])))
asked = forks()
for number, path in enumerate(asked["files"]):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
os.closerange(3, 64)
sys.stdin = open(0, closefd=False)
os.environ.clear()
os.environ.update(asked["environ"])
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
os.chdir(asked["folder"])
sys.argv = [asked["program"], *asked["arguments"]]
code = 0
try:
    if asked["program"] == "tapewatch":
        main()
    else:
        runpy.run_module(asked["program"], run_name="__main__")
except SystemExit as ended:
    code = ended.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
# what an interpreter does at its end, without taking apart all that was loaded: that takes most of the time
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code or 0)
"""
_KERNELS_OF = Path(__file__).parents[1] / "examples" / "sensitive.yaml"


class _First:
    """The process that all others are forked from."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "0"}
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FIRST, str(_KERNELS_OF)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, **asked: object) -> int:
        """Start a command; returns its process's id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


@cache
def _first() -> _First:
    found = _First()
    atexit.register(found.end)
    return found


class Forked:
    """A command at work, used as a `subprocess.Popen` is; its files are stdin, stdout and stderr.

    Instead of `tapewatch` it may run a module, by its name.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        environ: Mapping[str, str],
        files: Sequence[Path],
        folder: Path,
        program: str = "tapewatch",
    ) -> None:
        self.returncode: int | None = None
        for file in files:
            file.open("ab").close()  # it is there at once, as with a file that one has opened oneself
        self._room = tempfile.TemporaryDirectory()
        self.pid = _first().fork(
            program=program,
            arguments=[str(each) for each in arguments],
            environ={**os.environ, **environ},
            folder=str(folder),
            files=[str(file) for file in files],
            room=self._room.name,
        )
        try:
            self._ends: int | None = os.pidfd_open(self.pid)
        except ProcessLookupError:  # it is gone already
            self._ends = None

    def poll(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it runs."""
        if self.returncode is None and (self._ends is None or select.select([self._ends], [], [], 0)[0]):
            self._ended()
        return self.returncode

    def wait(self, timeout_s: float) -> int:
        if self.returncode is None:
            if self._ends is not None and not select.select([self._ends], [], [], timeout_s)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout_s)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        code = Path(self._room.name, "code")
        deadline = time.monotonic() + 30
        while not code.exists():
            assert time.monotonic() < deadline, "the exit code did not come"
            time.sleep(0.001)
        self.returncode = int(code.read_text())
        if self._ends is not None:
            os.close(self._ends)
        self._room.cleanup()


def tapewatch(
    *arguments: str | Path,
    given: str = "",
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_s: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: what it is given on stdin is no terminal, and its hash seed is 0."""
    with tempfile.TemporaryDirectory() as room:
        files = [Path(room, name) for name in ("in", "out", "err")]
        files[0].write_text(given)
        command = Forked(arguments, environ or {}, files, folder or Path.cwd())
        try:
            code = command.wait(timeout_s)
        except subprocess.TimeoutExpired:
            command.kill()
            code = command.wait(30)
        said = [file.read_text() for file in files[1:]]
    return subprocess.CompletedProcess(["tapewatch", *map(str, arguments)], code, *said)
