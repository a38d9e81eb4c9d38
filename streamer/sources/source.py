"""The contract of a source of records, and how it learns where to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streamer.messages.records import Chunk, Log, Partition


class Assignments(Protocol):
    """Callbacks of a source for partitions that come and go; implemented by the engine."""

    def assigned(self, logs: Sequence[Log]) -> Mapping[Partition, int]:
        """Take over these partitions; returns the offset to read each of them from."""

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give up these partitions; their pending work is finished before this returns."""


class Source(Protocol):
    """A source of records."""

    def open(self, assignments: Assignments) -> None:
        """Connect; from here on `assignments` decides where to read.

        Raises
        ------
        streamer.errors.TapewatchError
            When the source cannot be reached or does not exist; the message says what to do.
        """

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """Records that have arrived, waiting at most `timeout_s` for some."""

    def at_end(self) -> frozenset[Partition]:
        """The partitions that are read to their end, by a request made now.

        Empty when the source cannot be reached, so that an outage never looks like silence.
        """

    def exhausted(self) -> bool:
        """True when no more records will come (a file at its end)."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Report processed positions; advisory, for lag monitoring only."""

    def close(self) -> None:
        """Disconnect without committing anything."""
