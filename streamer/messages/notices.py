"""What the fold notices about the clocks of its input; each is told once, as an alert about the service."""

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
    offset, index
        The event that it was set back to.
    """

    instrument: Instrument
    before_ns: int
    to_ns: int
    offset: int
    index: int


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
    """

    minute: int
    offset: int
    ts_ns: int


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
    offset, index
        The event.
    """

    instrument: Instrument
    ts_ns: int
    reference_ns: int | None
    unit: str
    fits: str
    offset: int
    index: int


Notice = ClockSetBack | MoreClocksSetBack | FarOffTime
