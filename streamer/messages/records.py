"""Records as a log keeps them, and where logs stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NO_TIME = np.iinfo(np.int64).min
"""The timestamp of a record that has none."""

Headers = tuple[tuple[str, bytes | None], ...]
"""A record's headers in order: name and raw bytes."""


class Partition(NamedTuple):
    """One ordered log. `incarnation` tells a topic from its namesake that was deleted before it."""

    topic: str
    incarnation: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was stored in the log.

    Parameters
    ----------
    offset
        Position in its partition (a file: the line's number among its records, from 0).
    timestamp
        ns since 1970 UTC at ms resolution, `NO_TIME` where there is none.
    key, value
        Raw bytes, None where null.
    headers
        Name and raw bytes, in order.
    """

    offset: int
    value: bytes | None
    timestamp: int = NO_TIME
    key: bytes | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Log:
    """Where a partition's log stands.

    Parameters
    ----------
    partition
        Which log.
    first, end
        The first offset that is still there, and one past the last.
    start
        The offset that the configured start (earliest, latest, a time) resolves to.
    """

    partition: Partition
    first: int
    end: int
    start: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition, in order, and the time (ns) and number of a timer that follows them."""

    partition: Partition
    records: Sequence[Record]
    timer_ns: int | None = None
    timer_number: int | None = None
