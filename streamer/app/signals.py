"""Signals that stop a service or reload its configuration, as events."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
def reload_signal() -> Iterator[threading.Event]:
    """An event that SIGHUP sets; without it SIGHUP would end the process."""
    requested = threading.Event()
    previous = signal.signal(signal.SIGHUP, lambda _number, _frame: requested.set())
    try:
        yield requested
    finally:
        signal.signal(signal.SIGHUP, previous)
