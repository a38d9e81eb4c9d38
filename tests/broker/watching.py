"""What tests of the Kafka source need: somebody who answers it, and events on a topic."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer

from streamer.messages.logs import LogExtent
from streamer.messages.records import DamagedRange, Extent, Partition, Record
from streamer.sources.join_settings import JoinsSetting, joins_of
from streamer.sources.kafka.group_member import Joins
from streamer.sources.kafka.joined_partitions import JoinPlan
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.kafka_source import KafkaSource
from streamer.sources.kafka.known_cluster import KnownCluster


class Watcher:
    """Answers a source as the engine would: where it was before, else where the configuration says.

    The first `stubborn` answers take no heed of what the log still holds.
    """

    def __init__(self, positions: Mapping[Partition, int] | None = None, stubborn: int = 0) -> None:
        self.positions = dict(positions or {})
        self.stubborn = stubborn
        self.logs: list[Extent] = []
        self.taken_over: list[LogExtent] = []
        self.history: list[tuple[str, tuple[Partition, ...]]] = []
        self.threads: set[int] = set()
        self.on_revoked: Callable[[Sequence[Partition]], None] = lambda _: None

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        extents = [extent for log in logs for extent in log.extents]
        self.threads.add(threading.get_ident())
        self.taken_over += logs
        self.logs.extend(extents)
        self.history.append(("assigned", tuple(sorted(extent.partition for extent in extents))))
        for log in extents:
            position = self.positions.get(log.partition, log.start)
            if self.stubborn <= 0:
                position = min(max(position, log.first), log.end)
            self.positions[log.partition] = position
        self.stubborn -= 1
        return {extent.partition: self.positions[extent.partition] for extent in extents}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self.threads.add(threading.get_ident())
        self.history.append(("revoked", tuple(sorted(partitions))))
        self.on_revoked(partitions)

    @property
    def partitions(self) -> list[Partition]:
        return sorted({log.partition for log in self.logs})


class Reading:
    """A source and its watcher, with what has been read."""

    def __init__(
        self,
        settings: KafkaSettings,
        *topics: str,
        watcher: Watcher | None = None,
        cluster: KnownCluster | None = None,
        join: JoinsSetting = (),
        **options: Any,
    ) -> None:
        self.watcher = watcher or Watcher()
        self.source = KafkaSource(settings, topics, **options)
        if cluster is not None:
            self.source.cluster = cluster
        self.source.joins = Joins(JoinPlan(tuple(each for _, each in joins_of(join))))
        self.got: dict[Partition, list[Record]] = {}
        self.damaged: dict[Partition, list[DamagedRange]] = {}
        self.newest: list[int] = []
        self.most_behind_s: list[float] = []
        self.source.open(self.watcher)

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def poll(self, timeout_s: float = 0.2) -> int:
        count = 0
        for chunk in self.source.poll(timeout_s):
            if chunk.damaged is not None:
                self.damaged.setdefault(chunk.partition, []).append(chunk.damaged)
                self.watcher.positions[chunk.partition] = chunk.damaged.last + 1
                continue
            self.got.setdefault(chunk.partition, []).extend(chunk.records)
            self.most_behind_s += [chunk.most_behind_s] * len(chunk.records)
            self.newest += [chunk.newest_ns] * len(chunk.records)
            self.watcher.positions[chunk.partition] = chunk.records[-1].offset + 1
            count += len(chunk.records)
        return count

    def until(self, done: Callable[[], bool], within_s: float = 90.0) -> None:
        give_up = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < give_up, (self.watcher.history, self.values[-20:])
            self.poll()

    def until_count(self, count: int, within_s: float = 90.0) -> None:
        self.until(lambda: sum(map(len, self.got.values())) >= count, within_s)

    def until_end(self, within_s: float = 90.0) -> None:
        self.until(lambda: bool(end := self.source.at_end()) and end >= self.held, within_s)

    def until_assigned(self, count: int = 1) -> None:
        self.until(lambda: len(self.held) >= count)

    def for_a_while(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.poll()

    @property
    def held(self) -> frozenset[Partition]:
        held: set[Partition] = set()
        for what, partitions in self.watcher.history:
            held = held | set(partitions) if what == "assigned" else held - set(partitions)
        return frozenset(held)

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for records in self.got.values() for record in records]


def settings_for(bootstrap: str, **changes: Any) -> KafkaSettings:
    """Settings with a group of one's own."""
    return KafkaSettings.model_validate(
        {"bootstrap": bootstrap, "group": f"test-{uuid.uuid4().hex[:12]}", "start": "earliest"} | changes
    )


def send(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes],
    *,
    partition: int = 0,
    at_ms: int | None = None,
    key: bytes | None = None,
) -> None:
    """Put values into one partition; `at_ms` is the first one's time, each next one is a ms later."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    for number, value in enumerate(values):
        moment = None if at_ms is None else at_ms + number
        producer.send(topic, value, key=key, partition=partition, timestamp_ms=moment)
    producer.flush(timeout=20)
    producer.close()


def numbers(count: int, first: int = 0) -> list[bytes]:
    """Values that can be told apart."""
    return [b"%d" % number for number in range(first, first + count)]
