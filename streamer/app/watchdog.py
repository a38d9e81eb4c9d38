"""Watches from another thread that detection goes on; where it does not, tells so and ends the process."""

from __future__ import annotations

import faulthandler
import math
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from streamer.app.held_guard import start_held_guard
from streamer.app.signals import STOP_SIGNALS, ServiceSignals, end_by
from streamer.pipeline.progress import WorkProgress
from streamer.store.work_file import BEATS, STOPPED, LeftWork

log = structlog.get_logger()

LOOK_S = 1.0
_LONGEST_LOOK_S = 2 * LOOK_S
"""A look that comes later than this was kept waiting with the whole process (suspend, SIGSTOP, a frozen
container), so the time before it is no time in which work could have gone on."""

_OUTSIDE_WITHIN_S = 300.0
"""Asking a broker that is away takes some time-outs, one after another, and a disk may stall for a while; a
restart would not help."""

_STOP_WITHIN_S = 20.0
"""Once a stop was asked for, work that does not go on for this long is not waited for."""

_MAIN_THREAD_FIRST_S = 0.3
"""Where the main thread can handle a second signal, it ends the process by it; others can only exit."""

_TELL_WITHIN_S = 30.0
"""How long receivers have to take the alert; the next process goes on telling those that did not."""


class Watchdog:
    """Ends the process by an abort once no work was finished for `stuck_after_s`.

    It goes by its own looks, one a second. Where even it cannot run, since a call does not give Python's lock
    back, `start_held_guard` ends the process after as many looks of its own.

    Parameters
    ----------
    progress
        What is watched.
    signals
        The service's signals: while the main thread is stuck it cannot handle them.
    stuck_after_s
        Seconds without work finished.
    tell
        Called on a thread of its own with what the process is working on; it returns once people were told.
    """

    def __init__(
        self,
        progress: WorkProgress,
        signals: ServiceSignals,
        stuck_after_s: float,
        tell: Callable[[LeftWork], None],
    ) -> None:
        self._progress = progress
        self._signals = signals
        self._stuck_after_s = stuck_after_s
        self._tell = tell
        self._stopping = threading.Event()
        self._stops_asked = 0
        self._looked_at = 0.0
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch meanwhile; the engine works on this thread."""
        self._signals.on_stop = self._progress.file.asked
        start_held_guard(self._progress.file.numbers, math.ceil(self._stuck_after_s / LOOK_S) + 1)
        self._thread.start()
        try:
            with self._progress.working():
                yield
        finally:
            self._stopping.set()
            self._progress.file.numbers[STOPPED] = 1  # nobody counts beats any more

    def _run(self) -> None:
        progress, finished, idle_s = self._progress, -1, 0.0
        self._looked_at = time.monotonic()
        while not self._stopping.is_set():
            passed_s = self._look()
            if progress.finished != finished or not progress.at_work:
                finished, idle_s = progress.finished, 0.0
            else:
                idle_s += passed_s
            progress.idle_s = idle_s
            if idle_s >= self.limit_s:
                self._end(idle_s, finished)

    @property
    def limit_s(self) -> float:
        """After so many seconds without work finished it would end the process, as things are."""
        if self._progress.asks:
            return max(self._stuck_after_s, _OUTSIDE_WITHIN_S)
        stopping = self._signals.stopping.is_set() or self._stops_asked > 0
        return min(self._stuck_after_s, _STOP_WITHIN_S) if stopping else self._stuck_after_s

    def _look(self) -> float:
        """Wait for the next look, and return the time since the last one in which this process could run."""
        readable, _, _ = select.select([self._signals.wakeups], [], [], LOOK_S)
        self._progress.file.numbers[BEATS] += 1
        if readable:
            self._hear()
        now = time.monotonic()
        passed_s, self._looked_at = min(now - self._looked_at, _LONGEST_LOOK_S), now
        return passed_s

    def _hear(self) -> None:
        """Signals that have come; the main thread may not be able to handle them."""
        with suppress(BlockingIOError):
            for number in os.read(self._signals.wakeups, 64):
                if number not in STOP_SIGNALS:
                    continue
                self._stops_asked += 1
                self._progress.file.asked()
                if self._stops_asked > 1:
                    time.sleep(_MAIN_THREAD_FIRST_S)
                    end_by(number)

    def _end(self, idle_s: float, finished: int) -> None:
        """Say that work does not go on, tell people, and abort; do nothing where it has just gone on."""
        progress = self._progress
        if not progress.file.freeze(lambda: progress.finished != finished or not progress.at_work):
            return
        progress.problem = f"stuck: no work was finished for {idle_s:.0f} s"
        is_proof = idle_s >= self._stuck_after_s  # less is only enough not to wait for it when stopping
        if is_proof:
            progress.file.stuck(idle_s)
        left = progress.file.left()
        log.error(
            "detection is stuck, the process ends",
            seconds=round(idle_s),
            detector=left.detector or None,
            records=left.where or None,
            live=left.live,
        )
        for name, stack in _stacks():
            log.error("stack", thread=name, stack=stack)
        if is_proof:
            self._tell_people(left)
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        faulthandler.disable()  # the log has the stacks
        os.abort()

    def _tell_people(self, left: LeftWork) -> None:
        telling = threading.Thread(target=self._tell, args=(left,), name="tell", daemon=True)
        telling.start()
        deadline = time.monotonic() + _TELL_WITHIN_S
        while telling.is_alive() and time.monotonic() < deadline:
            self._look()


def _stacks() -> Iterator[tuple[str, str]]:
    """The stack of each thread, without values of variables: they may be secrets."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for number, frame in sys._current_frames().items():
        yield names.get(number, str(number)), "".join(traceback.format_stack(frame))
