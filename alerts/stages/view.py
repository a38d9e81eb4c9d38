"""What a stage may know: the facts that its view answers from the store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from alerts.severity import severity_rank
from alerts.stages.matchers import Silence
from alerts.subjects import subject_of

MUTED: Final = "muted"
SUMMARISED: Final = "summarised"
DIGESTED: Final = "digested"
SUPERSEDED: Final = "superseded"
"""States of deliveries that are never sent themselves: stopped by a stage, joined into another one (of what
was too much, or late), or overtaken by a newer one of their episode."""
SENT_STATES: Final = ("pending", "trying", "done", "parked")
"""States of all other deliveries. A stage that stops one gives it a state that is not among these."""


@dataclass(frozen=True, slots=True)
class EpisodeAtReceiver:
    """What became of an episode's earlier transitions at one receiver.

    Parameters
    ----------
    heard
        True when one of them has been sent or waits to be: the receiver knows of the episode.
    over
        True when the newest that it was told of is the end: what came after it was held back.
    held_state, held_reason
        State and reason of the newest one that was held back, None where none was.
    held_severity
        Rank of the most severe one that was held back, -1 where none was.
    told_severity
        The highest severity that the receiver has been told of, be it in a summary; None where it was not.

    Examples
    --------
    >>> muted = EpisodeAtReceiver().after("muted", "muted until noon", "warning")
    >>> muted.known, muted.heard, muted.told_severity
    (True, False, None)
    >>> muted.after("done", None, "warning", "resolved").over
    True
    """

    heard: bool = False
    over: bool = False
    held_state: str | None = None
    held_reason: str | None = None
    held_severity: int = -1
    told_severity: str | None = None

    @property
    def known(self) -> bool:
        """True when an earlier transition was routed there, held back or not."""
        return self.heard or self.held_state is not None

    def after(
        self, state: str, reason: str | None, severity: str, transition: str = "fired"
    ) -> EpisodeAtReceiver:
        """The same with one more delivery in this state."""
        if state == SUPERSEDED:
            return self
        if state in SENT_STATES:
            over = transition == "resolved"
            return replace(self, heard=True, over=over, told_severity=self._worst(severity))
        rank = max(self.held_severity, severity_rank(severity))
        told = self._worst(severity) if state == SUMMARISED else self.told_severity
        over = transition == "resolved" if state in (SUMMARISED, DIGESTED) else self.over
        if over and state == SUMMARISED and not self.heard:
            told = None  # where it comes back, that is its beginning
        return replace(
            self, over=over, held_state=state, held_reason=reason, held_severity=rank, told_severity=told
        )

    def _worst(self, severity: str) -> str:
        told = self.told_severity
        return severity if told is None or severity_rank(severity) > severity_rank(told) else told


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went to a receiver, may have arrived there, or is on its way.

    Parameters
    ----------
    at
        Wall-clock seconds.
    rank
        That of its delivery.
    rule, subject
        What it was about; the subject is venue and symbol.
    """

    at: float
    rank: int
    rule: str = ""
    subject: str = ""


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
    rank
        Its importance, see `alerts.stages.importance`.
    since
        When it was committed, or the sender began, if that is later; wall-clock seconds.
    due
        True when it could be sent now: it waits neither for its time nor for another of its episode.
    behind_s
        As in `AlertTransition`.
    body
        The alert as it is stored; only where it was asked for, and of criticals only.
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
    rank: int = 0
    since: float = 0.0
    due: bool = True
    behind_s: float | None = None
    body: bytes | None = None

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"{self.alert_id}-{self.number}"

    @property
    def subject(self) -> str:
        """Venue and symbol, or the rule's name where it is about no instrument."""
        return subject_of(self.venue, self.symbol, self.rule)


class StageView(Protocol):
    """Answers a stage's questions, so that a stage keeps nothing itself.

    What was joined or is held is known since the receiver's sender was started: a restart, or a reload that
    changes the receiver, begins with nothing joined and nothing held.
    """

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions at the receiver."""

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force at a time."""

    def sent_since(self, receiver: str, since: float, ranks: Collection[int]) -> Sequence[Sent]:
        """Messages of these ranks that arrived there, or may have, after `since`; at most two minutes back.

        Oldest first. What is on its way, and what has passed earlier in the same claim, counts as sent now.
        """

    def joined_at(self, receiver: str, rank: int) -> float | None:
        """When deliveries there were last joined into one of this rank; None where they never were."""

    def held(self, receiver: str, stage: str) -> Collection[int]:
        """The ranks of which what is due there has been held by the stage of this name."""

    def waiting(  # noqa: PLR0913 - each is a question of its own
        self,
        receiver: str,
        limit: int,
        *,
        ranks: Collection[int] | None = None,
        episodes: Collection[str] | None = None,
        bodies: bool = False,
        newest: bool = False,
    ) -> Sequence[WaitingDelivery]:
        """What waits there, oldest first, at most `limit`.

        Parameters
        ----------
        receiver, limit
            Where, and how many.
        ranks
            Only those of these ranks that wait behind no other of their episode, None for any.
        episodes
            Only those of these episodes, None for any.
        bodies
            Whether criticals come with their bodies.
        newest
            Which are left out where there are more: the oldest ones, else the newest.
        """
