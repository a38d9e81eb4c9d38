"""Which topics of a cluster match, without joining a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka import KafkaConsumer, errors

from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.log_positions import find_partitions


def survey(settings: KafkaSettings, globs: Sequence[str], environ: Mapping[str, str]) -> dict[str, int]:
    """The number of partitions of each matching topic.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    globs
        Topic names or patterns.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, a named topic does not exist, or nothing matches.
    """
    consumer = connect(
        KafkaConsumer,
        settings,
        environ,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
    )
    try:
        partitions = find_partitions(consumer, globs, ", ".join(settings.servers))
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
    counts: dict[str, int] = {}
    for partition in sorted(partitions):
        counts[partition.topic] = counts.get(partition.topic, 0) + 1
    return counts
