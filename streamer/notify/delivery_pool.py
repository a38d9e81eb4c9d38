"""A bounded number of threads that deliver."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from alerts.receivers.receiver import Delivery


class DeliveryPool:
    """Threads that each take a delivery at a time; they begin when they are needed.

    A delivery is on its way until its work says that its place is free: what is still to be kept of it then
    does not keep the next one waiting. The threads are daemons: a receiver that does not answer does not keep
    the process from ending.

    Parameters
    ----------
    name
        Names the threads.
    work
        Delivers one; it must not raise. It may call its second argument as soon as the place is free.
    done
        Called when a place is free, and again when the work is done.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Delivery, Callable[[], None]], None],
        done: Callable[[], None],
    ) -> None:
        self._name = name
        self._work = work
        self._done = done
        self._given: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._on_way = self._at_work = 0
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """How many deliveries are on their way."""
        with self._lock:
            return self._on_way

    def submit(self, delivery: Delivery) -> None:
        """Deliver it at once, on a thread of its own."""
        with self._lock:
            self._on_way += 1
            self._at_work += 1
            if self._at_work > len(self._threads):
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
            place = _Place(self._leave)
            try:
                self._work(delivery, place.free)
            finally:
                place.free()
                with self._lock:
                    self._at_work -= 1
                self._done()

    def _leave(self) -> None:
        with self._lock:
            self._on_way -= 1
        self._done()


class _Place:
    """One delivery's place among those on their way, freed once."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def free(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
