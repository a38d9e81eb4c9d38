"""Books deliveries that have arrived, as many as there are in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from alerts.receivers.receiver import Delivery


class Arrivals:
    """Deliveries that have arrived and are not booked yet; from any thread.

    While one thread books, others only add: what they add is booked next, by the thread that is at it.

    Parameters
    ----------
    book
        Books some in one transaction.

    Examples
    --------
    >>> booked: list[Delivery] = []
    >>> Arrivals(booked.extend).add(Delivery("a1", 0, "desk", b"{}"))
    >>> [delivery.alert_id for delivery in booked]
    ['a1']
    """

    def __init__(self, book: Callable[[Sequence[Delivery]], None]) -> None:
        self._book = book
        self._booking = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[Delivery] = []
        self._added = self._booked = 0

    @property
    def unbooked(self) -> int:
        """How many have arrived and are not booked."""
        with self._lock:
            return self._added - self._booked

    def add(self, delivery: Delivery) -> None:
        """Book it, or leave that to the thread that books at the moment."""
        with self._lock:
            self._waiting.append(delivery)
            self._added += 1
        while self._waiting and self._booking.acquire(blocking=False):
            try:
                with self._lock:
                    waiting, self._waiting = self._waiting, []
                if waiting:
                    self._book(waiting)
                    with self._lock:
                        self._booked += len(waiting)
            finally:
                self._booking.release()
