"""Workers: processes of their own, which do one thing on one core and say in JSON what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import WORK_CORE, pinned

ROOT = Path(__file__).parents[1]
_LONGEST_S = 300.0


class WorkerError(Exception):
    """A worker that failed; the message is what it said."""


def run_worker(
    *arguments: str | Path | int,
    python: Path | None = None,
    core: int | None = WORK_CORE,
    environ: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run ``benchmarks.workers.NAME`` with arguments to its end; the last line it prints is its result.

    Parameters
    ----------
    arguments
        The worker's name, then what is passed on to it.
    python
        Another environment's Python.
    core
        Where it is kept; None for anywhere.
    environ
        More for its environment.

    Raises
    ------
    WorkerError
        When it fails.
    """
    name, *rest = arguments
    command = [str(python or sys.executable), "-m", f"benchmarks.workers.{name}", *map(str, rest)]
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=whole, timeout=_LONGEST_S, check=False
        )

    if core is None:
        done = run()
    else:
        with pinned(core):
            done = run()
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise WorkerError(f"{name}: exit {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
