"""The newest records of a topic, read without a group and without committing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.records import Record
from streamer.sources.kafka.checked_records import CheckedRecords, ReadLimits, reporting, split_unreadable
from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.client_internals import log_end, use_parser
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.log_positions import OFFSETS_WITHIN_MS, find_partitions
from streamer.sources.kafka.record_conversion import records_of

GIVE_UP_AFTER_S = 10.0
"""How long a sample may take; the records received by then are enough."""

_POLL_MS = 500


def sample(settings: KafkaSettings, topic: str, count: int, environ: Mapping[str, str]) -> list[Record]:
    """The newest records of a topic, about equally many from each partition, at most `count`.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    topic
        The topic's name.
    count
        How many records to read; a topic with fewer gives all it has.

    Returns
    -------
    list of Record
        Partition by partition, each in order.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, the topic does not exist, or its newest records cannot be read.
    """
    consumer = connect(
        KafkaConsumer,
        settings,
        environ,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        max_poll_records=count,
    )
    use_parser(
        consumer,
        reporting(CheckedRecords, ReadLimits(settings.max_unpacked_bytes, partial(log_end, consumer))),
    )
    try:
        matching = find_partitions(consumer, [topic], ", ".join(settings.servers))
        partitions = [TopicPartition(partition.topic, partition.partition) for partition in sorted(matching)]
        return _read(consumer, partitions, -(-count // len(partitions)))[:count]
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def _read(consumer: KafkaConsumer, partitions: list[TopicPartition], each: int) -> list[Record]:
    first = consumer.beginning_offsets(partitions, timeout_ms=OFFSETS_WITHIN_MS)
    end = consumer.end_offsets(partitions, timeout_ms=OFFSETS_WITHIN_MS)
    unread = {tp for tp in partitions if first[tp] < end[tp]}
    records: dict[TopicPartition, list[Record]] = {tp: [] for tp in partitions}
    consumer.assign(sorted(unread))
    for tp in unread:
        consumer.seek(tp, max(first[tp], end[tp] - each))
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while unread and time.monotonic() < give_up:
        for tp, polled in consumer.poll(timeout_ms=_POLL_MS).items():
            readable, unreadable = split_unreadable(polled)
            if unreadable is not None:
                raise unreadable.error(tp)
            records[tp] += [record for record in records_of(readable) if record.offset < end[tp]]
        # A log may end in transaction markers, which are not records; the position passes them too.
        unread = {tp for tp in unread if (consumer.position(tp) or 0) < end[tp]}
    return [record for tp in partitions for record in records[tp]]
