"""A bounded number of threads that deliver, and how fast they are."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from alerts.receivers.receiver import Delivery

_LAST = 8  # deliveries that tell how fast it goes


class DeliveryPool:
    """Threads that each take a delivery at a time; they begin when they are needed.

    They are daemons: a receiver that does not answer does not keep the process from ending.

    Parameters
    ----------
    name
        Names the threads.
    work
        Delivers one, which waited for a thread for so many seconds; it must not raise.
    done
        Called after each.
    threads
        How many deliver at the same time; what else is given waits.
    """

    def __init__(
        self, name: str, work: Callable[[Delivery, float], None], done: Callable[[], None], threads: int
    ) -> None:
        self._name = name
        self._work = work
        self._done = done
        self._most = threads
        self._took: deque[float] = deque(maxlen=_LAST)
        self._given: queue.SimpleQueue[tuple[Delivery, float] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = 0
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """How many deliveries are on their way, or wait for a thread."""
        with self._lock:
            return self._busy

    def within(self, seconds: float) -> bool:
        """True when each of the last few deliveries took less than this."""
        with self._lock:
            return len(self._took) == _LAST and max(self._took) < seconds

    def submit(self, delivery: Delivery) -> None:
        """Deliver it, as soon as a thread is free."""
        with self._lock:
            self._busy += 1
            if len(self._threads) < min(self._busy, self._most):
                name = f"{self._name}-{len(self._threads) + 1}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
        self._given.put((delivery, time.monotonic()))

    def close(self) -> None:
        """Let the threads end after what is on its way; call it once."""
        for _ in self._threads:
            self._given.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for that; False when it takes longer."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            delivery, since = given
            began = time.monotonic()
            try:
                self._work(delivery, began - since)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._took.append(time.monotonic() - began)
                self._done()
