"""Compiling what is not kept yet: seen by a person, and in as many processes as there are cores.

Each process compiles one part of a plan into the folder of kept kernels, from which this one loads it. A
process that fails is no fault: what it leaves is compiled here.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from numba.core import event

from detectors.interruptions import Interruption
from detectors.kernels import kernel_folder
from streamer.pipeline.cores import cores

_COMPILE = "numba:compile"
_LOOK_S = 0.2


class NotCompiledError(Interruption):
    """A kernel is not kept."""


class CompileView(Protocol):
    """Shows a person that kernels are being compiled; told of nothing where all are kept."""

    def begin(self, processes: int) -> None:
        """The first kernel is about to be compiled."""

    def compiled(self, count: int) -> None:
        """So many kernels were compiled since the last call."""

    def end(self, seconds: float, ready: bool) -> None:
        """All are ready, or it was given up."""


class Unseen:
    """Shows nothing."""

    def begin(self, processes: int) -> None:
        """See `CompileView.begin`."""

    def compiled(self, count: int) -> None:
        """See `CompileView.compiled`."""

    def end(self, seconds: float, ready: bool) -> None:
        """See `CompileView.end`."""


UNSEEN = Unseen()
"""Shows nothing."""


class _Compilations(event.Listener):  # type: ignore[misc]
    """Calls back before and after each kernel that this thread compiles."""

    def __init__(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._thread, self._before, self._after = threading.get_ident(), before, after

    def on_start(self, event: Any) -> None:
        if threading.get_ident() == self._thread:
            self._before()

    def on_end(self, event: Any) -> None:
        if threading.get_ident() == self._thread:
            self._after()


@contextmanager
def watching(before: Callable[[], None], after: Callable[[], None]) -> Iterator[None]:
    """Call `before` and `after` each kernel that this thread compiles meanwhile."""
    with event.install_listener(_COMPILE, _Compilations(before, after)):
        yield


def only_load(work: Callable[[], object]) -> bool:
    """Do what calls kernels, up to the first that is not kept; returns whether all were."""

    def refuse() -> None:
        raise NotCompiledError

    try:
        with watching(refuse, lambda: None):
            work()
    except NotCompiledError:
        return False
    return True


class Shown:
    """A view that is told of one beginning and of one end, and of neither where nothing is compiled."""

    def __init__(self, view: CompileView) -> None:
        self._view = view
        self._began: float | None = None

    def begin(self, processes: int = 1) -> None:
        """A kernel is about to be compiled."""
        if self._began is None:
            self._began = time.monotonic()
            self._view.begin(processes)

    def compiled(self, count: int = 1) -> None:
        """So many kernels more were compiled."""
        self._view.compiled(count)

    def close(self, ready: bool) -> None:
        """Nothing more is compiled, since all is `ready` or it was given up."""
        if self._began is not None:
            self._view.end(time.monotonic() - self._began, ready)


@contextmanager
def shown(view: CompileView, stopped: Callable[[], bool] = lambda: False) -> Iterator[Shown]:
    """Show what this thread compiles meanwhile; all is ready at the end, unless it was `stopped`."""
    progress, ready = Shown(view), False
    try:
        with watching(progress.begin, progress.compiled):
            yield progress
        ready = not stopped()
    finally:
        progress.close(ready)


def processes_for(parts: Sequence[str]) -> int:
    """How many processes are worth starting: none where there is one core, or no place to share kernels."""
    available = cores()
    return min(available, len(parts)) if available > 1 and kernels_are_kept() else 0


def kernels_are_kept() -> bool:
    """Whether compiled kernels can be kept for later starts; see `detectors.kernels.kernel_folder`."""
    folder = kernel_folder()
    if folder is None:
        return False
    with suppress(OSError):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)


def compile_elsewhere(
    document: str, parts: Sequence[str], stopped: Callable[[], bool], compiled: Callable[[int], None]
) -> None:
    """Compile parts of a plan, each in a process of its own; they end with this one, however it ends.

    Parameters
    ----------
    document
        The plan; see `Plan.document`.
    parts
        Names in `streamer.pipeline.warmup.PARTS`, the largest first.
    stopped
        Whether to give up.
    compiled
        Told how many kernels were compiled since its last call.
    """
    waiting, running = list(parts), dict[int, subprocess.Popen[bytes]]()
    at_once = processes_for(parts)
    with selectors.DefaultSelector() as outputs:
        try:
            while (waiting or running) and not stopped():
                while waiting and len(running) < at_once:
                    process = _started(document, waiting.pop(0))
                    running[outputs.register(process.stdout, selectors.EVENT_READ).fd] = process  # type: ignore[arg-type]
                for ready, _ in outputs.select(_LOOK_S):
                    if progress := os.read(ready.fd, 4096):
                        compiled(len(progress))
                    else:
                        outputs.unregister(ready.fileobj)
                        running.pop(ready.fd).communicate()
        except OSError:  # no process can be started, or it has ended at once
            return
        finally:
            for process in running.values():
                process.kill()
                process.communicate()


def _started(document: str, part: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "streamer.pipeline.compile_part"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process to handle
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps({"part": part, "document": document}).encode() + b"\n")
        process.stdin.flush()
    return process
