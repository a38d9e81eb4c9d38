"""What the fold notices about clocks and instruments; each is told once, as an alert about the service."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages.batch import Instrument


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """An instrument's clock was wrong, and was set back.

    Parameters
    ----------
    instrument
        Which one.
    before_ns, to_ns
        Its clock before and after.
    offset, index, source
        The event that it was set back to, and the place of its partition in the log.
    """

    instrument: Instrument
    before_ns: int
    to_ns: int
    offset: int
    index: int
    source: int = 0


@dataclass(frozen=True, slots=True)
class MoreClocksSetBack:
    """More clocks were set back in a minute than are told one by one; the others are only counted.

    Parameters
    ----------
    minute
        Minutes since 1970 UTC of the log's time.
    offset
        The record from which on they are only counted.
    ts_ns
        Its event time.
    source
        The place of its partition in the log.
    """

    minute: int
    offset: int
    ts_ns: int
    source: int = 0


@dataclass(frozen=True, slots=True)
class FarOffTime:
    """The first event of a log whose time is a year or more off; it is used as it is.

    Parameters
    ----------
    instrument
        Whose it is.
    ts_ns
        Its time.
    reference_ns
        Its record's timestamp, or the watermark; None if there is neither, and the time is in 1970.
    unit, fits
        The unit that the time is declared in, and another one in which it would be a recent time; empty if
        none is declared, or none would.
    offset, index, source
        The event, and the place of its partition in the log.
    """

    instrument: Instrument
    ts_ns: int
    reference_ns: int | None
    unit: str
    fits: str
    offset: int
    index: int
    source: int = 0


@dataclass(frozen=True, slots=True)
class InstrumentsFull:
    """More instruments come than the log has places for: the first that gave up its place, or was refused.

    There is one of each in an hour of the log's time at most. Counts are absolutes, so deriving it
    again changes nothing.

    Parameters
    ----------
    forgot
        The instrument that gave up its place, None where the newcomer was refused.
    newcomer
        The instrument that came.
    unseen_ns
        For how long the former was unseen, ns; 0 where the newcomer was refused.
    limit
        How many places there are.
    forgotten, refused
        How many instruments gave up their places so far, and how many events were refused.
    minute
        Minutes since 1970 UTC of the log's time.
    ts_ns
        The log's time, ns.
    offset, index, source
        The newcomer's event, and the place of its partition in the log.
    """

    forgot: Instrument | None
    newcomer: Instrument
    unseen_ns: int
    limit: int
    forgotten: int
    refused: int
    minute: int
    ts_ns: int
    offset: int
    index: int
    source: int = 0


Notice = ClockSetBack | MoreClocksSetBack | FarOffTime | InstrumentsFull
