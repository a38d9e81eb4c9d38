"""What the notify half asks of the world around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


class Clock(Protocol):
    """Wall-clock time, in seconds since 1970 UTC."""

    def now(self) -> float:
        """The time now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One transition of one alert, on its way to one receiver.

    Parameters
    ----------
    alert_id, number
        The episode, and the transition's number in it (0 is `fired`).
    receiver
        The receiver's name.
    body
        The alert as it is stored, canonical JSON.
    attempts
        How often it has been tried before.
    in_doubt
        True when an earlier attempt ended without an answer (a crash, a time-out): it may have arrived.
    steps
        The steps of this delivery that are known to be done, with what they brought (Slack's `ts`).
    earlier
        Steps of the episode's earlier transitions at this receiver, oldest first.
    """

    alert_id: str
    number: int
    receiver: str
    body: bytes
    attempts: int = 0
    in_doubt: bool = False
    steps: Mapping[str, str] = field(default_factory=dict)
    earlier: Sequence[Mapping[str, str]] = ()
    created_at: float = 0.0

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt at this delivery."""
        return f"{self.alert_id}-{self.number}"


DeliveryOutcome = Literal["delivered", "retried", "parked", "summarised", "muted"]
"""What can become of a delivery; ``retried`` each time it is put off, the others once."""


class DeliveryWatch(Protocol):
    """Told what becomes of deliveries; called from senders' threads."""

    def __call__(
        self, receiver: str, outcome: DeliveryOutcome, count: int = 1, waited_s: float | None = None
    ) -> None:
        """So many deliveries ended so; `waited_s` is the time since the commit, of one that arrived."""


class RetryableError(Exception):
    """The receiver may take it later.

    Parameters
    ----------
    reason
        Short and bounded, such as ``http_503``.
    retry_after_s
        The receiver's own word on when, None if it said nothing.
    in_doubt
        True when it may have arrived although no answer came.
    everything
        True when nothing sent to this receiver would get through now: it is not reached, or asks for a pause.
    """

    def __init__(
        self,
        reason: str,
        retry_after_s: float | None = None,
        *,
        in_doubt: bool = False,
        everything: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.in_doubt = in_doubt
        self.everything = everything


class PermanentError(Exception):
    """The receiver will never take it as things are; `str()` is a short bounded reason."""


class Receiver(Protocol):
    """Somewhere an alert can be sent."""

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Send it, calling `record(step, result)` after each step that must not be repeated.

        Raises
        ------
        RetryableError
            It may work later.
        PermanentError
            It will not work until somebody changes something.
        """


class DeliveryStore(Protocol):
    """Durable state of deliveries. Every call is one short transaction, made from the sender's thread."""

    def claim(self, receiver: str, limit: int, now: float) -> Sequence[Delivery]:
        """Due deliveries whose episode's earlier transitions are done there, oldest first.

        They are marked as being tried before this returns, so that after a crash they come back in doubt.
        """

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        """When deliveries were tried that arrived, or may have, from this time on."""

    def summarise(self, receiver: str, cap: int, now: float) -> tuple[Delivery, int] | None:
        """Replace all that waits there by one delivery that counts and names it.

        The end of an episode that the receiver has heard of is not replaced, nor is what may have arrived.

        Returns
        -------
        (Delivery, int) or None
            The one, claimed already, and how many it stands for; None, with nothing changed, where those
            would be fewer than two.
        """

    def next_due(self, receiver: str) -> float | None:
        """When `claim` will next find something, None where it will not until more comes."""

    def unfinished(self, receivers: Sequence[str]) -> int:
        """How many deliveries to these receivers are being tried or waiting for their time.

        What waits behind a parked delivery is not counted: it will not move by itself.
        """

    def record_step(self, delivery: Delivery, step: str, result: str) -> None:
        """Remember that a step is done."""

    def delivered(self, deliveries: Sequence[Delivery], now: float) -> None:
        """These have arrived."""

    def retry(self, delivery: Delivery, at: float, reason: str, in_doubt: bool) -> None:
        """Try again, not before `at`."""

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give claimed ones back that were not tried."""

    def park(self, delivery: Delivery, reason: str, now: float) -> None:
        """Set aside after a permanent error, and raise a service alert that other receivers get."""


class Routes(Protocol):
    """Decides which receivers an alert goes to."""

    def receivers(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of receivers, each once, in configuration order."""
