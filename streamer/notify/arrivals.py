"""Books deliveries that have arrived, as many as there are in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from alerts.receivers.receiver import Delivery


class Arrivals:
    """Deliveries that have arrived and are not booked yet; from any thread.

    Parameters
    ----------
    book
        Books some in one transaction; what it fails for is booked with the next.

    Examples
    --------
    >>> booked: list[Delivery] = []
    >>> arrivals = Arrivals(booked.extend)
    >>> arrivals.add(Delivery("a1", 0, "desk", b"{}"))
    >>> arrivals.book()
    >>> [delivery.alert_id for delivery in booked], arrivals.unbooked
    (['a1'], 0)
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
        """It has arrived."""
        with self._lock:
            self._waiting.append(delivery)
            self._added += 1

    def book(self) -> None:
        """Book what has arrived."""
        with self._booking:
            with self._lock:
                arrived, self._waiting = self._waiting, []
            if not arrived:
                return
            try:
                self._book(arrived)
            except BaseException:
                with self._lock:
                    self._waiting = arrived + self._waiting
                raise
            with self._lock:
                self._booked += len(arrived)
