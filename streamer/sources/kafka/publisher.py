"""Publishes recorded events to a Kafka topic, with their times, at recorded or any other speed."""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from threading import BoundedSemaphore
from typing import Any, NamedTuple

import structlog
from kafka import KafkaProducer, errors

from streamer.errors import TapewatchError, UsageError
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_MS, NS_PER_SECOND
from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.target_topics import ensure_topic, warn_of_lost_times

MAX_UNACKNOWLEDGED = 20_000
"""How many records may await acknowledgement; kafka-python itself sets no limit."""

DELIVER_WITHIN_S = 60.0
"""How long an acknowledgement may take, outages included."""

CLOSE_WITHIN_S = 5.0
"""How long records sent before a failure or an interruption may still take."""

SLICE_S = 0.02
"""Longest single sleep between records, so that progress is reported meanwhile."""

PROGRESS_EVERY_S = 0.1
"""Least time between two reports of progress."""


_log = structlog.get_logger(__name__)


class Outgoing(NamedTuple):
    """A record to be published.

    Parameters
    ----------
    timestamp
        ns since 1970 UTC, kept to the ms; `NO_TIME` for the time of sending.
    key
        The partition key: the instrument.
    value, headers
        The record.
    partition
        The target partition; None for the one that the key selects.
    at
        ns since 1970 UTC, by which it is merged and paced; `NO_TIME` for its timestamp.
    """

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None
    at: int = int(NO_TIME)

    @property
    def time(self) -> int:
        """What it is merged and paced by, ns."""
        return self.timestamp if self.at == NO_TIME else self.at


def merge_by_time(*streams: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Merge recordings by time; each keeps its own order, and at a tie the first goes first.

    Examples
    --------
    >>> trades = [Outgoing(1, b"BTC", b"t1"), Outgoing(3, b"BTC", b"t3")]
    >>> quotes = [Outgoing(1, b"BTC", b"q1"), Outgoing(2, b"BTC", b"q2")]
    >>> [record.value for record in merge_by_time(trades, quotes)]
    [b't1', b'q1', b'q2', b't3']
    """
    return heapq.merge(*streams, key=attrgetter("time"))


@dataclass(frozen=True, slots=True)
class PublishTarget:
    """The topic to publish to.

    Parameters
    ----------
    settings
        How Kafka is reached.
    topic
        The topic; it must exist unless `create` is given.
    create
        The number of partitions to create the topic with if it does not exist.
    environ
        Where secrets may come from; this process's environment by default.
    """

    settings: KafkaSettings
    topic: str
    create: int | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


@dataclass(frozen=True, slots=True)
class SendPace:
    """How fast records are sent: as fast as possible if neither is given.

    Parameters
    ----------
    rate
        Limit in records a second.
    speed
        Multiple of the recorded speed, by the records' times.

    Raises
    ------
    UsageError
        When both are given, or one is not a number above 0.
    """

    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.speed is not None:
            raise UsageError("give a rate or a speed, not both")
        if any(pace is not None and not 0 < pace < float("inf") for pace in (self.rate, self.speed)):
            raise UsageError("a rate or a speed must be a number above 0")


UNLIMITED = SendPace()
"""As fast as possible."""


def publish(
    records: Iterable[Outgoing],
    target: PublishTarget,
    pace: SendPace = UNLIMITED,
    progress: Callable[[int], None] | None = None,
) -> Mapping[int, int]:
    """Publish records in order, each exactly once, and wait until the broker has acknowledged them all.

    Parameters
    ----------
    records
        In the order in which they are to be sent.
    target
        The topic, and how Kafka is reached.
    pace
        How fast they are sent.
    progress
        Called now and then with the number of records sent.

    Returns
    -------
    Mapping of int to int
        Number of records by partition.

    Raises
    ------
    TapewatchError
        When the broker cannot be reached, the topic is missing, or a record is rejected.
    """
    settings, environ, topic = target.settings, target.environ, target.topic
    ensure_topic(settings, environ, topic, target.create)
    outbound = _Outbound(settings, environ, topic)
    pacer = _SendPacer(progress)
    try:
        for number, (record, due_s) in enumerate(_with_due_times(records, pace)):
            if number == 0:
                warn_of_lost_times(settings, environ, topic, record.timestamp)
                pacer.start()
            pacer.wait_until(due_s, number)
            outbound.send(number, record)
        outbound.finish()
    finally:
        outbound.close()
    if progress:
        progress(outbound.counts.total())
    return dict(sorted(outbound.counts.items()))


def _with_due_times(records: Iterable[Outgoing], pace: SendPace) -> Iterator[tuple[Outgoing, float]]:
    first = NO_TIME
    due_s = 0.0
    for number, record in enumerate(records):
        if pace.rate is not None:
            due_s = number / pace.rate
        elif pace.speed is not None and record.time != NO_TIME:
            first = record.time if first == NO_TIME else first
            due_s = max(due_s, (record.time - first) / NS_PER_SECOND / pace.speed)
        yield record, due_s


class _SendPacer:
    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self.start()

    def start(self) -> None:
        self._started = self._reported = time.monotonic()

    def wait_until(self, due_s: float, number: int) -> None:
        while True:
            now = time.monotonic()
            if self._progress is not None and now > self._reported + PROGRESS_EVERY_S:
                self._progress(number)
                self._reported = now
            remaining_s = self._started + due_s - now
            if remaining_s <= 0:
                return
            time.sleep(min(SLICE_S, remaining_s))


class _Outbound:
    def __init__(self, settings: KafkaSettings, environ: Mapping[str, str], topic: str) -> None:
        self.counts: Counter[int] = Counter()
        self._settings = settings
        self._environ = environ
        self._topic = topic
        self._failure: tuple[int, Exception] | None = None
        self._in_flight = BoundedSemaphore(MAX_UNACKNOWLEDGED)
        self._producer = connect(
            KafkaProducer,
            settings,
            environ,
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=int(DELIVER_WITHIN_S * 1000),
            linger_ms=5,
            batch_size=128 * 1024,
        )

    def send(self, number: int, record: Outgoing) -> None:
        if not self._in_flight.acquire(timeout=DELIVER_WITHIN_S):
            raise self._rejection(number, errors.KafkaTimeoutError("no answer"))
        self._raise_failure()
        at_ms = None if record.timestamp == NO_TIME else record.timestamp // NS_PER_MS
        try:
            future = self._producer.send(
                self._topic,
                record.value,
                record.key,
                list(record.headers),
                partition=record.partition,
                timestamp_ms=at_ms,
            )
        except (errors.KafkaError, TypeError, ValueError, AssertionError) as error:
            raise self._rejection(number, error) from error
        future.add_callback(self._acknowledged)
        future.add_errback(self._rejected, number)

    def finish(self) -> None:
        try:
            self._producer.flush(timeout=DELIVER_WITHIN_S)
        except errors.KafkaError as error:
            self._raise_failure()
            raise explain(error, self._settings, self._environ) from error
        self._raise_failure()

    def close(self) -> None:
        try:
            self._producer.close(timeout=CLOSE_WITHIN_S)
        except errors.KafkaTimeoutError:
            _log.warning("records were left unsent", topic=self._topic)

    def _acknowledged(self, metadata: Any) -> None:
        self.counts[metadata.partition] += 1
        self._in_flight.release()

    def _rejected(self, number: int, error: Exception) -> None:
        # A rejected batch fails all its records, but only those at fault have an error of their own.
        if self._failure is None or type(self._failure[1]) is errors.KafkaError:
            self._failure = number, error
        self._in_flight.release()

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        try:
            self._producer.flush(timeout=CLOSE_WITHIN_S)
        except errors.KafkaTimeoutError:
            _log.warning("records were left unsent", topic=self._topic)
        number, error = self._failure
        raise self._rejection(number, error) from error

    def _rejection(self, number: int, error: Exception) -> TapewatchError:
        if isinstance(error, errors.KafkaTimeoutError):
            return explain(error, self._settings, self._environ)
        reason = str(error) or type(error).__name__
        return TapewatchError(f"record {number} could not be published to topic '{self._topic}': {reason}")
