"""Runs several jobs that wait for the network side by side, and no longer than a person would wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

_Result = TypeVar("_Result")


def at_once(
    jobs: Mapping[str, Callable[[], _Result]], within_s: float, threads: int
) -> dict[str, _Result | Exception]:
    """Run jobs in threads; what is not done in time is left alone.

    Parameters
    ----------
    jobs
        By name.
    within_s
        Seconds for all of them.
    threads
        How many run at a time.

    Returns
    -------
    dict
        By name, in the jobs' order, the result or the exception; `TimeoutError` for what was not done.

    Examples
    --------
    >>> at_once({"a": lambda: 1, "b": lambda: 1 // 0}, 10.0, 2)
    {'a': 1, 'b': ZeroDivisionError('integer division or modulo by zero')}
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, _Result | Exception]] = queue.SimpleQueue()
    for name in jobs:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((name, jobs[name]()))
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the result
                done.put((name, error))

    for _ in range(min(threads, len(jobs))):
        threading.Thread(target=work, name="at once", daemon=True).start()
    results: dict[str, _Result | Exception] = {}
    until = time.monotonic() + within_s
    while len(results) < len(jobs):
        try:
            name, result = done.get(timeout=max(until - time.monotonic(), 0.001))
        except queue.Empty:
            break
        results[name] = result
    late = TimeoutError(f"no answer within {within_s:.0f} s")
    return {name: results.get(name, late) for name in jobs}
