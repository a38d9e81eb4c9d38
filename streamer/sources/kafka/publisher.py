"""Puts recorded events into a Kafka topic, with their times, at their speed or another."""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
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
"""How many records may wait for the broker's word; kafka-python itself sets no bound."""

DELIVER_WITHIN_S = 60.0
"""How long the broker may leave a record without its word, an outage included."""

CLOSE_WITHIN_S = 5.0
"""How long what was sent before a failure or an interruption may still take."""

SLICE_S = 0.02
"""Longest sleep between records, so that a pace is kept smoothly."""

PROGRESS_EVERY_S = 0.1
"""Least time between two reports of progress."""


_log = structlog.get_logger(__name__)


class Outgoing(NamedTuple):
    """A record on its way into a topic.

    Parameters
    ----------
    timestamp
        ns since 1970 UTC, kept to the ms; `NO_TIME` for the time of sending.
    key
        What its partition is chosen by: the instrument.
    value, headers
        The record.
    partition
        Where to; None for the one that the key chooses.
    """

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None


def merge_by_time(*streams: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Several recordings as one, by time; each keeps its own order, and the first goes first at a tie.

    Examples
    --------
    >>> trades = [Outgoing(1, b"BTC", b"t1"), Outgoing(3, b"BTC", b"t3")]
    >>> quotes = [Outgoing(1, b"BTC", b"q1"), Outgoing(2, b"BTC", b"q2")]
    >>> [one.value for one in merge_by_time(trades, quotes)]
    [b't1', b'q1', b'q2', b't3']
    """
    return heapq.merge(*streams, key=lambda one: one.timestamp)


def publish(
    records: Iterable[Outgoing],
    settings: KafkaSettings,
    topic: str,
    *,
    create: int | None = None,
    rate: float | None = None,
    speed: float | None = None,
    progress: Callable[[int], None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Mapping[int, int]:
    """Put records into a topic, in order and each once, and wait until the broker has them all.

    Parameters
    ----------
    records
        In the order in which they are to be sent.
    settings
        How Kafka is reached.
    topic
        Where to; it must exist unless `create` is given.
    create
        Create the topic with so many partitions, where it does not exist.
    rate
        At most so many records a second.
    speed
        So many times as fast as they were recorded, by their times. As fast as possible without both.
    progress
        Told now and then how many have been sent.
    environ
        Where secrets may come from; this process's environment where absent.

    Returns
    -------
    Mapping of int to int
        How many records each partition got.

    Raises
    ------
    TapewatchError
        When the broker cannot be reached, the topic is missing, or a record is not taken.
    """
    if rate is not None and speed is not None:
        raise UsageError("give a rate or a speed, not both")
    if any(given is not None and not 0 < given < float("inf") for given in (rate, speed)):
        raise UsageError("a rate or a speed is a number above 0")
    environ = os.environ if environ is None else environ
    ensure_topic(settings, environ, topic, create)
    outbound = _Outbound(settings, environ, topic)
    waiting = _SendProgress(progress)
    try:
        for number, (record, due_s) in enumerate(_paced(records, rate, speed)):
            if number == 0:
                warn_of_lost_times(settings, environ, topic, record.timestamp)
                waiting.start()
            waiting.until(due_s, number)
            outbound.send(number, record)
        outbound.finish()
    finally:
        outbound.close()
    if progress:
        progress(outbound.counts.total())
    return dict(sorted(outbound.counts.items()))


def _paced(
    records: Iterable[Outgoing], rate: float | None, speed: float | None
) -> Iterator[tuple[Outgoing, float]]:
    first = NO_TIME
    due_s = 0.0
    for number, record in enumerate(records):
        if rate is not None:
            due_s = number / rate
        elif speed is not None and record.timestamp != NO_TIME:
            first = record.timestamp if first == NO_TIME else first
            due_s = max(due_s, (record.timestamp - first) / NS_PER_SECOND / speed)
        yield record, due_s


class _SendProgress:
    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self.start()

    def start(self) -> None:
        self._started = self._told = time.monotonic()

    def until(self, due_s: float, number: int) -> None:
        while True:
            now = time.monotonic()
            if self._progress is not None and now > self._told + PROGRESS_EVERY_S:
                self._progress(number)
                self._told = now
            left_s = self._started + due_s - now
            if left_s <= 0:
                return
            time.sleep(min(SLICE_S, left_s))


class _Outbound:
    def __init__(self, settings: KafkaSettings, environ: Mapping[str, str], topic: str) -> None:
        self.counts: Counter[int] = Counter()
        self._settings = settings
        self._environ = environ
        self._topic = topic
        self._failed: tuple[int, Exception] | None = None
        self._room = BoundedSemaphore(MAX_UNACKNOWLEDGED)
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
        if not self._room.acquire(timeout=DELIVER_WITHIN_S):
            raise self._not_taken(number, errors.KafkaTimeoutError("no answer"))
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
            raise self._not_taken(number, error) from error
        future.add_callback(self._taken)
        future.add_errback(self._refused, number)

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

    def _taken(self, metadata: Any) -> None:
        self.counts[metadata.partition] += 1
        self._room.release()

    def _refused(self, number: int, error: Exception) -> None:
        # Of a batch that is refused, all records fail, but only the culprits with an error of their own.
        if self._failed is None or type(self._failed[1]) is errors.KafkaError:
            self._failed = number, error
        self._room.release()

    def _raise_failure(self) -> None:
        if self._failed is None:
            return
        try:
            self._producer.flush(timeout=CLOSE_WITHIN_S)
        except errors.KafkaTimeoutError:
            _log.warning("records were left unsent", topic=self._topic)
        number, error = self._failed
        raise self._not_taken(number, error) from error

    def _not_taken(self, number: int, error: Exception) -> TapewatchError:
        if isinstance(error, errors.KafkaTimeoutError):
            return explain(error, self._settings, self._environ)
        reason = str(error) or type(error).__name__
        return TapewatchError(f"record {number} could not be put into topic '{self._topic}': {reason}")
