"""Polls a consumer group member and handles rebalances on the caller's thread.

kafka-python calls its rebalance listener on its network thread while `poll` waits. The work to be done then
(finish a batch, commit it) belongs to the thread that owns the data. So `poll` runs on a helper thread here,
and the caller waits for records and for revocations alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition, errors

from streamer.sources.kafka.client_internals import is_fenced, join, protocol_of, resume
from streamer.sources.kafka.joined_assignor import OtherAssignorError

JOIN_WITHIN_MS = 60_000
"""Longest single wait for the group; callers are not blocked by it."""

GRACE_S = 0.5
"""How far a poll may exceed its timeout before its caller goes on without its result."""

CLOSE_WITHIN_MS = 2_000
"""Timeout of closing."""

_CHECK_CLOSING_EVERY_S = 0.1

_log = structlog.get_logger(__name__)

PolledRecords = Mapping[TopicPartition, Sequence[Any]]


class _Revocation:
    def __init__(self, partitions: set[TopicPartition]) -> None:
        self.partitions = partitions
        self.done = Event()


class Poller(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """One member of a consumer group.

    Newly assigned partitions are paused and listed in `unplaced` until `release` gives their offset.

    Parameters
    ----------
    consumer
        Connected, not subscribed yet.
    revoke
        Called within `poll`, on its caller's thread, with partitions that are about to be revoked.
    protocol
        The name of the assignor that the group must work by; empty for any.
    """

    def __init__(
        self, consumer: KafkaConsumer, revoke: Callable[[set[TopicPartition]], None], protocol: str = ""
    ) -> None:
        self.unplaced: set[TopicPartition] = set()
        self._consumer = consumer
        self._revoke = revoke
        self._protocol = protocol
        self._closing = False
        self._inbox: SimpleQueue[_Revocation | None] = SimpleQueue()
        self._polling: Future[PolledRecords] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-poll")

    @property
    def busy(self) -> bool:
        """Whether a poll still waits for the group; the consumer must not be used meanwhile."""
        return self._polling is not None

    def poll(self, timeout_ms: int, max_records: int) -> PolledRecords:
        """As the consumer's own `poll`; where the group takes longer, returns nothing and is `busy`."""
        if self._polling is None:
            self._polling = self._thread.submit(self._poll, timeout_ms, max_records)
            self._polling.add_done_callback(lambda _: self._inbox.put(None))
        try:
            while (revocation := self._inbox.get(timeout=timeout_ms / 1000 + GRACE_S)) is not None:
                self._handle_revocation(revocation)
        except Empty:
            return {}
        polled, self._polling = self._polling, None
        return polled.result()

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Pause partitions until `release`."""
        for partition in partitions:
            self._consumer.pause(partition)
            # With a position set, whichever, the consumer does not fall back to the committed offset.
            self._consumer.seek(partition, 0)
            self.unplaced.add(partition)

    def release(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition from an offset."""
        self._consumer.seek(partition, offset)
        resume(self._consumer, partition)
        self.unplaced.discard(partition)

    def close(self) -> None:
        """Close the consumer and the helper thread; nothing is revoked, nothing committed."""
        self._closing = True
        try:
            self._consumer.close(autocommit=False, timeout_ms=CLOSE_WITHIN_MS)
        except errors.KafkaError as error:
            _log.warning("closing the connection to Kafka failed", reason=str(error))
        finally:
            self._thread.shutdown(wait=True)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called by the consumer, on its network thread."""
        self.hold(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called by the consumer, on its network thread; returns once `poll`'s caller has given them up."""
        if not revoked or self._closing:
            return
        revocation = _Revocation(set(revoked))
        self._inbox.put(revocation)
        while not revocation.done.wait(_CHECK_CLOSING_EVERY_S) and not self._closing:
            pass

    def _poll(self, timeout_ms: int, max_records: int) -> PolledRecords:
        unplaced_before = set(self.unplaced)
        if not join(self._consumer, JOIN_WITHIN_MS):
            return {}
        if is_fenced(self._consumer):
            raise errors.FencedInstanceIdError
        if self._protocol and protocol_of(self._consumer) not in ("", self._protocol):
            raise OtherAssignorError
        # Partitions that have just been assigned wait for the caller to place them: return at once.
        wait_ms = timeout_ms if self.unplaced <= unplaced_before else 0
        polled: PolledRecords = self._consumer.poll(timeout_ms=wait_ms, max_records=max_records)
        return polled

    def _handle_revocation(self, revocation: _Revocation) -> None:
        try:
            self._revoke(revocation.partitions)
            self.unplaced -= revocation.partitions
        except BaseException:
            self._closing = True
            raise
        finally:
            revocation.done.set()
