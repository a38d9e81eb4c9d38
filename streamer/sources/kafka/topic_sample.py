"""A look at a topic from outside: its newest records, without a group, and without a trace."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.records import Record
from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.log_positions import OFFSETS_WITHIN_MS, find_topics
from streamer.sources.kafka.record_conversion import records_of

GIVE_UP_AFTER_S = 10.0
"""How long the records of a look may take; what has come by then is enough."""

_POLL_MS = 500


def sample(settings: KafkaSettings, topic: str, count: int, environ: Mapping[str, str]) -> list[Record]:
    """The newest records of a topic, about as many of each partition, at most `count`.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    topic
        The topic's name.
    count
        How many records are wanted; fewer come where the topic has fewer.

    Returns
    -------
    list of Record
        Partition by partition, each in order.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, or the topic does not exist.
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
    try:
        found = find_topics(consumer, [topic], ", ".join(settings.servers))
        partitions = [TopicPartition(one.topic, one.partition) for one in sorted(found)]
        return _read(consumer, partitions, -(-count // len(partitions)))[:count]
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def _read(consumer: KafkaConsumer, partitions: list[TopicPartition], each: int) -> list[Record]:
    first = consumer.beginning_offsets(partitions, timeout_ms=OFFSETS_WITHIN_MS)
    end = consumer.end_offsets(partitions, timeout_ms=OFFSETS_WITHIN_MS)
    waiting = {one for one in partitions if first[one] < end[one]}
    found: dict[TopicPartition, list[Record]] = {one: [] for one in partitions}
    consumer.assign(sorted(waiting))
    for one in waiting:
        consumer.seek(one, max(first[one], end[one] - each))
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while waiting and time.monotonic() < give_up:
        for one, records in consumer.poll(timeout_ms=_POLL_MS).items():
            found[one] += [record for record in records_of(records) if record.offset < end[one]]
        # the end of a log may hold no records but markers of transactions; the position passes them, too
        waiting = {one for one in waiting if (consumer.position(one) or 0) < end[one]}
    return [record for one in partitions for record in found[one]]
