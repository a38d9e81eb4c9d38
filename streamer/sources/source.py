"""The contract of a source of records, and how it learns where to start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Partition


class Assignments(Protocol):
    """Callbacks of a source for logs that come and go; implemented by the engine."""

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        """Take over these logs; returns the offset to read each of their partitions from.

        A log is taken over as a whole: where one of its partitions is new, was made anew, is gone (it is left
        out then) or must be placed again, all that are there are given, and read from the offsets returned.
        """

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give up the logs of these partitions; their pending work is finished before this returns."""


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

    def finished(self) -> frozenset[Partition]:
        """The partitions that bring nothing more, ever: files that were read to their end.

        A joined log does not wait for them. It asks after a `poll` whose records are all taken.
        """

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Return no records of these partitions until this is called again, with others.

        A joined log that waits for one of its members has enough of them. All other partitions are read.
        """

    def exhausted(self) -> bool:
        """True when no more records will come (a file at its end)."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Report processed positions; advisory, for lag monitoring only."""

    def close(self) -> None:
        """Disconnect without committing anything."""
