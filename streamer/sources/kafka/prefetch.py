"""Records that were taken from the consumer and wait for their turn, while it fetches the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable

from streamer.messages.records import Chunk, Partition


class Prefetch:
    """Chunks in the order in which they were taken, given on so many records at a time.

    Examples
    --------
    >>> from streamer.messages.records import Record
    >>> ahead, one = Prefetch(), Partition("trades", "", 0)
    >>> ahead.add([Chunk(one, [Record(offset, b"") for offset in range(5)])])
    >>> [[record.offset for chunk in ahead.take(3) for record in chunk.records] for _ in range(3)]
    [[0, 1, 2], [3, 4], []]
    """

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def partitions(self) -> frozenset[Partition]:
        """Those of which records wait."""
        return frozenset(chunk.partition for chunk in self._chunks)

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Put more behind those that wait."""
        self._chunks.extend(chunks)

    def keep(self, partitions: Container[Partition]) -> None:
        """Drop records of any other: whoever has those partitions now reads them."""
        self._chunks = deque(chunk for chunk in self._chunks if chunk.partition in partitions)

    def take(self, most: int) -> list[Chunk]:
        """The next records, at most so many."""
        found: list[Chunk] = []
        while self._chunks and most > 0:
            chunk = self._chunks.popleft()
            records = chunk.records
            if len(records) > most:
                self._chunks.appendleft(Chunk(chunk.partition, records[most:]))
                chunk = Chunk(chunk.partition, records[:most])
            most -= len(chunk.records)
            found.append(chunk)
        return found
