"""Who is told what becomes of deliveries: metrics."""

from __future__ import annotations

from typing import Protocol


class DeliveryWatch(Protocol):
    """Told what becomes of deliveries; called from the threads of senders and the notifier."""

    def __call__(self, receiver: str, outcome: str, count: int = 1, waited_s: float | None = None) -> None:
        """Deliveries ended.

        Parameters
        ----------
        receiver
            The receiver's name.
        outcome
            ``delivered``, ``parked``, or the state in which a stage stopped them or a summary took them;
            ``retried`` each time one is put off.
        count
            How many.
        waited_s
            Seconds since the commit, of one that arrived.
        """


def unwatched(receiver: str, outcome: str, count: int = 1, waited_s: float | None = None) -> None:
    """The `DeliveryWatch` that does nothing."""
