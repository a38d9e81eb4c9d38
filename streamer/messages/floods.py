"""Counts of dead letters that arrive in floods, too many to keep one by one."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages.records import NO_TIME

_MINUTE_NS = 60_000_000_000
NO_MINUTE = -1
"""Stands for the minute of all records before a log's first event."""


@dataclass(frozen=True, slots=True)
class Flood:
    """Dead letters of one reason in one minute, beyond those kept one by one.

    Parameters
    ----------
    reason
        Their common reason.
    minute
        Minutes since 1970 UTC of the log's time before the records, `NO_MINUTE` before its first event.
    first_offset, last_offset
        Offsets of the first and the last of them.
    first_source, last_source
        The places of their partitions in the log.
    count
        The total so far. It is stored as an absolute, so deriving it again changes nothing.
    """

    reason: str
    minute: int
    first_offset: int
    last_offset: int
    count: int
    first_source: int = 0
    last_source: int = 0


def minute_of(log_time: int) -> int:
    """The minute of a log's time, ns: the watermark, or the last timer where that is later.

    A record's own timestamp is its producer's to choose, so it does not say how often there are such records.

    Examples
    --------
    >>> minute_of(120_000_000_000)
    2
    """
    return NO_MINUTE if log_time == NO_TIME else log_time // _MINUTE_NS
