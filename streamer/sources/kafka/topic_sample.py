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
from streamer.sources.kafka.offset_bounds import offsets_of_all
from streamer.sources.kafka.record_conversion import records_of

GIVE_UP_AFTER_S = 10.0
"""How long a sample may take; the records received by then are enough."""

_POLL_MS = 500
_NEWEST = 1_000  # records of each partition that are looked at, at either end


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
    consumer = _consumer(settings, environ, count)
    try:
        matching = find_partitions(consumer, [topic], ", ".join(settings.servers))
        partitions = [TopicPartition(partition.topic, partition.partition) for partition in sorted(matching)]
        return _read(consumer, partitions, -(-count // len(partitions)))[:count]
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def unreadable_samples(settings: KafkaSettings, topic: str, environ: Mapping[str, str]) -> list[str]:
    """What cannot be read of a topic: a fetch of the oldest records of each partition, and one of the newest.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    topic
        The topic's name.

    Returns
    -------
    list of str
        A line for each partition with a damaged batch, or one whose codec is missing, in these fetches.
    """
    consumer = _consumer(settings, environ, _NEWEST)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        first = offsets_of_all(consumer.beginning_offsets, partitions, OFFSETS_WITHIN_MS)
        end = offsets_of_all(consumer.end_offsets, partitions, OFFSETS_WITHIN_MS)
        problems = []
        for tp in sorted(tp for tp in partitions if first[tp] < end[tp]):
            for offset in sorted({first[tp], max(first[tp], end[tp] - _NEWEST)}):
                if (problem := _problem_at(consumer, tp, offset, end[tp])) is not None:
                    problems.append(problem)
                    break
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    else:
        return problems
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def _problem_at(consumer: KafkaConsumer, tp: TopicPartition, offset: int, end: int) -> str | None:
    """What cannot be read in one fetch at an offset; None if all of it can, up to where it may be read."""
    consumer.assign([tp])
    consumer.seek(tp, offset)
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while time.monotonic() < give_up:
        for polled in consumer.poll(timeout_ms=_POLL_MS).values():
            unreadable = split_unreadable(polled)[1]
            if unreadable is not None:
                return str(unreadable.error(tp))
        if (consumer.position(tp) or 0) >= min(offset + _NEWEST, end):
            return None
    return f"{tp.topic}[{tp.partition}] returns no records from offset {offset} on, although its log goes on"


def _read(consumer: KafkaConsumer, partitions: list[TopicPartition], each: int) -> list[Record]:
    first = offsets_of_all(consumer.beginning_offsets, partitions, OFFSETS_WITHIN_MS)
    end = offsets_of_all(consumer.end_offsets, partitions, OFFSETS_WITHIN_MS)
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


def _consumer(settings: KafkaSettings, environ: Mapping[str, str], at_once: int) -> KafkaConsumer:
    consumer = connect(
        KafkaConsumer,
        settings,
        environ,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        max_poll_records=at_once,
    )
    use_parser(
        consumer,
        reporting(CheckedRecords, ReadLimits(settings.max_unpacked_bytes, partial(log_end, consumer))),
    )
    return consumer
