"""A bounded number of threads that deliver."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from alerts.receivers.receiver import Delivery


class DeliveryPool:
    """Threads that each take a delivery at a time; they begin when they are needed.

    They are daemons: a receiver that does not answer does not keep the process from ending.

    Parameters
    ----------
    name
        Names the threads.
    work
        Delivers one; it must not raise.
    done
        Called after each.
    """

    def __init__(self, name: str, work: Callable[[Delivery], None], done: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._done = done
        self._given: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = 0
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """How many deliveries are on their way."""
        with self._lock:
            return self._busy

    def submit(self, delivery: Delivery) -> None:
        """Deliver it at once, on a thread of its own."""
        with self._lock:
            self._busy += 1
            if self._busy > len(self._threads):
                name = f"{self._name}-{len(self._threads) + 1}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
        self._given.put(delivery)

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
        while (delivery := self._given.get()) is not None:
            try:
                self._work(delivery)
            finally:
                with self._lock:
                    self._busy -= 1
                self._done()
