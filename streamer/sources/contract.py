"""What a source is: where records come from, and how it is told where to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from streamer.events.batch import NO_TIME


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
    headers: tuple[tuple[str, bytes | None], ...] = ()


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
    """Records of one partition, in order; `ticks` are times (ns) of recorded ticks that follow them."""

    partition: Partition
    records: Sequence[Record]
    tick: int | None = None
    tick_number: int | None = None


class Assignments(Protocol):
    """What a source asks when partitions come and go; the engine answers."""

    def assigned(self, logs: Sequence[Log]) -> Mapping[Partition, int]:
        """Take over these partitions; returns the offset at which to read each of them."""

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give up these partitions: what is owed for them is finished before this returns."""


class Source(Protocol):
    """A place records come from."""

    def open(self, assignments: Assignments) -> None:
        """Connect; from here on `assignments` is asked where to read.

        Raises
        ------
        streamer.errors.TapewatchError
            When the source cannot be reached or does not exist; the message says what to do.
        """

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """Records that have arrived, waiting for some at most `timeout_s`."""

    def at_end(self) -> frozenset[Partition]:
        """The partitions that a fetch made just now shows to be read to their end.

        Empty when the source cannot be reached, so that an outage never looks like silence.
        """

    def exhausted(self) -> bool:
        """True when no record will ever come again (a file at its end)."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the source how far things have been dealt with; advisory, for lag tools only."""

    def close(self) -> None:
        """Leave, without committing anything."""
