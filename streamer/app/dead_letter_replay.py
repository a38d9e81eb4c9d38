"""Puts dead letters back into the topics they came from, as new records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from alerts.clock import Clock
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, publish
from streamer.store.dead_records import Choice, DeadRecord, DeadRecords

HEADER = "tapewatch-dead-letter"
"""The header that says where a record was before: ``topic/partition/offset``."""

_AT_ONCE = 1_000  # records between two marks: no more than that go twice where this is killed


def put_back(
    store: DeadRecords,
    choice: Choice,
    kafka: KafkaSettings,
    clock: Clock,
    *,
    environ: Mapping[str, str],
    progress: Callable[[int], None] = lambda sent: None,
) -> int:
    """Put records back, each into its partition, and mark those that the broker has.

    They keep their bytes and timestamps; key and headers were not kept. A record that is put back and still
    cannot be used becomes another dead letter.

    Parameters
    ----------
    store, choice
        Which records.
    kafka, environ
        How Kafka is reached; where secrets may come from.
    clock
        Wall-clock time, for the marks.
    progress
        Told now and then how many have gone.

    Returns
    -------
    int
        How many records went.

    Raises
    ------
    TapewatchError
        When the broker cannot be reached, or a topic or partition is no more; what went before it is marked.
    """
    sent = 0
    for topic in store.topics(choice):
        for records in _chunks(store.records(choice, topic)):
            publish(map(outgoing, records), kafka, topic, environ=environ)
            store.mark(records, clock.now())
            sent += len(records)
            progress(sent)
    return sent


def outgoing(record: DeadRecord) -> Outgoing:
    """The new record for an old one.

    Examples
    --------
    >>> new = outgoing(DeadRecord(1, "spot", 2, 7, 1_000_000, b"{"))
    >>> new.partition, new.headers
    (2, (('tapewatch-dead-letter', b'spot/2/7'),))
    """
    place = f"{record.topic}/{record.partition}/{record.offset}".encode()
    return Outgoing(record.timestamp, None, record.value, ((HEADER, place),), record.partition)


def _chunks(records: Iterable[DeadRecord]) -> Iterator[list[DeadRecord]]:
    iterator = iter(records)
    # each chunk is read whole before it is marked, and marked before the next is read
    while chunk := list(islice(iterator, _AT_ONCE)):
        yield chunk
