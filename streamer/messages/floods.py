"""Counts of dead letters that come in floods, too many to keep one by one."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages.records import NO_TIME

_MINUTE_NS = 60_000_000_000
NO_MINUTE = -1
"""The minute of records without a timestamp."""


@dataclass(frozen=True, slots=True)
class Flood:
    """Dead letters of one reason in one minute beyond those kept one by one.

    Parameters
    ----------
    reason
        The reason they share.
    minute
        Minutes since 1970 UTC of the records' timestamps, `NO_MINUTE` without one.
    first_offset, last_offset
        The range they lie in.
    count
        How many, in all so far: written as it stands, so deriving it again changes nothing.
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
