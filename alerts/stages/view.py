"""What a stage may know: the facts that its view answers from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from alerts.severity import severity_rank
from alerts.stages.matchers import Silence

MUTED: Final = "muted"
SUMMARISED: Final = "summarised"
"""States of deliveries that are never sent themselves: stopped by a stage, or joined into another one."""
SENT_STATES: Final = ("pending", "trying", "done", "parked")
"""States of all other deliveries. A stage that stops one gives it a state that is not among these."""


@dataclass(frozen=True, slots=True)
class EpisodeAtReceiver:
    """What became of an episode's earlier transitions at one receiver.

    Parameters
    ----------
    heard
        True when one of them has been sent or waits to be: the receiver knows of the episode.
    held_state, held_reason
        State and reason of the newest one that was held back, None where none was.
    held_severity
        Rank of the most severe one that was held back, -1 where none was.

    Examples
    --------
    >>> EpisodeAtReceiver().after("muted", "muted until noon", "warning").known
    True
    """

    heard: bool = False
    held_state: str | None = None
    held_reason: str | None = None
    held_severity: int = -1

    @property
    def known(self) -> bool:
        """True when an earlier transition was routed there, held back or not."""
        return self.heard or self.held_state is not None

    def after(self, state: str, reason: str | None, severity: str) -> EpisodeAtReceiver:
        """The same with one more delivery in this state."""
        if state in SENT_STATES:
            return EpisodeAtReceiver(True, self.held_state, self.held_reason, self.held_severity)
        rank = max(self.held_severity, severity_rank(severity))
        return EpisodeAtReceiver(self.heard, state, reason, rank)


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """A delivery that has not arrived and is not held back for good.

    Parameters
    ----------
    n
        Its row in the store.
    alert_id, number
        The episode, and the transition's number in it.
    rule, severity, transition, venue, symbol
        As in the alert.
    parked
        True when the receiver has refused it for good.
    in_doubt
        True when it may have arrived, or is being tried.
    heard
        True when an earlier transition of the episode has arrived there.
    """

    n: int
    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    venue: str | None = None
    symbol: str | None = None
    parked: bool = False
    in_doubt: bool = False
    heard: bool = False

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"{self.alert_id}-{self.number}"


class StageView(Protocol):
    """Answers a stage's questions, so that a stage keeps nothing itself.

    What was joined or is held is known since the receiver's sender was started: a restart, or a reload that
    changes the receiver, begins with nothing joined and nothing held.
    """

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions at the receiver."""

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force at a time."""

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        """Times of messages that arrived there, or may have, after `since`; at most two minutes back.

        Oldest first.
        Deliveries that passed earlier in the same claim count as sent now.
        """

    def joined_since(self, receiver: str, rule: str, since: float) -> bool:
        """True when deliveries there were joined into an alert of this rule after `since`."""

    def holds(self, receiver: str, stage: str) -> bool:
        """True when a delivery that is due there has been held by the stage of this name."""

    def waiting(self, receiver: str, limit: int) -> Sequence[WaitingDelivery]:
        """What waits there, oldest first, at most `limit`."""
