"""The processor cores that this process may use, and work that two of them share."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

_log = structlog.get_logger()


def cores() -> int:
    """How many cores this process may use; where the system does not say, how many there are.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_two_threads(work: Callable[[], None]) -> None:
    """Do the same work on this thread and on another one, until both are done.

    `work` takes its parts from where both find them. Where no thread can be started, this one does all.

    Examples
    --------
    >>> parts, done = iter(range(5)), []
    >>> on_two_threads(lambda: done.extend(parts))
    >>> sorted(done)
    [0, 1, 2, 3, 4]
    """
    with ThreadPoolExecutor(1, thread_name_prefix="share") as thread:
        try:
            other = thread.submit(work)
        except RuntimeError as error:  # the system lets no thread begin
            _log.warning("one core does the work of two", problem=str(error))
            work()
            return
        work()
        other.result()
