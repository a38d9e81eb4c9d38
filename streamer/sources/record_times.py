"""The times of records, which their producers choose."""

from __future__ import annotations

from streamer.decoding.event_fields import TIME_MAX_NS
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_MS

MAX_MS = TIME_MAX_NS // NS_PER_MS
"""A record's time after 2200, such as one in us where ms belong, or the greatest int64, is none."""


def record_time(ms: int) -> int:
    """A record's timestamp in ns; `NO_TIME` if it is not between 1970 and 2200.

    >>> record_time(5), record_time(-1) == record_time(2**63 - 1) == NO_TIME
    (5000000, True)
    """
    return ms * NS_PER_MS if 0 <= ms <= MAX_MS else int(NO_TIME)
