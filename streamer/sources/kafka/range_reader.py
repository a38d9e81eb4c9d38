"""Reads ranges of offsets again, outside any group."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition, errors

from streamer.errors import TapewatchError
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.checked_records import CheckedRecords, ReadLimits, reporting, split_unreadable
from streamer.sources.kafka.client import connect, explain, require_fast_checksums
from streamer.sources.kafka.client_internals import incarnation, log_end, resume, use_parser
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.log_positions import OFFSETS_WITHIN_MS
from streamer.sources.kafka.offset_bounds import offsets_of_all
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
    ranges
        All partitions that ranges will be read from, each with the first and last offset of any.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, or a topic is gone or was created again since it was read.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        ranges: Mapping[Partition, tuple[int, int]],
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._ranges = ranges
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
        limits = ReadLimits(settings.max_unpacked_bytes, partial(log_end, self._consumer))
        use_parser(self._consumer, reporting(CheckedRecords, limits))
        self._buffered: dict[TopicPartition, deque[Record]] = {}
        self._next_offset: dict[TopicPartition, int] = {}
        self._bounds: dict[TopicPartition, tuple[int, int]] = {}
        try:
            self._assign()
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
            When the log no longer holds the range or cannot be read there, or the broker is gone.
        """
        tp = TopicPartition(partition.topic, partition.partition)
        begin, end = self._bounds[tp]
        if first < begin or last >= end:
            raise TapewatchError(
                f"{partition.topic}[{partition.partition}] holds offsets {begin} to {end - 1} now,"
                f" and not all of {first} to {last} any more: set a longer retention before recording"
            )
        buffered = self._buffered[tp]
        if first < self._next_offset[tp] or first > self._position(tp):
            buffered.clear()
            self._consumer.seek(tp, first)
        while True:
            while buffered and buffered[0].offset <= last:
                record = buffered.popleft()
                if record.offset >= first:
                    self._next_offset[tp] = record.offset + 1
                    yield record
            if buffered or self._position(tp) > last:
                self._next_offset[tp] = last + 1
                return
            self._fetch(tp)

    def require_same(self) -> None:
        """All that was read is of the topics that were asked for.

        Raises
        ------
        TapewatchError
            When one is gone, or was created again meanwhile: its records may be those of the new one.
        """
        try:
            names = self._consumer.topics()
        except errors.KafkaError as error:
            raise explain(error, self._settings, self._environ) from error
        for partition, (first_wanted, last_wanted) in self._ranges.items():
            topic, _, number = partition
            lost = f"records {first_wanted} to {last_wanted}"
            if topic not in names:
                raise TapewatchError(f"topic '{topic}' is gone, and with it {lost} of {topic}[{number}]")
            if incarnation(self._consumer, topic) != partition.incarnation:
                raise TapewatchError(
                    f"topic '{topic}' was deleted and created again since it was read: {lost} of the old "
                    f"{topic}[{number}] are gone"
                )

    def _assign(self) -> None:
        wanted = {TopicPartition(one.topic, one.partition): one for one in self._ranges}
        self.require_same()
        if not wanted:
            return
        try:
            first = offsets_of_all(self._consumer.beginning_offsets, wanted, OFFSETS_WITHIN_MS)
            end = offsets_of_all(self._consumer.end_offsets, wanted, OFFSETS_WITHIN_MS)
        except errors.KafkaError as error:
            raise explain(error, self._settings, self._environ) from error
        self._consumer.assign(list(wanted))
        for tp in wanted:
            self._bounds[tp] = first[tp], end[tp]
            self._next_offset[tp] = first[tp]
            self._buffered[tp] = deque()
            self._consumer.seek(tp, first[tp])
            self._consumer.pause(tp)

    def _position(self, tp: TopicPartition) -> int:
        position: int | None = self._consumer.position(tp, timeout_ms=OFFSETS_WITHIN_MS)
        return -1 if position is None else position

    def _fetch(self, tp: TopicPartition) -> None:
        before = self._position(tp)
        give_up = time.monotonic() + GIVE_UP_AFTER_S
        resume(self._consumer, tp)
        try:
            while self._position(tp) == before:
                for polled in self._consumer.poll(timeout_ms=POLL_MS).values():
                    readable, unreadable = split_unreadable(polled)
                    self._buffered[tp].extend(records_of(readable))
                    if unreadable is not None and not readable:
                        raise unreadable.error(tp)
                if time.monotonic() > give_up:
                    raise TapewatchError(
                        f"Kafka sent nothing from {tp.topic}[{tp.partition}] for {GIVE_UP_AFTER_S:.0f} s"
                    )
        except errors.KafkaError as error:
            raise explain(error, self._settings, self._environ) from error
        finally:
            self._consumer.pause(tp)
