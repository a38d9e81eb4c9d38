"""Assigns partitions to the members of a consumer group so that those of one log go to one member."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyAssignmentExecutor,
    StickyAssignorMemberMetadataV1,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

from streamer.sources.kafka.joined_partitions import JoinedPartitions, JoinPlan

_WITH_GENERATION = 2  # version of what members tell; the first that says of which generation it is


class OtherAssignorError(errors.KafkaError):  # type: ignore[misc]  # kafka-python has no types
    """The group works by another assignor than the one that keeps joined partitions together."""


class JoinedAssignor(CooperativeStickyAssignor):  # type: ignore[misc]
    """The cooperative sticky assignor over logs instead of partitions.

    Each log is balanced, and stays where it is, as one partition would. Its partitions move in two rounds, as
    with every cooperative assignor (KIP-429): first whoever has one gives it up, then all of them are
    assigned to the log's new owner.

    Parameters
    ----------
    plan
        The joins; they give the assignor its name.
    """

    def __init__(self, plan: JoinPlan) -> None:
        super().__init__()
        self.name = plan.protocol
        self._plan = plan

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolSubscription:
        """What a member tells the leader: its topics, what it owns, and since which generation."""
        told = super().metadata(topics)
        return ConsumerProtocolSubscription(
            version=_WITH_GENERATION,
            topics=told.topics,
            user_data=told.user_data,
            owned_partitions=told.owned_partitions,
            generation_id=self.generation,
        )

    def assign(self, cluster: Any, members: Iterable[Any]) -> dict[str, ConsumerProtocolAssignment]:
        """The assignment of each member of the group, as its leader decides it."""
        parsed = {member.member_id: self.parse_member_metadata(member.metadata) for member in members}
        topics = sorted({topic for each in parsed.values() for topic in each.subscription})
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        owners = {tp: member for member, each in _oldest_first(parsed) for tp in each.partitions}
        logs = {log.members[0]: log for log in self._plan.logs(counts)}
        wanted = _balanced(logs, parsed, owners)
        return {
            member: _assignment(
                self.version,
                [
                    tp
                    for first in wanted[member]
                    for tp in logs[first].members
                    if owners.get(tp, member) == member and tp.topic in parsed[member].subscription
                ],
            )
            for member in parsed
        }


def _oldest_first(
    parsed: Mapping[str, StickyAssignorMemberMetadataV1],
) -> list[tuple[str, StickyAssignorMemberMetadataV1]]:
    """The members by the generation of what they own: of two that claim a partition the newer has it."""
    return sorted(parsed.items(), key=lambda item: item[1].generation)


def _balanced(
    logs: Mapping[TopicPartition, JoinedPartitions],
    parsed: Mapping[str, StickyAssignorMemberMetadataV1],
    owners: Mapping[TopicPartition, str],
) -> dict[str, Sequence[TopicPartition]]:
    """The first partition of each log, by who is to have the log."""
    held: dict[str, list[TopicPartition]] = defaultdict(list)
    for first, log in logs.items():
        of_log = Counter(owners[tp] for tp in log.members if tp in owners)
        if of_log:
            held[min(of_log, key=lambda member: (-of_log[member], member))].append(first)
    firsts = {
        member: StickyAssignorMemberMetadataV1(each.subscription, held[member], each.generation)
        for member, each in parsed.items()
    }
    executor = StickyAssignmentExecutor(_FirstPartitions(logs), firsts)
    executor.perform_initial_assignment()
    executor.balance()
    return {
        member: [
            TopicPartition(topic, number)
            for topic, numbers in executor.get_final_assignment(member)
            for number in numbers
        ]
        for member in parsed
    }


class _FirstPartitions:
    """The cluster as it would be if each log had its first partition only."""

    def __init__(self, firsts: Collection[TopicPartition]) -> None:
        self._numbers: dict[str, set[int]] = defaultdict(set)
        for topic, number in firsts:
            self._numbers[topic].add(number)

    def topics(self) -> set[str]:
        return set(self._numbers)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return self._numbers.get(topic, set())


def _assignment(version: int, partitions: Iterable[TopicPartition]) -> ConsumerProtocolAssignment:
    by_topic: dict[str, list[int]] = defaultdict(list)
    for topic, number in partitions:
        by_topic[topic].append(number)
    return ConsumerProtocolAssignment(
        version, sorted((topic, sorted(numbers)) for topic, numbers in by_topic.items()), b""
    )
