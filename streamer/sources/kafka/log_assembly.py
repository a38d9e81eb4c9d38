"""Which log each partition of a consumer is read in, and whether all of that log is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import structlog
from kafka import KafkaConsumer, TopicPartition

from streamer.messages.logs import Log
from streamer.messages.records import Partition
from streamer.sources.kafka.client_internals import partition_count
from streamer.sources.kafka.joined_partitions import JoinedPartitions, JoinPlan, uneven_text

_log = structlog.get_logger(__name__)


class LogAssembly:
    """Puts partitions together to logs.

    A log keeps its name, and waits, while a member that it had is not there: a topic that a broker does not
    show for a moment, or that another member of the group has not given up yet, is no other log. It goes on
    without the member once that is known to be gone.

    Parameters
    ----------
    consumer
        Connected; its cached metadata says which partitions there are.
    plan
        The joins.
    known
        Members of joined logs that were read before.
    """

    def __init__(self, consumer: KafkaConsumer, plan: JoinPlan, known: Iterable[Partition] = ()) -> None:
        self._consumer = consumer
        self._plan = plan
        self._counts: dict[str, int] = {}
        self._gone: set[TopicPartition] = set()
        self._told: dict[str, Mapping[str, int]] = {}
        for topic, _, number in known:
            self._counts[topic] = max(self._counts.get(topic, 0), number + 1)

    def complete(
        self, wanted: Iterable[TopicPartition], assigned: Collection[TopicPartition]
    ) -> list[JoinedPartitions]:
        """The logs of some partitions, without the members that are gone; only logs that are whole.

        Parameters
        ----------
        wanted
            Partitions that are to be read; those that do not exist are in no log.
        assigned
            All partitions that the group has assigned to this consumer.
        """
        there = [tp for tp in wanted if self._exists(tp)]
        logs: dict[TopicPartition, JoinedPartitions] = {}
        for tp in sorted(there):
            log = self._plan.log_of(tp, self._count)
            logs.setdefault(log.members[0], log)
        whole = []
        for log in logs.values():
            members = tuple(tp for tp in log.members if tp not in self._gone or self._exists(tp))
            if all(tp in assigned and self._exists(tp) for tp in members):
                self._gone.difference_update(members)
                whole.append(log._replace(members=members))
        return whole

    def leave(self, partition: TopicPartition) -> None:
        """Note that a member is gone for good, unless it exists again."""
        self._gone.add(partition)

    def tell_uneven(self) -> None:
        """Log a warning, once for the same counts, where the topics of a join have different ones."""
        counts = {topic: self._count(topic) for join in self._plan.joins for topic in join.topics}
        for join, of_join in self._plan.uneven(counts):
            if self._told.get(join.name) != of_join:
                self._told[join.name] = of_join
                _log.warning("joined topics differ in partitions", problem=uneven_text(join, of_join))

    def _exists(self, partition: TopicPartition) -> bool:
        return bool(partition.partition < partition_count(self._consumer, partition.topic))

    def _count(self, topic: str) -> int:
        """How many partitions a topic has, or had."""
        self._counts[topic] = max(self._counts.get(topic, 0), partition_count(self._consumer, topic))
        return self._counts[topic]


def as_log(joined: JoinedPartitions, partitions: Mapping[TopicPartition, Partition]) -> Log:
    """A log of partitions that exist, each with its incarnation."""
    members = [partitions[tp] for tp in joined.members]
    return Log.joined(joined.topics, joined.number, members) if joined.is_joined else Log.of(members[0])
