"""Records as a partition stores them, and the extents of partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from streamer.messages.control_inputs import ControlInput

NO_TIME = np.iinfo(np.int64).min
"""Stands for the timestamp of a record without one."""

Headers = tuple[tuple[str, bytes | None], ...]
"""A record's headers in order: name and raw bytes."""


class Partition(NamedTuple):
    """One sequence of records in order. `incarnation` tells a topic from a deleted one of its name."""

    topic: str
    incarnation: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as stored in the log.

    Parameters
    ----------
    offset
        Position in its partition (for a file: the record's index, from 0).
    timestamp
        ns since 1970 UTC at ms resolution, `NO_TIME` if the record has none.
    key, value
        Raw bytes, None for null.
    headers
        Names and raw bytes, in order.
    """

    offset: int
    value: bytes | None
    timestamp: int = NO_TIME
    key: bytes | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition, or a file, holds.

    Parameters
    ----------
    partition
        Which one.
    first, end
        The first offset still retained, and the one after the last.
    start
        The offset that the configured start (earliest, latest, a timestamp) resolves to.
    committed
        The offset that this service, or another one in its place, has noted outside of its store; None for
        none. It is never read from there: it only says that a store is older than it should be.
    is_new
        Whether it was created since the source was opened, so that nobody can have passed it over.
    """

    partition: Partition
    first: int
    end: int
    start: int
    committed: int | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """Offsets `first` to `last` (both included) that a log holds and that cannot be read, and why."""

    first: int
    last: int
    cause: str


PAUSE_REASONS = ("codec", "damaged", "unreadable")
"""Why a partition is not read on: a library is missing, the configuration says to stop at damage, or the
broker returns nothing."""


@dataclass(frozen=True, slots=True)
class PausedPartition:
    """A partition that is not read on until somebody does something.

    Parameters
    ----------
    partition, offset
        The partition, and the first offset that is not read.
    reason
        One of `PAUSE_REASONS`.
    cause, remedy
        For people: what is wrong, and what to do.
    """

    partition: Partition
    offset: int
    reason: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition, in order, and what follows them.

    Parameters
    ----------
    partition, records
        The partition and its records.
    timer_ns, timer_number
        Time and number of a timer, if one follows.
    damaged
        The offsets behind them that cannot be read, if any; reading goes on behind those.
    timer_by_watermark
        Whether the timer's time counts from the log's watermark, as before `fold4`, not its running time.
    control
        A recorded control input of a detector, if one follows.
    newest_ns
        Time of the newest record that the log had when these were fetched, `NO_TIME` where that is unknown.
        It says how late what is found in them is, and nothing that is detected depends on it.
    most_behind_s
        How far behind these can be at most, in seconds: since when the log was last read to its end.
    merges
        In a recording of a joined log the partitions whose records follow, up to a chunk of each that
        `is_complete`; the others have none among these.
    is_complete
        Whether the partition has no more records that are merged with those of the others.
    is_idle
        Whether the others went on without the partition then.
    """

    partition: Partition
    records: Sequence[Record]
    timer_ns: int | None = None
    timer_number: int | None = None
    damaged: DamagedRange | None = None
    timer_by_watermark: bool = False
    control: ControlInput | None = None
    newest_ns: int = NO_TIME
    most_behind_s: float = inf
    merges: tuple[Partition, ...] | None = None
    is_complete: bool = False
    is_idle: bool = False

    @property
    def has_records_only(self) -> bool:
        """Whether it holds records, and nothing that follows them."""
        follows = self.timer_ns, self.damaged, self.control, self.merges
        return bool(self.records) and not (self.is_complete or self.is_idle) and follows == (None,) * 4
