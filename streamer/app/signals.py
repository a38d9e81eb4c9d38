"""Signals that stop a service or reload its configuration, as events.

The daemon imports this file before all others, so it must import nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from detectors.interruptions import Interruption
from streamer.app.unblocked_output import write_last


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second SIGINT interrupts at once."""
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends the process at once meanwhile; for commands whose modules still load, with nothing to undo.

    Modules written in C turn what is raised while they load into errors of their own.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, in a script's background
        yield
        return
    signal.signal(signal.SIGINT, _end_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    write_last("interrupted\n")
    os._exit(INTERRUPTED)


class StopRequested(Interruption):
    """A signal asked the service to stop before it was at work."""


class ServiceSignals:
    """The signals of a daemon, from its first moment to its last.

    SIGHUP asks for a reload, whenever it comes. SIGTERM and SIGINT ask for a stop: while modules load they
    end the process at once, then until the service is at work they end whatever is going on, later they set
    `stopping`. The second one ends the process at once.
    Handlers run on the main thread, between two steps of Python code; `wakeups` tells other threads of a
    signal while that thread is kept from running any.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.reload_requested = threading.Event()
        self.on_stop: Callable[[], None] = lambda: None
        """Called first in the handler of each signal that asks for a stop; it must be quick."""
        self.interrupted = False
        """Whether Ctrl-C asked for a stop."""
        self._loading = self._starting = True
        self.wakeups, self._write_end = os.pipe()
        """A file descriptor from which the number of each signal can be read, a byte each."""
        for end in (self.wakeups, self._write_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (signal.SIGHUP, *STOP_SIGNALS):
            signal.signal(number, self._handle)

    @property
    def stopped_at_start(self) -> bool:
        """Whether a stop was asked for before the service was at work: it explains any error since then."""
        return self._starting and self.stopping.is_set()

    def loaded(self) -> None:
        """From now on there is something to put in order at a stop."""
        self._loading = False

    def started(self) -> None:
        """From now on a stop is seen to by whoever looks at `stopping`."""
        self._starting = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload_requested.set()
            return
        self.on_stop()
        if self.stopping.is_set():
            end_by(number)
        self.interrupted = number == signal.SIGINT
        self.stopping.set()
        if self._loading:  # modules written in C turn what is raised while they load into errors of their own
            write_last(f"{STOPPED_AT_START}\n")
            os._exit(INTERRUPTED if self.interrupted else 0)
        if self._starting:
            raise KeyboardInterrupt if self.interrupted else StopRequested


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

STOPPED_AT_START = "stopped before it was at work"

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended."""


def end_by(number: int) -> NoReturn:
    """End this process at once by a signal, as if it had no handler."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(_KILLED_BY + number)  # where a handler cannot be removed, or the first process of a container


_KILLED_BY = 128  # the exit code of shells for a process that was killed by a signal
