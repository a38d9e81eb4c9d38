"""The contract of stages: what each alert passes on its way from the outbox to a receiver.

A stage is pure: it answers from its arguments alone, and the same arguments give the same answer. What it
needs to know of the past it asks of the view.
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
    """

    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pass:
    """The next stage is asked; after the last one it is sent.

    Parameters
    ----------
    reason
        Why, for people.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """It waits; the stages are asked again at that time.

    Parameters
    ----------
    reason
        Why, for people. Kept with the delivery, so it should read the same while the cause is the same.
    until
        Wall-clock seconds since 1970 UTC, later than now.
    everything
        True when nothing else goes to this receiver before that time either.
    """

    reason: str
    until: float
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """It is never sent to this receiver.

    Parameters
    ----------
    reason
        Why, for people.
    state
        The state that its delivery is kept in: a word of the stage's own, see
        `alerts.stages.view.SENT_STATES`. None keeps no delivery, which only a stage that runs at routing
        can say.
    """

    reason: str
    state: str | None


Verdict = Pass | HoldUntil | Stop
"""What a stage says of one transition at one receiver."""


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
        The state in which the members are kept: a word of the stage's own, as in `Stop`.
    reason
        Kept with each member: what was sent in its place.
    """

    alert: Alert
    members: Sequence[WaitingDelivery]
    state: str
    reason: str


class Stage(ABC):
    """One stage between the outbox and the receivers."""

    name: ClassVar[str]
    """Its name in the registry, and at the head of the reasons that are kept for its holds."""
    phase: ClassVar[Phase]
    """When it runs."""

    @abstractmethod
    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Whether this transition goes on to this receiver.

        Parameters
        ----------
        transition
            What is on its way.
        receiver
            The receiver's name.
        now
            Wall-clock seconds since 1970 UTC.
        view
            Answers from the store.
        """

    def prepare(self, transitions: Sequence[AlertTransition]) -> Stage:
        """A stage that gives the same answers, quicker for these transitions.

        Called before the transaction that routes them, for work that needs no view. The stage itself does
        not change.
        """
        return self

    def join(self, receiver: str, now: float, view: StageView) -> Joined | None:
        """One delivery for several that wait, None where each goes by itself; asked before each claim.

        Parameters
        ----------
        receiver, now, view
            As in `judge`.
        """
        return None
