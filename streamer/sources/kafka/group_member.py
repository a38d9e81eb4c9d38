"""One member of a consumer group: the partitions it owns, each read from the offset that the store gives."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.logs import LogExtent
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
from streamer.sources.kafka.kafka_settings import KafkaSettings, is_pattern
from streamer.sources.kafka.known_cluster import KnownCluster
from streamer.sources.kafka.log_positions import describe, find_partitions, topic_pattern
from streamer.sources.kafka.poller import Poller
from streamer.sources.source import Assignments

RETRY_AFTER_S = 1.0
"""Least time between two attempts to place partitions."""

GROUP_WITHIN_MS = 5_000
"""Timeout of a request for the group's assignments; a longer wait counts as an outage."""

_log = structlog.get_logger(__name__)


class GroupMember:
    """A subscribed consumer.

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
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        settings: KafkaSettings,
        assignments: Assignments,
        cluster: KnownCluster,
    ) -> None:
        self.owned: dict[TopicPartition, Partition] = {}
        self._consumer = consumer
        self._settings = settings
        self._assignments = assignments
        self._cluster = cluster
        self._poller = Poller(consumer, self._give_up)
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

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """As the consumer's own `poll`; partitions may be revoked meanwhile."""
        polled = self._poller.poll(timeout_ms, max_records)
        if not self._poller.busy:
            missing = take_missing_topics(self._consumer)
            self._poller.hold(tp for tp in self.owned if tp.topic in missing)
        return {tp: records for tp, records in polled.items() if tp not in self._poller.unplaced}

    def place_partitions(self) -> None:
        """Start reading partitions that are new, or whose log has changed; cheap where there are none.

        Raises
        ------
        kafka.errors.KafkaError
            When the broker does not answer; they stay on hold.
        """
        if self._poller.busy:
            return
        for topic in {tp.topic for tp in self.owned}:
            self._check_incarnation(topic)
        self._rejoin_for_new_partitions()
        now = time.monotonic()
        unplaced = self._poller.unplaced & self._consumer.assignment()
        if not unplaced or now < self._place_at:
            return
        self._place_at = now + RETRY_AFTER_S
        with prompt_metadata(self._consumer):
            logs = describe(self._consumer, unplaced, self._settings, self._at_open)
        if len(logs) == len(unplaced):
            self._place_at = 0.0
        self._take_over({TopicPartition(log.partition.topic, log.partition.partition): log for log in logs})

    def place_again(self, partitions: Iterable[TopicPartition]) -> None:
        """Put partitions on hold whose offsets are no longer valid, until they are placed again."""
        mine = sorted(tp for tp in partitions if tp in self.owned)
        _log.warning("a log does not hold the expected offset", partitions=[self.owned[tp] for tp in mine])
        self._poller.hold(mine)
        self._place_at = time.monotonic() + RETRY_AFTER_S

    def leave(self, partitions: Collection[Partition]) -> None:
        """Stop reading partitions whose logs have ended; one that is back is taken over like a new one."""
        for tp in [tp for tp, owned in self.owned.items() if owned in partitions]:
            self._poller.hold((tp,))
            del self.owned[tp]

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

    def _take_over(self, logs: Mapping[TopicPartition, Extent]) -> None:
        replaced = [
            owned
            for tp, log in logs.items()
            if (owned := self.owned.get(tp)) is not None and owned != log.partition
        ]
        if replaced:
            self._assignments.revoked(replaced)
        if logs:
            offsets = self._assignments.assigned([LogExtent.of(extent) for extent in logs.values()])
            for tp, log in logs.items():
                self.owned[tp] = log.partition
                self._ends[tp] = log.end
                self._poller.release(tp, offsets[log.partition])

    def _give_up(self, partitions: set[TopicPartition]) -> None:
        revoked = [self.owned.pop(tp) for tp in sorted(partitions) if tp in self.owned]
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
