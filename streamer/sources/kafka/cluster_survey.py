"""Which topics of a cluster match, without joining a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kafka import KafkaConsumer, errors

from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.kafka_settings import KafkaSettings, is_pattern
from streamer.sources.kafka.log_positions import find_partitions, missing_topic


@dataclass(frozen=True, slots=True)
class ClusterSurvey:
    """What a cluster has of what is looked for.

    Parameters
    ----------
    partitions
        How many each matching topic has.
    missing
        Named topics that do not exist, each with what to say of it.
    """

    partitions: Mapping[str, int]
    missing: Mapping[str, str]


def survey(settings: KafkaSettings, globs: Sequence[str], environ: Mapping[str, str]) -> ClusterSurvey:
    """Look which topics match, and which do not exist.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    globs
        Topic names or patterns.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, or nothing matches and no topic is named.
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
        names, servers = consumer.topics(), ", ".join(settings.servers)
        missing = {
            glob: missing_topic(glob, servers, names)
            for glob in globs
            if not is_pattern(glob) and not any(fnmatchcase(name, glob) for name in names)
        }
        there = [glob for glob in globs if glob not in missing]
        matching = [glob for glob in there if any(fnmatchcase(name, glob) for name in names)]
        partitions = find_partitions(consumer, there, servers) if matching or not missing else frozenset()
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
    counts: dict[str, int] = {}
    for partition in sorted(partitions):
        counts[partition.topic] = counts.get(partition.topic, 0) + 1
    return ClusterSurvey(counts, missing)
