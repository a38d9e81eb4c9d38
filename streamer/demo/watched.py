"""A source that lets somebody look at what passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streamer.sources.contract import Assignments, Chunk, Partition, Source


class WatchedSource:
    """Another source, unchanged; a `Source`.

    Parameters
    ----------
    source
        Where records come from.
    seen
        Shown what every poll brings, before it is handed on.
    """

    def __init__(self, source: Source, seen: Callable[[Sequence[Chunk]], None]) -> None:
        self._source = source
        self._seen = seen

    def open(self, assignments: Assignments) -> None:
        """Open the other source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """What the other source brings."""
        chunks = self._source.poll(timeout_s)
        self._seen(chunks)
        return chunks

    def at_end(self) -> frozenset[Partition]:
        """As the other source says."""
        return self._source.at_end()

    def exhausted(self) -> bool:
        """As the other source says."""
        return self._source.exhausted()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Passed on."""
        self._source.commit(positions)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()
