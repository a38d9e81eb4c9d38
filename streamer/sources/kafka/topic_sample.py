"""The newest records of a topic, read without a group and without committing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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

_LOOK_WITHIN_S = 20.0  # for one topic, all of it together; a person is waiting
_LOOK_BYTES = 1 << 20  # fetched of each partition at a time
_SAMPLE_BYTES = 16 << 20  # of records kept of a topic
_HOLES = 50  # how many times as many offsets are looked at where most have no record
_POLL_MS = 500
_NEWEST = 1_000  # records of each partition that are looked at, at either end


def sample(
    settings: KafkaSettings, topic: str, count: int, environ: Mapping[str, str]
) -> dict[int, list[Record]]:
    """The newest records of a topic, from each partition equally many as far as it has them, at most `count`.

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
    dict
        By partition, each in order; partitions without records too.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, the topic does not exist, or its newest records cannot be read.
    """
    consumer = _consumer(settings, environ, count)
    try:
        matching = find_partitions(consumer, [topic], ", ".join(settings.servers))
        partitions = [TopicPartition(partition.topic, partition.partition) for partition in sorted(matching)]
        records = _read(consumer, partitions, count)
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
    return {tp.partition: records[tp] for tp in partitions}


@dataclass(frozen=True, slots=True)
class SampledTopic:
    """The newest records of a topic, and what of it cannot be read.

    Parameters
    ----------
    records
        By partition, in order; partitions without any are left out.
    is_empty
        Whether the topic holds nothing at all.
    problems
        A line for each partition with a damaged batch, or one whose codec is missing, at either end.
    notes
        What was not looked at for want of time.
    """

    records: Mapping[int, Sequence[Record]]
    is_empty: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look_at(settings: KafkaSettings, topic: str, count: int, environ: Mapping[str, str]) -> SampledTopic:
    """Read the newest records of a topic, and try a fetch at either end of each partition.

    It is bounded in time and bytes, and moves no offsets.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    topic
        The topic's name.
    count
        How many records to read in all, spread over the partitions that hold any.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached or refuses.
    """
    until = time.monotonic() + _LOOK_WITHIN_S
    consumer = _consumer(settings, environ, _NEWEST, max_partition_fetch_bytes=_LOOK_BYTES)
    try:
        return _look(consumer, topic, count, until)
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def _look(consumer: KafkaConsumer, topic: str, count: int, until: float) -> SampledTopic:
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    first = offsets_of_all(consumer.beginning_offsets, partitions, OFFSETS_WITHIN_MS)
    end = offsets_of_all(consumer.end_offsets, partitions, OFFSETS_WITHIN_MS)
    filled = sorted(tp for tp in partitions if first[tp] < end[tp])
    if not filled:
        return SampledTopic({}, is_empty=True)
    each = _shares(count, {tp: end[tp] - first[tp] for tp in filled})
    spans = {tp: (max(first[tp], end[tp] - of), end[tp]) for tp, of in each.items() if of}
    records, problems = _newest(consumer, spans, until)
    if sum(map(len, records.values())) < count // 2 and not problems:
        # compaction and transactions leave offsets without records: look further back
        spans = {tp: (max(first[tp], end[tp] - _HOLES * of), end[tp]) for tp, of in each.items() if of}
        records, problems = _newest(consumer, spans, until)
        records = {tp: found[-each[tp] :] for tp, found in records.items()}
    looked = 0
    for tp in filled:
        if time.monotonic() >= until:
            break
        looked += 1
        if tp in problems:
            continue
        for offset in sorted({first[tp], max(first[tp], end[tp] - _NEWEST)}):
            if (problem := _problem_at(consumer, tp, offset, end[tp])) is not None:
                problems[tp] = problem
                break
    notes: tuple[str, ...] = ()
    if looked < len(filled):
        notes = (f"{looked} of {len(filled)} partitions looked at in {_LOOK_WITHIN_S:.0f} s",)
    found = {tp.partition: tuple(of) for tp, of in records.items() if of}
    return SampledTopic(found, False, tuple(problems[tp] for tp in sorted(problems)), notes)


def _newest(
    consumer: KafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]], until: float
) -> tuple[dict[TopicPartition, list[Record]], dict[TopicPartition, str]]:
    """The records of some ranges of offsets, as far as time and bytes reach; what cannot be read of them."""
    records: dict[TopicPartition, list[Record]] = {tp: [] for tp in spans}
    problems: dict[TopicPartition, str] = {}
    unread, size = set(spans), 0
    consumer.assign(sorted(unread))
    for tp, (begin, _) in spans.items():
        consumer.seek(tp, begin)
    while unread and size < _SAMPLE_BYTES and time.monotonic() < until:
        for tp, polled in consumer.poll(timeout_ms=_POLL_MS).items():
            readable, unreadable = split_unreadable(polled)
            if unreadable is not None:
                problems[tp] = str(unreadable.error(tp))
                consumer.pause(tp)
                unread.discard(tp)
            kept = [record for record in records_of(readable) if record.offset < spans[tp][1]]
            records[tp] += kept
            size += sum(len(record.value or b"") for record in kept)
        unread = {tp for tp in unread if (consumer.position(tp) or 0) < spans[tp][1]}
    return records, problems


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


def _read(
    consumer: KafkaConsumer, partitions: list[TopicPartition], count: int
) -> dict[TopicPartition, list[Record]]:
    first = offsets_of_all(consumer.beginning_offsets, partitions, OFFSETS_WITHIN_MS)
    end = offsets_of_all(consumer.end_offsets, partitions, OFFSETS_WITHIN_MS)
    unread = {tp for tp in partitions if first[tp] < end[tp]}
    each = _shares(count, {tp: end[tp] - first[tp] for tp in unread})
    unread = {tp for tp in unread if each[tp]}
    records: dict[TopicPartition, list[Record]] = {tp: [] for tp in partitions}
    consumer.assign(sorted(unread))
    for tp in unread:
        consumer.seek(tp, end[tp] - each[tp])
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while unread and time.monotonic() < give_up:
        for tp, polled in consumer.poll(timeout_ms=_POLL_MS).items():
            readable, unreadable = split_unreadable(polled)
            if unreadable is not None:
                raise unreadable.error(tp)
            records[tp] += [record for record in records_of(readable) if record.offset < end[tp]]
        # A log may end in transaction markers, which are not records; the position passes them too.
        unread = {tp for tp in unread if (consumer.position(tp) or 0) < end[tp]}
    return records


def _shares(count: int, held: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """So many records shared out to partitions: what one does not have goes to the others."""
    shares: dict[TopicPartition, int] = {}
    for place, tp in enumerate(sorted(held, key=lambda tp: (held[tp], tp))):
        shares[tp] = min(held[tp], -(-count // (len(held) - place)))
        count -= shares[tp]
    return shares


def _consumer(
    settings: KafkaSettings, environ: Mapping[str, str], at_once: int, **more: Any
) -> KafkaConsumer:
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
        **more,
    )
    use_parser(
        consumer,
        reporting(CheckedRecords, ReadLimits(settings.max_unpacked_bytes, partial(log_end, consumer))),
    )
    return consumer
