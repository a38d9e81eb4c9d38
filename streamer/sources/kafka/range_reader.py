"""Reads ranges of offsets again, outside any group."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition, errors

from streamer.errors import TapewatchError
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.client import connect, explain, require_fast_checksums
from streamer.sources.kafka.client_internals import incarnation, resume
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.log_positions import OFFSETS_WITHIN_MS
from streamer.sources.kafka.record_conversion import records_of

POLL_MS = 200
"""Longest single wait for records."""

FETCH_BYTES = 1_048_576
"""Fetch size per partition; up to this much of each is buffered."""

GIVE_UP_AFTER_S = 30.0
"""How long a range may make no progress before the broker counts as gone."""


class RangeReader:
    """Reads ranges of some partitions, cheaply where one range continues where the last one ended.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    partitions
        All partitions that ranges will be read from.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, or a topic is gone or was created again since it was read.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        partitions: Iterable[Partition],
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._environ = os.environ if environ is None else environ
        require_fast_checksums()
        options: dict[str, Any] = {
            "group_id": None,
            "enable_auto_commit": False,
            "allow_auto_create_topics": False,
            "isolation_level": "read_committed",
            "auto_offset_reset": "none",
            "fetch_max_bytes": settings.fetch_max_bytes,
            "max_partition_fetch_bytes": FETCH_BYTES,
            "max_poll_records": 1_000_000,
        }
        self._consumer = connect(KafkaConsumer, settings, self._environ, **options)
        self._buffered: dict[TopicPartition, deque[Record]] = {}
        self._next_offset: dict[TopicPartition, int] = {}
        self._bounds: dict[TopicPartition, tuple[int, int]] = {}
        try:
            self._assign(list(partitions))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close(autocommit=False, timeout_ms=2_000)

    def read(self, partition: Partition, first: int, last: int) -> Iterator[Record]:
        """The records of a range, both ends included; offsets without a record are skipped.

        Raises
        ------
        TapewatchError
            When the log no longer holds the range, or the broker is gone.
        """
        one = TopicPartition(partition.topic, partition.partition)
        begin, end = self._bounds[one]
        if first < begin or last >= end:
            raise TapewatchError(
                f"{partition.topic}[{partition.partition}] holds offsets {begin} to {end - 1} now,"
                f" and not all of {first} to {last} any more: set a longer retention before recording"
            )
        buffered = self._buffered[one]
        if first < self._next_offset[one] or first > self._position(one):
            buffered.clear()
            self._consumer.seek(one, first)
        while True:
            while buffered and buffered[0].offset <= last:
                record = buffered.popleft()
                if record.offset >= first:
                    self._next_offset[one] = record.offset + 1
                    yield record
            if buffered or self._position(one) > last:
                self._next_offset[one] = last + 1
                return
            self._fetch(one)

    def _assign(self, partitions: list[Partition]) -> None:
        wanted = {TopicPartition(one.topic, one.partition): one for one in partitions}
        try:
            names = self._consumer.topics()
            for one, partition in wanted.items():
                if one.topic not in names:
                    raise TapewatchError(f"topic '{one.topic}' is gone: its records cannot be read again")
                if incarnation(self._consumer, one.topic) != partition.incarnation:
                    raise TapewatchError(
                        f"topic '{one.topic}' was deleted and created again since it was read"
                    )
            if not wanted:
                return
            first = self._consumer.beginning_offsets(list(wanted), timeout_ms=OFFSETS_WITHIN_MS)
            end = self._consumer.end_offsets(list(wanted), timeout_ms=OFFSETS_WITHIN_MS)
        except errors.KafkaError as error:
            raise explain(error, self._settings, self._environ) from error
        self._consumer.assign(list(wanted))
        for one in wanted:
            self._bounds[one] = first[one], end[one]
            self._next_offset[one] = first[one]
            self._buffered[one] = deque()
            self._consumer.seek(one, first[one])
            self._consumer.pause(one)

    def _position(self, one: TopicPartition) -> int:
        position: int | None = self._consumer.position(one, timeout_ms=OFFSETS_WITHIN_MS)
        return -1 if position is None else position

    def _fetch(self, one: TopicPartition) -> None:
        before = self._position(one)
        give_up = time.monotonic() + GIVE_UP_AFTER_S
        resume(self._consumer, one)
        try:
            while self._position(one) == before:
                for polled in self._consumer.poll(timeout_ms=POLL_MS).values():
                    self._buffered[one].extend(records_of(polled))
                if time.monotonic() > give_up:
                    raise TapewatchError(
                        f"Kafka sent nothing from {one.topic}[{one.partition}] for {GIVE_UP_AFTER_S:.0f} s"
                    )
        except errors.KafkaError as error:
            raise explain(error, self._settings, self._environ) from error
        finally:
            self._consumer.pause(one)
