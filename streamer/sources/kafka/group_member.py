"""One member of a consumer group: the logs it owns, each read from the offsets that the store gives."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.logs import Log, LogExtent
from streamer.messages.records import Extent, Partition
from streamer.sources.kafka.client_internals import (
    assigned_counts,
    cluster_id,
    incarnation,
    partition_count,
    prompt_metadata,
    request_rejoin,
    take_missing_topics,
)
from streamer.sources.kafka.joined_partitions import JoinedPartitions, JoinPlan
from streamer.sources.kafka.kafka_settings import KafkaSettings, is_pattern
from streamer.sources.kafka.known_cluster import KnownCluster
from streamer.sources.kafka.log_alignment import LogAlignment
from streamer.sources.kafka.log_assembly import LogAssembly, as_log
from streamer.sources.kafka.log_positions import describe, find_partitions, topic_pattern
from streamer.sources.kafka.poller import Poller
from streamer.sources.source import Assignments

RETRY_AFTER_S = 1.0
"""Least time between two attempts to place partitions."""

GROUP_WITHIN_MS = 5_000
"""Timeout of a request for the group's assignments; a longer wait counts as an outage."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Joins:
    """What is joined, and for how long a joined log waits for a member that it has read to its end, in s."""

    plan: JoinPlan = field(default_factory=JoinPlan)
    wait_s: float = 0.5


class GroupMember:
    """A subscribed consumer. All partitions of a log are read, or none: it is taken over as a whole.

    Parameters
    ----------
    consumer
        Connected, not subscribed yet.
    settings
        Where reading starts.
    assignments
        Called with the partitions that come and go, always on the caller's thread.
    cluster
        What is known of the cluster. Its topics need not exist: they did, and are read once they are there
        again.
    joins
        What is joined.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        settings: KafkaSettings,
        assignments: Assignments,
        cluster: KnownCluster,
        joins: Joins,
    ) -> None:
        self.owned: dict[TopicPartition, Partition] = {}
        self._consumer = consumer
        self._settings = settings
        self._assignments = assignments
        self._cluster = cluster
        self._joins = joins
        self._assembly = LogAssembly(consumer, joins.plan, cluster.members)
        self._logs: dict[TopicPartition, Log] = {}
        self._to_hold: set[TopicPartition] = set()
        self._poller = Poller(consumer, self._give_up, joins.plan.protocol)
        self._at_open: frozenset[Partition] = frozenset()
        self._deleted: set[str] = set()
        self._partition_counts: dict[str, int] | None = None
        self._place_at = 0.0
        self._ends: dict[TopicPartition, int] = {}

    def subscribe(self, globs: Sequence[str]) -> None:
        """Join the group for these topics.

        Raises
        ------
        TapewatchError
            When a named topic does not exist, or no topic matches, or this is another cluster.
        kafka.errors.KafkaError
            When the broker does not answer.
        """
        servers, known = ", ".join(self._settings.servers), self._cluster.topics
        with prompt_metadata(self._consumer):
            there = self._consumer.topics()
            self._cluster.require(cluster_id(self._consumer), servers)
            self._at_open = find_partitions(self._consumer, globs, servers, known)
            has_topics = not there.isdisjoint(known) if known else bool(self._at_open)
            self._cluster.meet(cluster_id(self._consumer), has_topics=has_topics)
            if not self._cluster.confirmed:
                _log.warning(
                    "none of the topics read before is there; no log ends until one is: is this the right "
                    "cluster?",
                    servers=servers,
                    topics=sorted(known)[:10],
                )
            if any(is_pattern(glob) for glob in globs):
                self._consumer.subscribe(pattern=topic_pattern(globs), listener=self._poller)
            else:
                self._consumer.subscribe(topics=sorted(set(globs)), listener=self._poller)
            # With the list of partitions known before joining, the group is not joined a second time. The
            # library may take the answer to its own request for the only topic, one that is gone, for ours.
            with suppress(errors.UnknownTopicOrPartitionError):
                self._consumer.topics()
        self._assembly.tell_uneven()

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """As the consumer's own `poll`; partitions may be revoked meanwhile."""
        polled = self._poller.poll(timeout_ms, max_records)
        if not self._poller.busy:
            missing = take_missing_topics(self._consumer)
            self._poller.hold(tp for tp in self.owned if tp.topic in missing)
            self._poller.hold(self._to_hold & self._consumer.assignment())
            self._to_hold.clear()
        unread = self._poller.unplaced | self._to_hold
        return {tp: records for tp, records in polled.items() if tp not in unread}

    def place_partitions(self) -> frozenset[Partition]:
        """Start reading logs that are new, or have changed; cheap where there are none.

        Returns
        -------
        frozenset of Partition
            Those that are read from another offset from now on; what was polled of them is no longer wanted.

        Raises
        ------
        kafka.errors.KafkaError
            When the broker does not answer; they stay on hold.
        """
        if self._poller.busy:
            return frozenset()
        for topic in {tp.topic for tp in self.owned}:
            self._check_incarnation(topic)
        self._rejoin_for_new_partitions()
        now = time.monotonic()
        unplaced = self._poller.unplaced & self._consumer.assignment()
        if not unplaced or now < self._place_at:
            return frozenset()
        self._place_at = now + RETRY_AFTER_S
        with prompt_metadata(self._consumer):
            self._consumer.topics()
            logs = self._assembly.complete(unplaced, self._consumer.assignment())
            wanted = {tp for log in logs for tp in log.members}
            self._poller.hold(wanted - self._poller.unplaced)
            extents = describe(self._consumer, wanted, self._settings, self._at_open)
        if wanted >= unplaced and len(extents) == len(wanted):
            self._place_at = 0.0
        self._assembly.tell_uneven()
        return self._take_over(logs, {_place_of(extent.partition): extent for extent in extents})

    def place_again(self, partitions: Iterable[TopicPartition]) -> None:
        """Put partitions on hold whose offsets are no longer valid, until they are placed again."""
        mine = sorted(tp for tp in partitions if tp in self.owned)
        _log.warning("a log does not hold the expected offset", partitions=[self.owned[tp] for tp in mine])
        self._poller.hold(mine)
        self._place_at = time.monotonic() + RETRY_AFTER_S

    def leave(self, partitions: Collection[Partition]) -> None:
        """Stop reading partitions that are gone; one that is back is taken over like a new one.

        A log that has others still is taken over anew, without them.
        """
        for partition in partitions:
            self._assembly.leave(_place_of(partition))
        for tp in [tp for tp, owned in self.owned.items() if owned in partitions]:
            self._poller.hold((tp, *(mate for mate in self._mates(tp) if mate in self.owned)))
            del self.owned[tp]
            self._logs.pop(tp, None)

    @property
    def busy(self) -> bool:
        """Whether the group keeps the consumer busy; it must not be used meanwhile."""
        return self._poller.busy

    @property
    def readable(self) -> list[TopicPartition]:
        """The partitions that are being read."""
        unplaced = self._poller.unplaced
        return [tp for tp in self.owned if tp not in unplaced and tp.topic not in self._deleted]

    @property
    def ends(self) -> dict[TopicPartition, int]:
        """The partitions that are being read, with one past the last offset each had when that began."""
        return {tp: self._ends.get(tp, 0) for tp in self.readable}

    @property
    def placed(self) -> set[TopicPartition]:
        """The partitions that are read from an offset of the store; those of a topic that is gone too."""
        return self.owned.keys() - self._poller.unplaced

    def close(self) -> None:
        """Close the consumer without leaving the group; nothing is revoked."""
        self._poller.close()

    def _take_over(
        self, joined: Sequence[JoinedPartitions], extents: Mapping[TopicPartition, Extent]
    ) -> frozenset[Partition]:
        partitions = {tp: extent.partition for tp, extent in extents.items()}
        logs = [as_log(each, partitions) for each in joined if extents.keys() >= set(each.members)]
        changed = [
            owned
            for log in logs
            for member in log.members
            if (owned := self.owned.get(_place_of(member))) is not None
            and self._logs[_place_of(member)].key != log.key
        ]
        if changed:
            self._assignments.revoked(changed)
        if not logs:
            return frozenset()
        offsets = self._assignments.assigned([self._extent_of(log, extents) for log in logs])
        taken = {_place_of(member): member for log in logs for member in log.members}
        self._logs |= {_place_of(member): log for log in logs for member in log.members}
        self.owned |= taken
        for tp, partition in taken.items():
            self._ends[tp] = extents[tp].end
            self._poller.release(tp, offsets[partition])
        return frozenset(taken.values())

    def _extent_of(self, log: Log, extents: Mapping[TopicPartition, Extent]) -> LogExtent:
        members = tuple(extents[_place_of(member)] for member in log.members)
        align = LogAlignment(self._consumer, members) if log.is_joined else None
        return LogExtent(log, members, self._joins.wait_s, align)

    def _mates(self, partition: TopicPartition) -> list[TopicPartition]:
        """The other partitions of its log."""
        log = self._logs.get(partition)
        members = () if log is None else log.members
        return [tp for tp in map(_place_of, members) if tp != partition]

    def _give_up(self, partitions: set[TopicPartition]) -> None:
        """Give up these partitions, and with each the rest of its log, which waits to be whole again."""
        mates = {mate for tp in partitions for mate in self._mates(tp)} - partitions
        self._to_hold |= {tp for tp in mates if tp in self.owned}
        revoked = [self.owned.pop(tp) for tp in sorted(partitions | mates) if tp in self.owned]
        for tp in partitions | mates:
            self._logs.pop(tp, None)
        if revoked:
            self._assignments.revoked(revoked)

    def _check_incarnation(self, topic: str) -> None:
        mine = [tp for tp in self.owned if tp.topic == topic]
        known, current = self.owned[mine[0]].incarnation, incarnation(self._consumer, topic)
        if known and not current:
            if topic not in self._deleted:
                _log.warning("a topic is gone", topic=topic)
            self._deleted.add(topic)
            return
        self._deleted.discard(topic)
        if known != current and not self._poller.unplaced.issuperset(mine):
            _log.warning("a topic was deleted and created again", topic=topic)
            self._poller.hold(mine)

    def _rejoin_for_new_partitions(self) -> None:
        # A restarted static member is not told that it leads its group, so nobody else notices partitions
        # that are new, or that were created while it was away.
        if self._partition_counts is None:
            self._partition_counts = assigned_counts(self._consumer, GROUP_WITHIN_MS)
            if self._partition_counts is None:
                return
        topics = self._consumer.subscription() or ()
        counts = {topic: partition_count(self._consumer, topic) for topic in topics}
        if any(count > self._partition_counts.get(topic, 0) for topic, count in counts.items()):
            request_rejoin(self._consumer)
        self._partition_counts = counts


def _place_of(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)
