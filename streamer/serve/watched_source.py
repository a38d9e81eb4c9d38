"""A source with callbacks around each poll."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from streamer.messages.records import Chunk, Partition
from streamer.sources.source import Assignments, Source


class WatchedSource:
    """Delegates to another source, with a callback before each poll and one for the chunks it returns.

    Parameters
    ----------
    source
        The source to delegate to.
    before
        Called before each poll, on the polling thread.
    polled
        Called with the chunks of a poll that returned any, before they are processed.
    asking
        A context for what may take as long as whoever is asked takes to answer.
    """

    def __init__(
        self,
        source: Source,
        before: Callable[[], None],
        polled: Callable[[Sequence[Chunk]], None],
        asking: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._source = source
        self._before = before
        self._polled = polled
        self._asking = asking

    def open(self, assignments: Assignments) -> None:
        """Open the wrapped source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """Poll the wrapped source."""
        self._before()
        with self._asking():
            chunks = self._source.poll(timeout_s)
        if chunks:
            self._polled(chunks)
        return chunks

    def at_end(self) -> frozenset[Partition]:
        """See the wrapped source."""
        with self._asking():
            return self._source.at_end()

    def finished(self) -> frozenset[Partition]:
        """See the wrapped source."""
        return self._source.finished()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """See the wrapped source."""
        self._source.withhold(partitions)

    def exhausted(self) -> bool:
        """See the wrapped source."""
        return self._source.exhausted()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit to the wrapped source."""
        self._source.commit(positions)

    def close(self) -> None:
        """Close the wrapped source."""
        with self._asking():
            self._source.close()
