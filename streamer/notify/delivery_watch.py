"""What is told to metrics when a delivery ends or is put off."""

from __future__ import annotations

from typing import Literal, Protocol

DeliveryOutcome = Literal["delivered", "retried", "parked", "summarised", "muted"]
"""What can become of a delivery; ``retried`` each time it is put off, the others once."""


class DeliveryWatch(Protocol):
    """Told what becomes of deliveries; called from senders' threads."""

    def __call__(
        self, receiver: str, outcome: DeliveryOutcome, count: int = 1, waited_s: float | None = None
    ) -> None:
        """So many deliveries ended so; `waited_s` is the time since the commit, of one that arrived."""


def unwatched(receiver: str, outcome: DeliveryOutcome, count: int = 1, waited_s: float | None = None) -> None:
    """The `DeliveryWatch` that does nothing."""
