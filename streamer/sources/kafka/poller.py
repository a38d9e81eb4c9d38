"""Polls a consumer group member so that what a rebalance asks reaches the thread that called.

kafka-python calls its rebalance listener on its own network thread while `poll` waits. What has to be done
then (finish a batch, commit it) belongs to the thread that owns the data. So `poll` runs on a helper thread
here, and the caller waits for records and for such requests alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition, errors

from streamer.sources.kafka.client_internals import is_fenced, join, resume

JOIN_WITHIN_MS = 60_000
"""Longest single wait for the group; callers are not held up by it."""

GRACE_S = 0.5
"""How much longer than asked a poll may take before its caller goes on without its result."""

CLOSE_WITHIN_MS = 2_000
"""How long closing may take."""

_LOOK_AGAIN_S = 0.1

_log = structlog.get_logger(__name__)

Found = Mapping[TopicPartition, Sequence[Any]]


class _Handover:
    def __init__(self, partitions: set[TopicPartition]) -> None:
        self.partitions = partitions
        self.done = Event()


class Poller(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """One member of a consumer group.

    Partitions that are newly assigned are held back, and listed in `fresh`, until `release` says where to
    read them.

    Parameters
    ----------
    consumer
        Connected, not subscribed yet.
    revoke
        Called within `poll`, on its thread, with partitions that are about to go.
    """

    def __init__(self, consumer: KafkaConsumer, revoke: Callable[[set[TopicPartition]], None]) -> None:
        self.fresh: set[TopicPartition] = set()
        self._consumer = consumer
        self._revoke = revoke
        self._closing = False
        self._inbox: SimpleQueue[_Handover | None] = SimpleQueue()
        self._polling: Future[Found] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-poll")

    @property
    def busy(self) -> bool:
        """Whether a poll still waits for the group; the consumer must not be used meanwhile."""
        return self._polling is not None

    def poll(self, timeout_ms: int, max_records: int) -> Found:
        """As the consumer's own `poll`; nothing, and `busy`, where the group takes longer."""
        if self._polling is None:
            self._polling = self._thread.submit(self._poll, timeout_ms, max_records)
            self._polling.add_done_callback(lambda _: self._inbox.put(None))
        try:
            while (handover := self._inbox.get(timeout=timeout_ms / 1000 + GRACE_S)) is not None:
                self._hand_over(handover)
        except Empty:
            return {}
        polled, self._polling = self._polling, None
        return polled.result()

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Hold partitions back until it is said anew where to read them."""
        for partition in partitions:
            self._consumer.pause(partition)
            # Any position keeps the consumer from taking Kafka's committed offset for one.
            self._consumer.seek(partition, 0)
            self.fresh.add(partition)

    def release(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition from an offset."""
        self._consumer.seek(partition, offset)
        resume(self._consumer, partition)
        self.fresh.discard(partition)

    def close(self) -> None:
        """End the consumer and the helper thread; nothing is revoked, nothing committed."""
        self._closing = True
        try:
            self._consumer.close(autocommit=False, timeout_ms=CLOSE_WITHIN_MS)
        except errors.KafkaError as error:
            _log.warning("Kafka could not be told goodbye", reason=str(error))
        finally:
            self._thread.shutdown(wait=True)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called by the consumer, on its network thread."""
        self.hold(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called by the consumer, on its network thread; returns when the caller of `poll` is done."""
        if not revoked or self._closing:
            return
        handover = _Handover(set(revoked))
        self._inbox.put(handover)
        while not handover.done.wait(_LOOK_AGAIN_S) and not self._closing:
            pass

    def _poll(self, timeout_ms: int, max_records: int) -> Found:
        before = set(self.fresh)
        if not join(self._consumer, JOIN_WITHIN_MS):
            return {}
        if is_fenced(self._consumer):
            raise errors.FencedInstanceIdError
        # What has just come waits for the caller, so that there may be nothing to wait for here.
        wait_ms = timeout_ms if self.fresh <= before else 0
        found: Found = self._consumer.poll(timeout_ms=wait_ms, max_records=max_records)
        return found

    def _hand_over(self, handover: _Handover) -> None:
        try:
            self._revoke(handover.partitions)
            self.fresh -= handover.partitions
        except BaseException:
            self._closing = True
            raise
        finally:
            handover.done.set()
