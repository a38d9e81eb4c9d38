"""What a source is: where records come from, and how it is told where to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streamer.messages.records import Chunk, Log, Partition


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
