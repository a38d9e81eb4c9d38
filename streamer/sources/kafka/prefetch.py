"""Records prefetched from the consumer, which fetches the next ones meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable
from dataclasses import replace
from heapq import heapify, heappop, heapreplace
from itertools import count
from typing import NamedTuple

from streamer.messages.record_block import bytes_of
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
    >>> bool(prefetch), prefetch.take(3), prefetch.queued(partition), prefetch.nbytes(partition)
    (False, [], 1, 0)

    Attributes
    ----------
    withheld
        Partitions whose records are kept back; they are not taken, and do not count.
    """

    def __init__(self) -> None:
        self._queues: dict[Partition, _Queue] = {}
        self._arrived = count()
        self.withheld: Collection[Partition] = frozenset()

    def __bool__(self) -> bool:
        return any(partition not in self.withheld for partition in self._queues)

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions of the queued records, withheld ones too."""
        return frozenset(self._queues)

    def queued(self, partition: Partition) -> int:
        """How many records of a partition are queued."""
        queue = self._queues.get(partition)
        return 0 if queue is None else queue.count

    def nbytes(self, partition: Partition) -> int:
        """How many bytes the values have that are queued of a partition."""
        queue = self._queues.get(partition)
        return 0 if queue is None else queue.nbytes

    def append(self, chunks: Iterable[Chunk]) -> None:
        """Queue more chunks."""
        for chunk in chunks:
            queue = self._queues.get(chunk.partition)
            if queue is None:
                queue = self._queues[chunk.partition] = _Queue()
            queue.append(_Arrived(next(self._arrived), chunk))

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop the records of these partitions; they are read anew."""
        self._queues = {each: queue for each, queue in self._queues.items() if each not in partitions}

    def retain(self, partitions: Container[Partition]) -> None:
        """Drop the records of all other partitions; their new owner reads them."""
        self._queues = {each: queue for each, queue in self._queues.items() if each in partitions}

    def take(self, limit: int) -> list[Chunk]:
        """Remove and return the next records in the order in which they came, at most `limit`."""
        heads = [
            (queue.chunks[0].number, partition)
            for partition, queue in self._queues.items()
            if partition not in self.withheld
        ]
        heapify(heads)
        chunks: list[Chunk] = []
        while heads and limit > 0:
            _, partition = heads[0]
            queue = self._queues[partition]
            chunks.append(queue.take(limit))
            limit -= len(chunks[-1].records)
            if queue.chunks:
                heapreplace(heads, (queue.chunks[0].number, partition))
            else:
                heappop(heads)
                del self._queues[partition]
        return chunks


class _Arrived(NamedTuple):
    """A chunk, and how many had come before it."""

    number: int
    chunk: Chunk


class _Queue:
    """What is queued of one partition: never empty."""

    def __init__(self) -> None:
        self.chunks: deque[_Arrived] = deque()
        self.count = 0
        self.nbytes = 0

    def append(self, arrived: _Arrived) -> None:
        self.chunks.append(arrived)
        self.count += len(arrived.chunk.records)
        self.nbytes += bytes_of(arrived.chunk.records)

    def take(self, limit: int) -> Chunk:
        number, chunk = self.chunks.popleft()
        records = chunk.records
        if len(records) > limit:
            self.chunks.appendleft(_Arrived(number, replace(chunk, records=records[limit:])))
            chunk = replace(chunk, records=records[:limit])
        self.count -= len(chunk.records)
        self.nbytes -= bytes_of(chunk.records)
        return chunk
