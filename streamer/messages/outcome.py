"""What a step brings: transitions, scores, dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import DeadLetter, Instrument
from streamer.messages.floods import Flood


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one episode, ready for the outbox.

    Parameters
    ----------
    alert_id, number
        The episode, and the transition's number in it.
    transition
        ``fired``, ``updated`` or ``resolved``.
    rule, severity, instrument, ts_event_ns
        As in the body, for looking things up; the instrument is None where the alert is about none.
    body
        The alert as it is sent, canonical JSON.
    decision
        Why: the event, features, scores, the rule and the versions, JSON.
    offset, index
        The event behind it; None for a timer or a reload.
    """

    alert_id: str
    number: int
    transition: str
    rule: str
    severity: str
    instrument: Instrument | None
    ts_event_ns: int
    body: bytes
    decision: bytes
    offset: int | None
    index: int | None


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A condition that was true, and raised no alert.

    Parameters
    ----------
    id
        The id that the alert would have had.
    held_by
        What held it back: ``for``.
    body
        Who, when and why, JSON: `near_miss` says what an alert would, the rest is as in a decision.
    offset, index
        The event; None for a timer.
    """

    id: str
    held_by: str
    body: bytes
    offset: int | None
    index: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What one detector made of the rows it looked at, m of them.

    Parameters
    ----------
    detector
        Its name.
    slot, ts, offset, index
        int32[m], int64[m] ns, int64[m], int16[m]: which events.
    score, rarity, status
        float64[m] (NaN unless ready), float64[m] in seconds (NaN while there is none), and int8[m]
        (warming, ready, quarantined).
    """

    detector: str
    slot: NDArray[np.int32]
    ts: NDArray[np.int64]
    offset: NDArray[np.int64]
    index: NDArray[np.int16]
    score: NDArray[np.float64]
    rarity: NDArray[np.float64]
    status: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that a step brings to light.

    Parameters
    ----------
    transitions
        In the order of the events that made them.
    scores
        One entry a detector that saw any row.
    dead, floods
        Dead letters to keep one by one, and counts of those beyond.
    ignored
        Counts by name of what the format knows but does not use, in all so far.
    near_misses
        In the order of the events; nobody has to hear of them, so they wait for the next commit.
    """

    transitions: tuple[Transition, ...] = ()
    scores: tuple[Scores, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    floods: tuple[Flood, ...] = ()
    ignored: Mapping[str, int] | None = None
    near_misses: tuple[NearMiss, ...] = ()

    @property
    def visible(self) -> bool:
        """True when something must be committed before anything else happens."""
        return bool(self.transitions or self.dead or self.floods)
