"""Which partitions of a cluster are folded as one log, by the joins of a configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kafka import TopicPartition

from alerts.counting import counted
from streamer.messages.logs import ALL
from streamer.sources.join_settings import JoinSettings

Counts = Mapping[str, int]
"""How many partitions each topic has."""


class JoinedPartitions(NamedTuple):
    """The partitions of one log, in the order in which they are merged.

    Parameters
    ----------
    topics
        The topics that the log is named by; one where it is named by its only partition.
    number
        The partition number that they have in common, or `ALL`.
    members
        The partitions.
    """

    topics: tuple[str, ...]
    number: int
    members: tuple[TopicPartition, ...]

    @property
    def is_joined(self) -> bool:
        """Whether it has, or may come to have, several members."""
        return len(self.topics) > 1 or self.number == ALL

    def __str__(self) -> str:
        return f"{'+'.join(self.topics)}[{'*' if self.number == ALL else self.number}]"


@dataclass(frozen=True)
class JoinPlan:
    """What the joins of a configuration make of a cluster's partitions.

    Parameters
    ----------
    joins
        The joins; each topic is in one of them at most.

    Examples
    --------
    >>> plan = JoinPlan((JoinSettings(topics=("trades", "orders")),))
    >>> [str(log) for log in plan.logs({"trades": 2, "orders": 1, "news": 1})]
    ['trades+orders[0]', 'trades[1]', 'news[0]']
    >>> plan.protocol
    'tapewatch-join-2e10d868'
    """

    joins: tuple[JoinSettings, ...] = ()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are joined."""
        return tuple(topic for join in self.joins for topic in join.topics)

    @property
    def protocol(self) -> str:
        """The name of the assignor that keeps their partitions together, another one for other joins.

        Members of a group with other joins have none of these in common, so the broker itself sees to it
        that whoever assigns partitions does so by the joins of all. Empty without joins.
        """
        if not self.joins:
            return ""
        written = sorted([join.partitions, *join.topics] for join in self.joins)
        digest = hashlib.sha256(json.dumps(written).encode()).hexdigest()
        return f"{PROTOCOL_PREFIX}{digest[:8]}"

    def join_of(self, topic: str) -> JoinSettings | None:
        """The join that a topic stands in."""
        return next((join for join in self.joins if topic in join.topics), None)

    def logs(self, counts: Counts) -> list[JoinedPartitions]:
        """The logs of all partitions of these topics; a topic without partitions is in none.

        A number that not all topics of a join have makes a log of those that have it.
        """
        logs: list[JoinedPartitions] = []
        for join in self.joins:
            logs += _joined(join, counts)
        joined = self.topics
        for topic, count in counts.items():
            if topic not in joined:
                logs += [_alone(TopicPartition(topic, number)) for number in range(count)]
        return logs

    def log_of(self, partition: TopicPartition, count: Callable[[str], int]) -> JoinedPartitions:
        """The log of a partition, which need not be among those that `count` knows of."""
        join = self.join_of(partition.topic)
        if join is None:
            return _alone(partition)
        counts = {topic: count(topic) for topic in join.topics}
        counts[partition.topic] = max(counts[partition.topic], partition.partition + 1)
        return next(log for log in _joined(join, counts) if partition in log.members)

    def uneven(self, counts: Counts) -> list[tuple[JoinSettings, Mapping[str, int]]]:
        """The joins by number whose topics have different counts of partitions, with those counts."""
        found: list[tuple[JoinSettings, Mapping[str, int]]] = []
        for join in self.joins:
            of_join = {topic: counts[topic] for topic in join.topics if counts.get(topic)}
            if join.partitions == "each" and len(set(of_join.values())) > 1:
                found.append((join, of_join))
        return found


PROTOCOL_PREFIX = "tapewatch-join-"
"""What the names of all assignors of joined partitions begin with."""


def uneven_text(join: JoinSettings, counts: Counts) -> str:
    """What is said of a join whose topics have different counts of partitions.

    Examples
    --------
    >>> print(uneven_text(JoinSettings(topics=("a", "b", "c")), {"a": 4, "b": 4, "c": 3}))
    a+b+c: a has 4 partitions, b 4 and c 3, so an instrument may be in another partition of c than of a; \
from partition 3 on, a log has only the topics that have the partition. If they are not keyed alike, \
write {topics: [a, b, c], partitions: all}
    """
    least, most = min(counts.values()), max(counts.values())
    first, *others = counts.items()
    said = [f"{first[0]} has {counted(first[1], 'partition')}"]
    said += [f"{topic} {count}" for topic, count in others]
    fewest, largest = (next(topic for topic in counts if counts[topic] == count) for count in (least, most))
    return (
        f"{join.name}: {_listed(said)}, so an instrument may be in another partition of {fewest} than of "
        f"{largest}; from partition {least} on, a log has only the topics that have the partition. If they "
        f"are not keyed alike, write {{topics: [{', '.join(join.topics)}], partitions: all}}"
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _alone(partition: TopicPartition) -> JoinedPartitions:
    return JoinedPartitions((partition.topic,), partition.partition, (partition,))


def _joined(join: JoinSettings, counts: Counts) -> Iterable[JoinedPartitions]:
    if join.partitions == "all":
        members = [
            TopicPartition(topic, number) for topic in join.topics for number in range(counts.get(topic, 0))
        ]
        if members:
            yield JoinedPartitions(join.topics, ALL, tuple(members))
        return
    for number in range(max((counts.get(topic, 0) for topic in join.topics), default=0)):
        topics = tuple(topic for topic in join.topics if counts.get(topic, 0) > number)
        yield JoinedPartitions(topics, number, tuple(TopicPartition(topic, number) for topic in topics))
