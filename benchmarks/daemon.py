"""`tapewatch run` as a process of its own."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import must
from benchmarks.process import ROOT

SECRET = "whsec_" + base64.b64encode(b"the benchmark's webhook signing secret").decode()
_STOP_S = 40.0


@dataclass(slots=True)
class Daemon:
    """A running daemon.

    Parameters
    ----------
    process
        Its process.
    log
        Where it says what it does.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, happened: Callable[[], bool], what: str, within_s: float) -> None:
        """Wait for something, looking often.

        Raises
        ------
        WrongResultError
            When it does not happen, or the daemon ends.
        """
        give_up = time.monotonic() + within_s
        while not happened():
            must(self.process.poll() is None, f"the daemon ended while waiting for {what}: {self.said()}")
            must(time.monotonic() < give_up, f"{what} did not happen in {within_s:.0f} s: {self.said()}")
            time.sleep(0.002)

    def said(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")[-3_000:]

    def stop(self) -> None:
        """Stop it as an operator would."""
        self.process.terminate()
        must(self.process.wait(_STOP_S) == 0, f"the daemon stopped with an error: {self.said()}")


@contextmanager
def daemon(config: Path, environ: dict[str, str] | None = None) -> Iterator[Daemon]:
    """Start it; killed at the end if it still runs."""
    log = config.with_suffix(".log")
    whole = {**os.environ, "BENCHMARK_SECRET": SECRET, "PYTHONPATH": str(ROOT), **(environ or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "run", "-c", str(config)],
            cwd=ROOT,
            env=whole,
            stdout=out,
            stderr=out,
        )
    try:
        yield Daemon(process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
