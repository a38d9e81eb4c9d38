"""Counts of dead letters that arrive in floods, too many to keep one by one."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages.records import NO_TIME

_MINUTE_NS = 60_000_000_000
NO_MINUTE = -1
"""Stands for the minute of a record without a timestamp."""


@dataclass(frozen=True, slots=True)
class Flood:
    """Dead letters of one reason in one minute, beyond those kept one by one.

    Parameters
    ----------
    reason
        Their common reason.
    minute
        Minutes since 1970 UTC of the records' timestamps, `NO_MINUTE` without one.
    first_offset, last_offset
        Offsets of the first and the last of them.
    count
        The total so far. It is stored as an absolute, so deriving it again changes nothing.
    """

    reason: str
    minute: int
    first_offset: int
    last_offset: int
    count: int


def minute_of(record_ts: int) -> int:
    """The minute a record belongs to.

    Examples
    --------
    >>> minute_of(120_000_000_000)
    2
    """
    return NO_MINUTE if record_ts == NO_TIME else record_ts // _MINUTE_NS
