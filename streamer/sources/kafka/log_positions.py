"""Which partitions match, and where their logs begin and end."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from fnmatch import fnmatchcase, translate

import structlog
from kafka import KafkaConsumer, TopicPartition

from alerts.suggestions import did_you_mean
from streamer.errors import TapewatchError
from streamer.messages.records import Extent, Partition
from streamer.sources.kafka.client_internals import committed_offsets, incarnation, partition_count
from streamer.sources.kafka.kafka_settings import KafkaSettings, is_pattern
from streamer.sources.kafka.offset_bounds import offsets_of_all

OFFSETS_WITHIN_MS = 5_000
"""Timeout of one request for offsets; a longer wait counts as an outage."""

_log = structlog.get_logger(__name__)


def topic_pattern(globs: Iterable[str]) -> str:
    """One regular expression that matches a topic name if any of the patterns does.

    Examples
    --------
    >>> import re
    >>> pattern = re.compile(topic_pattern(["spot.*", "perp"]))
    >>> [bool(pattern.match(name)) for name in ("spot.btc", "spotty", "perp", "perp.btc")]
    [True, False, True, False]
    """
    return "|".join(f"(?:{translate(glob)})" for glob in globs)


def find_partitions(
    consumer: KafkaConsumer, globs: Sequence[str], servers: str, read_before: Collection[str] = ()
) -> frozenset[Partition]:
    """The partitions of all topics that match now.

    Parameters
    ----------
    consumer
        Connected.
    globs, servers
        Names and patterns; the brokers, for messages.
    read_before
        Topics that did exist once: those of them that match may be missing.

    Raises
    ------
    TapewatchError
        When a named topic does not exist, or no topic matches.
    """
    names = consumer.topics()
    for glob in globs:
        if any(fnmatchcase(name, glob) for name in names):
            continue
        if not is_pattern(glob):
            if glob in read_before:
                _log.warning("a topic is gone", topic=glob, servers=servers)
                continue
            raise TapewatchError(missing_topic(glob, servers, names))
        _log.warning("no topic matches yet", pattern=glob)
    partitions = frozenset(
        Partition(name, incarnation(consumer, name), number)
        for name in names
        if any(fnmatchcase(name, glob) for glob in globs)
        for number in consumer.partitions_for_topic(name)
    )
    gone = any(fnmatchcase(name, glob) for name in read_before for glob in globs)
    if not partitions and not gone:
        existing = ", ".join(sorted(names)[:10]) or "none at all"
        raise TapewatchError(f"no topic at {servers} matches {', '.join(globs)} (there are: {existing})")
    return partitions


def missing_topic(topic: str, servers: str, names: Iterable[str]) -> str:
    """What is said of a topic that does not exist among those that do."""
    return (
        f"topic '{topic}' does not exist at {servers}, or this user may not see it"
        f"{did_you_mean(topic, names)}: create it, or change source.topics"
    )


def describe(
    consumer: KafkaConsumer,
    partitions: Iterable[TopicPartition],
    settings: KafkaSettings,
    at_open: Container[Partition],
) -> list[Extent]:
    """Where these partitions' logs begin, end, and are to be read from.

    Parameters
    ----------
    at_open
        The partitions that `settings.start` applies to; those found later are new, and start at their first
        offset.

    Returns
    -------
    list of Extent
        Sorted; without partitions that do not exist any more.

    Raises
    ------
    kafka.errors.KafkaError
        When the broker does not answer.
    """
    names = consumer.topics()
    existing = {
        tp: Partition(tp.topic, incarnation(consumer, tp.topic), tp.partition)
        for tp in sorted(partitions)
        # a topic that was created anew may have fewer partitions than the one before
        if tp.topic in names and tp.partition < partition_count(consumer, tp.topic)
    }
    if not existing:
        return []
    first = offsets_of_all(consumer.beginning_offsets, existing, OFFSETS_WITHIN_MS)
    end = offsets_of_all(consumer.end_offsets, existing, OFFSETS_WITHIN_MS)
    start = dict(first)
    initial = [tp for tp, partition in existing.items() if partition in at_open]
    if settings.start == "latest":
        start |= {tp: end[tp] for tp in initial}
    elif settings.start_milliseconds is not None and initial:
        times = dict.fromkeys(initial, settings.start_milliseconds)
        at_time = consumer.offsets_for_times(times, timeout_ms=OFFSETS_WITHIN_MS)
        start |= {tp: at_time[tp].offset if at_time[tp] else end[tp] for tp in initial}
    committed = committed_offsets(consumer, list(existing), OFFSETS_WITHIN_MS)
    return [
        Extent(partition, first[tp], end[tp], start[tp], committed.get(tp), partition not in at_open)
        for tp, partition in existing.items()
    ]
