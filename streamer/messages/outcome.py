"""The results of a step: transitions, scores, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import DeadLetter, Instrument
from streamer.messages.floods import Flood
from streamer.messages.notices import Notice


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an episode, ready for the outbox.

    Parameters
    ----------
    alert_id, number
        The episode's id, and the transition's number in the episode.
    transition
        ``fired``, ``updated`` or ``resolved``.
    rule, severity, instrument, ts_event_ns
        As in the body, for look-ups; the instrument is None if the alert concerns none.
    body
        The alert as it is sent, in canonical JSON.
    decision
        The reasons: event, features, scores, rule and versions, in JSON.
    offset, index
        The event that caused it; None for a timer or a reload.
    source
        The place of the event's partition among the members of its log.
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
    source: int = 0


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A condition that was true but raised no alert.

    Parameters
    ----------
    id
        The id the alert would have had.
    held_by
        What held it back: ``for``.
    body
        JSON: `near_miss` holds what the alert would have said, the rest is as in a decision.
    offset, index
        The event; None for a timer.
    source
        The place of the event's partition among the members of its log.
    """

    id: str
    held_by: str
    body: bytes
    offset: int | None
    index: int | None
    source: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One detector's results for the m rows it scored.

    Parameters
    ----------
    detector
        The detector's name.
    slot, ts, source, offset, index
        int32[m], int64[m] in ns, int16[m], int64[m], int16[m]: the events.
    order
        int64[m], what orders their records; see `Decoded.row_order`.
    score, rarity, status
        float64[m] (NaN unless ready), float64[m] in seconds (NaN while not calibrated), and int8[m]
        (warming, ready, quarantined).
    instruments, instrument
        Whose they are: int32[m], index into `instruments`. A slot may have been another's in the same batch.
    """

    detector: str
    slot: NDArray[np.int32]
    ts: NDArray[np.int64]
    source: NDArray[np.int16]
    offset: NDArray[np.int64]
    index: NDArray[np.int16]
    order: NDArray[np.int64]
    score: NDArray[np.float64]
    rarity: NDArray[np.float64]
    status: NDArray[np.int8]
    instruments: Sequence[Instrument]
    instrument: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Everything a step results in.

    Parameters
    ----------
    transitions
        In the order of the events that caused them.
    scores
        For each detector that scored any row an entry, or several where a clock was set back in between.
    dead, floods
        Dead letters to keep one by one, and counts of the rest.
    ignored
        Total counts, by name, of messages that the format knows but does not use.
    near_misses
        In the order of the events. They are not visible, so they wait for the next commit.
    notices
        What was noticed about clocks and instruments, in the order of the events.
    events
        How many events were folded.
    """

    transitions: tuple[Transition, ...] = ()
    scores: tuple[Scores, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    floods: tuple[Flood, ...] = ()
    ignored: Mapping[str, int] | None = None
    near_misses: tuple[NearMiss, ...] = ()
    notices: tuple[Notice, ...] = ()
    events: int = 0

    @property
    def visible(self) -> bool:
        """True if something must be committed before the next step."""
        return bool(self.transitions or self.dead or self.floods or self.notices)
