"""What waits of partitions that a joined log has enough of is bounded in records and in bytes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import TopicPartition

from streamer.messages.records import Chunk, Partition, Record
from streamer.sources.kafka.prefetch import Prefetch
from streamer.sources.kafka.withheld_partitions import WithheldPartitions

MIB = 1 << 20


class Consumer:
    """What is asked of the library's consumer."""

    def __init__(self) -> None:
        self.stopped: set[TopicPartition] = set()

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped |= set(partitions)


@pytest.mark.parametrize(
    ("partitions", "value", "queued_most"),
    [
        (2, b"", 2 * 1_000),  # by the number of records of each
        (2, bytes(MIB // 2), 2 * 128),  # by 64 MiB of each
        (12, bytes(MIB // 2), 512 + 11),  # by 256 MiB of all
    ],
)
def test_a_withheld_partition_is_paused_by_records_and_bytes(
    partitions: int, value: bytes, queued_most: int
) -> None:
    owned = {TopicPartition("t", number): Partition("t", "i", number) for number in range(partitions)}
    consumer, prefetch = Consumer(), Prefetch()
    member = SimpleNamespace(owned=owned, placed=set(owned), readable=list(owned))
    withheld = WithheldPartitions(cast(Any, consumer), cast(Any, member), prefetch, 1_000)
    withheld.set(owned.values())
    queued = 0
    while consumer.stopped != set(owned):
        assert queued < queued_most
        for tp in owned.keys() - consumer.stopped:
            prefetch.append([Chunk(owned[tp], [Record(queued, value)])])
            queued += 1
        withheld.work()


def test_chunks_are_taken_in_the_order_in_which_they_came() -> None:
    prefetch, (a, b, c) = Prefetch(), (Partition("t", "i", number) for number in range(3))

    def taken(limit: int) -> list[tuple[int, list[int]]]:
        chunks = prefetch.take(limit)
        return [(each.partition.partition, [record.offset for record in each.records]) for each in chunks]

    for number, partition in enumerate((a, b, a, c, b)):
        prefetch.append([Chunk(partition, [Record(2 * number, b"xx"), Record(2 * number + 1, b"xx")])])
    prefetch.withheld = {c}
    assert taken(3) == [(0, [0, 1]), (1, [2])]
    assert (prefetch.queued(b), prefetch.nbytes(b)) == (3, 6)
    assert taken(100) == [(1, [3]), (0, [4, 5]), (1, [8, 9])]
    assert not prefetch
    assert prefetch.partitions == {c}
    prefetch.append([Chunk(a, [Record(10, b"")])])
    prefetch.withheld = frozenset()
    assert taken(100) == [(2, [6, 7]), (0, [10])]
    assert not prefetch.partitions
