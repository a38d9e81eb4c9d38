"""A source with somebody looking on: when it was polled, and each time it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streamer.messages.records import Chunk, Partition
from streamer.sources.source import Assignments, Source


class WatchedSource:
    """Passes everything on to another source, and says when records came.

    Parameters
    ----------
    source
        Where they come from.
    before
        Called before each poll, on the thread that polls.
    polled
        Shown what a poll brought where it brought something, before that is handed on.
    """

    def __init__(
        self, source: Source, before: Callable[[], None], polled: Callable[[Sequence[Chunk]], None]
    ) -> None:
        self._source = source
        self._before = before
        self._polled = polled

    def open(self, assignments: Assignments) -> None:
        """Open the other source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """What the other source has."""
        self._before()
        chunks = self._source.poll(timeout_s)
        if chunks:
            self._polled(chunks)
        return chunks

    def at_end(self) -> frozenset[Partition]:
        """As the other source says."""
        return self._source.at_end()

    def exhausted(self) -> bool:
        """As the other source says."""
        return self._source.exhausted()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the other source."""
        self._source.commit(positions)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()
