"""Replays dead letters: publishes their bytes to the topics they came from, as new records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from alerts.clock import Clock
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish
from streamer.store.dead_records import Choice, DeadRecord, DeadRecords

HEADER = "tapewatch-dead-letter"
"""The header with a record's origin: ``topic/partition/offset``."""

_CHUNK_RECORDS = 1_000  # marked together: at most this many are sent twice after a crash


def replay_dead_letters(
    store: DeadRecords,
    choice: Choice,
    kafka: KafkaSettings,
    clock: Clock,
    *,
    environ: Mapping[str, str],
) -> Iterator[int]:
    """Publish dead letters to their partitions again, and mark those that the broker has acknowledged.

    They keep their bytes and timestamps; key and headers were not stored. A replayed record that still
    cannot be used becomes another dead letter.

    Parameters
    ----------
    store, choice
        Which records.
    kafka, environ
        How Kafka is reached; where secrets may come from.
    clock
        Wall-clock time, for the marks.

    Yields
    ------
    int
        How many records have been replayed so far.

    Raises
    ------
    TapewatchError
        When the broker cannot be reached, or a topic or partition no longer exists; records acknowledged
        before that are marked.
    """
    sent = 0
    for topic in store.topics(choice):
        for records in _chunks(store.records(choice, topic)):
            publish(map(outgoing, records), PublishTarget(kafka, topic, environ=environ))
            store.mark(records, clock.now())
            sent += len(records)
            yield sent


def outgoing(record: DeadRecord) -> Outgoing:
    """The new record for a dead letter.

    Examples
    --------
    >>> new = outgoing(DeadRecord(1, 0, "spot", 2, 7, 1_000_000, b"{"))
    >>> new.partition, new.headers
    (2, (('tapewatch-dead-letter', b'spot/2/7'),))
    """
    origin = f"{record.topic}/{record.partition}/{record.offset}".encode()
    return Outgoing(record.timestamp, None, record.value, ((HEADER, origin),), record.partition)


def _chunks(records: Iterable[DeadRecord]) -> Iterator[list[DeadRecord]]:
    iterator = iter(records)
    # a chunk is read completely before it is marked, and marked before the next is read
    while chunk := list(islice(iterator, _CHUNK_RECORDS)):
        yield chunk
