"""The contract of stages, which each alert passes between the outbox and a receiver.

A stage is pure: the same arguments give the same answer. Facts about the past come from the view.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alerts.alert import Alert
from alerts.stages.view import StageView, WaitingDelivery

Phase = Literal["routing", "claim"]
"""When a stage runs: once when an alert is routed, or each time a delivery is about to be sent."""


@dataclass(frozen=True, slots=True)
class AlertTransition:
    """One transition of one alert, as stages see it.

    Parameters
    ----------
    alert_id, number
        The episode, and the transition's number in it (0 is `fired`).
    rule, severity, transition
        As in the body.
    body
        The alert's fields, see `alerts.alert.Alert`.
    rank
        Its importance at the receiver, see `alerts.stages.importance`; 0 at routing, where it is not known.
    behind_s
        How far its record was behind the newest one of its log when it was fetched, where that is known.
    """

    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    body: Mapping[str, Any]
    rank: int = 0
    behind_s: float | None = None

    @property
    def key(self) -> str:
        """The idempotency key of its deliveries."""
        return f"{self.alert_id}-{self.number}"


@dataclass(frozen=True, slots=True)
class Pass:
    """It goes on to the next stage; after the last one it is sent.

    Parameters
    ----------
    reason
        Why, for people.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """It waits; the stages judge it again at that time.

    Parameters
    ----------
    reason
        Why, for people. Stored with the delivery, so the text should stay the same while the cause does.
    until
        Wall-clock seconds since 1970 UTC, later than now.
    alike
        True when all of the same rank wait there until then too, but for what `Stage.first` names.
    """

    reason: str
    until: float
    alike: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """It is never sent to this receiver.

    Parameters
    ----------
    reason
        Why, for people.
    state
        The state of its delivery in the store, none of `alerts.stages.view.SENT_STATES`. None keeps no
        delivery, which is allowed at routing only.
    """

    reason: str
    state: str | None


Verdict = Pass | HoldUntil | Stop
"""A stage's decision about one transition at one receiver."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One delivery in place of several.

    Parameters
    ----------
    alert
        What is sent.
    members
        What it stands for, each once, oldest first; none of them is sent itself.
    state
        The state of the members in the store, as in `Stop`.
    reason
        Stored with each member: what was sent in its place.
    rank
        That of the one delivery, which waits like any other, and is judged like any other.
    """

    alert: Alert
    members: Sequence[WaitingDelivery]
    state: str
    reason: str
    rank: int


class Stage(ABC):
    """One stage between the outbox and the receivers."""

    name: ClassVar[str]
    """Its name in the registry; stored reasons of its holds begin with it."""
    phase: ClassVar[Phase]
    """When it runs."""

    @abstractmethod
    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Whether this transition goes on to this receiver.

        Parameters
        ----------
        transition
            The transition.
        receiver
            The receiver's name.
        now
            Wall-clock seconds since 1970 UTC.
        view
            Facts from the store.
        """

    def prepare(self, transitions: Sequence[AlertTransition]) -> Stage:
        """A stage that gives the same answers, quicker for these transitions.

        Called before the transaction that routes them, for work that needs no view. The stage itself does
        not change.
        """
        return self

    def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        """Deliveries in place of several that wait, empty where each goes by itself; asked before each claim.

        Parameters
        ----------
        receiver, now, view
            As in `judge`.
        """
        return ()

    def first(self, receiver: str, now: float, view: StageView) -> Sequence[WaitingDelivery]:
        """What goes before all else that waits there, in this order; asked before each claim.

        All others go by rank, and the oldest first.

        Parameters
        ----------
        receiver, now, view
            As in `judge`.
        """
        return ()
