"""Records prefetched from the consumer, which fetches the next ones meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable
from dataclasses import replace

from streamer.messages.records import Chunk, Partition


class Prefetch:
    """A queue of chunks from which a given number of records is taken at a time.

    Examples
    --------
    >>> from streamer.messages.records import Record
    >>> prefetch, partition = Prefetch(), Partition("trades", "", 0)
    >>> prefetch.append([Chunk(partition, [Record(offset, b"") for offset in range(5)])])
    >>> [[record.offset for chunk in prefetch.take(3) for record in chunk.records] for _ in range(3)]
    [[0, 1, 2], [3, 4], []]
    >>> prefetch.append([Chunk(partition, [Record(5, b"")])])
    >>> prefetch.withheld = {partition}
    >>> bool(prefetch), prefetch.take(3), prefetch.queued(partition)
    (False, [], 1)

    Attributes
    ----------
    withheld
        Partitions whose records are kept back; they are not taken, and do not count.
    """

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self.withheld: Collection[Partition] = frozenset()

    def __bool__(self) -> bool:
        return any(chunk.partition not in self.withheld for chunk in self._chunks)

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions of the queued records, withheld ones too."""
        return frozenset(chunk.partition for chunk in self._chunks)

    def queued(self, partition: Partition) -> int:
        """How many records of a partition are queued."""
        return sum(len(chunk.records) for chunk in self._chunks if chunk.partition == partition)

    def append(self, chunks: Iterable[Chunk]) -> None:
        """Queue more chunks."""
        self._chunks.extend(chunks)

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop the records of these partitions; they are read anew."""
        self._chunks = deque(chunk for chunk in self._chunks if chunk.partition not in partitions)

    def retain(self, partitions: Container[Partition]) -> None:
        """Drop the records of all other partitions; their new owner reads them."""
        self._chunks = deque(chunk for chunk in self._chunks if chunk.partition in partitions)

    def take(self, limit: int) -> list[Chunk]:
        """Remove and return the next records, at most `limit`."""
        chunks: list[Chunk] = []
        kept: list[Chunk] = []
        while self._chunks and limit > 0:
            chunk = self._chunks.popleft()
            if chunk.partition in self.withheld:
                kept.append(chunk)
                continue
            records = chunk.records
            if len(records) > limit:
                self._chunks.appendleft(replace(chunk, records=records[limit:]))
                chunk = replace(chunk, records=records[:limit])
            limit -= len(chunk.records)
            chunks.append(chunk)
        self._chunks.extendleft(reversed(kept))
        return chunks
