"""One member of a consumer group: which partitions it has, and that it reads them where it is told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition

from streamer.messages.records import Log, Partition
from streamer.sources.kafka.client_internals import (
    ask_to_rejoin,
    asked_at_once,
    handed_out,
    incarnation,
    partition_count,
    take_missed,
)
from streamer.sources.kafka.kafka_settings import KafkaSettings, is_pattern
from streamer.sources.kafka.log_positions import describe, find_topics, topic_pattern
from streamer.sources.kafka.poller import Poller
from streamer.sources.source import Assignments

ASK_AGAIN_AFTER_S = 1.0
"""Least time between two questions where one log is to be read."""

GROUP_WITHIN_MS = 5_000
"""How long a question for what the group's members have may take before it counts as an outage."""

_log = structlog.get_logger(__name__)


class Member:
    """A subscribed consumer.

    Parameters
    ----------
    consumer
        Connected, not subscribed yet.
    settings
        Where reading starts.
    assignments
        Asked where to read, and told what is taken away; always on the thread that calls.
    """

    def __init__(self, consumer: KafkaConsumer, settings: KafkaSettings, assignments: Assignments) -> None:
        self.owned: dict[TopicPartition, Partition] = {}
        self._consumer = consumer
        self._settings = settings
        self._assignments = assignments
        self._poller = Poller(consumer, self._give_up)
        self._at_open: frozenset[Partition] = frozenset()
        self._gone: set[str] = set()
        self._counts: dict[str, int] | None = None
        self._ask_at = 0.0

    def subscribe(self, globs: Sequence[str]) -> None:
        """Join the group for these topics.

        Raises
        ------
        TapewatchError
            When a topic that is named does not exist, or nothing matches at all.
        kafka.errors.KafkaError
            When the broker cannot be asked.
        """
        with asked_at_once(self._consumer):
            self._at_open = find_topics(self._consumer, globs, ", ".join(self._settings.servers))
            if any(is_pattern(glob) for glob in globs):
                self._consumer.subscribe(pattern=topic_pattern(globs), listener=self._poller)
            else:
                self._consumer.subscribe(topics=sorted(set(globs)), listener=self._poller)
            # Having the partitions' list before the group is joined saves joining it a second time.
            self._consumer.topics()

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """As the consumer's own `poll`; on the way partitions may go."""
        found = self._poller.poll(timeout_ms, max_records)
        if not self._poller.busy:
            missed = take_missed(self._consumer)
            self._poller.hold(one for one in self.owned if one.topic in missed)
        return {one: records for one, records in found.items() if one not in self._poller.fresh}

    def settle(self) -> None:
        """Take over partitions that have come, in whatever way; cheap where there are none.

        Raises
        ------
        kafka.errors.KafkaError
            When the broker cannot be asked; they wait then.
        """
        if self._poller.busy:
            return
        for topic in {one.topic for one in self.owned}:
            self._watch(topic)
        self._look_for_new()
        now = time.monotonic()
        fresh = self._poller.fresh & self._consumer.assignment()
        if not fresh or now < self._ask_at:
            return
        self._ask_at = now + ASK_AGAIN_AFTER_S
        with asked_at_once(self._consumer):
            logs = describe(self._consumer, fresh, self._settings, self._at_open)
        if len(logs) == len(fresh):
            self._ask_at = 0.0
        self._take_over({TopicPartition(log.partition.topic, log.partition.partition): log for log in logs})

    def ask_again(self, partitions: Iterable[TopicPartition]) -> None:
        """Ask anew where to read these: their logs are not what they were."""
        mine = sorted(one for one in partitions if one in self.owned)
        _log.warning("a log is not where it was expected", partitions=[self.owned[one] for one in mine])
        self._poller.hold(mine)
        self._ask_at = time.monotonic() + ASK_AGAIN_AFTER_S

    @property
    def busy(self) -> bool:
        """Whether the group keeps the consumer busy; it must not be used meanwhile."""
        return self._poller.busy

    @property
    def readable(self) -> list[TopicPartition]:
        """The partitions that are being read."""
        held = self._poller.fresh
        return [one for one in self.owned if one not in held and one.topic not in self._gone]

    def close(self) -> None:
        """Leave without the group noticing; nothing is revoked."""
        self._poller.close()

    def _take_over(self, logs: Mapping[TopicPartition, Log]) -> None:
        old = [
            before
            for one, log in logs.items()
            if (before := self.owned.get(one)) is not None and before != log.partition
        ]
        if old:
            self._assignments.revoked(old)
        if logs:
            offsets = self._assignments.assigned(list(logs.values()))
            for one, log in logs.items():
                self.owned[one] = log.partition
                self._poller.release(one, offsets[log.partition])

    def _give_up(self, partitions: set[TopicPartition]) -> None:
        given_up = [self.owned.pop(one) for one in sorted(partitions) if one in self.owned]
        if given_up:
            self._assignments.revoked(given_up)

    def _watch(self, topic: str) -> None:
        mine = [one for one in self.owned if one.topic == topic]
        known, now = self.owned[mine[0]].incarnation, incarnation(self._consumer, topic)
        if known and not now:
            if topic not in self._gone:
                _log.warning("a topic is gone", topic=topic)
            self._gone.add(topic)
            return
        self._gone.discard(topic)
        if known != now and not self._poller.fresh.issuperset(mine):
            _log.warning("a topic was deleted and created anew", topic=topic)
            self._poller.hold(mine)

    def _look_for_new(self) -> None:
        # A restarted static member is not told that it leads its group; nobody looks for new partitions then,
        # nor for those that came while it was away.
        if self._counts is None:
            self._counts = handed_out(self._consumer, GROUP_WITHIN_MS)
            if self._counts is None:
                return
        now = {topic: partition_count(self._consumer, topic) for topic in self._consumer.subscription() or ()}
        if any(count > self._counts.get(topic, 0) for topic, count in now.items()):
            ask_to_rejoin(self._consumer)
        self._counts = now
