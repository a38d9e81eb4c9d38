"""What a receiver is: it takes one delivery at a time, and says how it went by what it raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


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
