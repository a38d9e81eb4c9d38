"""Partitions of which a joined log has enough: no more of them is fetched for a while."""

from __future__ import annotations

from collections.abc import Collection

from kafka import KafkaConsumer, TopicPartition

from streamer.messages.records import Partition
from streamer.sources.kafka.client_internals import resume
from streamer.sources.kafka.group_member import GroupMember
from streamer.sources.kafka.prefetch import Prefetch

ENOUGH_POLLS = 2
"""A withheld partition is paused once records of so many polls of it are queued; not at once, since what was
fetched of it and not returned yet is fetched again."""

ENOUGH_BYTES, ENOUGH_BYTES_OF_ALL = 1 << 26, 1 << 28
"""It is paused as well once its queued records have so many bytes, or those of all that are withheld have."""


class WithheldPartitions:
    """Keeps the records of some partitions back, in the queue and in the consumer.

    Parameters
    ----------
    consumer, member
        The consumer, and who knows which partitions it owns.
    prefetch
        The queue.
    enough
        How many queued records of a withheld partition are enough.
    """

    def __init__(self, consumer: KafkaConsumer, member: GroupMember, prefetch: Prefetch, enough: int) -> None:
        self._consumer = consumer
        self._member = member
        self._prefetch = prefetch
        self._enough = enough
        self._paused: set[TopicPartition] = set()

    @property
    def paused(self) -> Collection[TopicPartition]:
        """The partitions that are paused only because they are withheld."""
        return self._paused

    def set(self, partitions: Collection[Partition]) -> None:
        """Withhold these from now on, and no others."""
        self._prefetch.withheld = frozenset(partitions)

    def work(self) -> None:
        """Pause partitions of which enough is queued, and resume those that are wanted; between polls."""
        withheld = self._prefetch.withheld
        if not withheld and not self._paused:
            return
        paused, placed = self._consumer.paused(), self._member.placed
        self._paused &= paused & placed  # others were placed again, or are not ours any more
        for tp in [tp for tp in self._paused if self._member.owned[tp] not in withheld]:
            self._paused.discard(tp)
            resume(self._consumer, tp)
        all_have_enough = sum(map(self._prefetch.nbytes, withheld)) >= ENOUGH_BYTES_OF_ALL
        for tp in self._member.readable:
            owned = self._member.owned[tp]
            if owned in withheld and tp not in paused and (all_have_enough or self._has_enough(owned)):
                self._consumer.pause(tp)
                self._paused.add(tp)

    def _has_enough(self, partition: Partition) -> bool:
        return (
            self._prefetch.queued(partition) >= self._enough
            or self._prefetch.nbytes(partition) >= ENOUGH_BYTES
        )
