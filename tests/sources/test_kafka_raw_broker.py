"""Record batches read as columns from a real broker: the same as record by record."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from broker.local import LocalBroker
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from structlog.testing import capture_logs

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.client_internals import Network, resume, use_parser
from streamer.sources.kafka.fast.raw_records import RawPartitionRecords
from streamer.sources.kafka.record_conversion import chunks_of

NOON_MS = 1_723_118_400_000
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"
Topic = Callable[..., str]


def produce(broker: str, topic: str, count: int = 700, **options: Any) -> None:
    """Records of all shapes, in batches of about 2 KiB."""
    choice = random.Random(topic.partition(".")[0])
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=20, batch_size=2048, **options)
    for number in range(count):
        value = None if choice.random() < 0.05 else b"%d " % number * choice.randrange(12)
        headers = [("trace", b"\x00\xff"), ("", b"")] if choice.random() < 0.1 else None
        producer.send(
            topic,
            value,
            key=choice.choice([None, b"", b"BTC"]) if value is not None else b"ETH",
            headers=headers,
            timestamp_ms=NOON_MS + choice.randrange(10_000),
            partition=0,
        )
    producer.flush(timeout=20)
    producer.close()


def transactions(broker: str, topic: str) -> None:
    """Two producers in turns: committed, aborted, and one left open at the end."""
    first, second = (
        KafkaProducer(bootstrap_servers=broker, transactional_id=f"{topic}-{name}", compression_type=codec)
        for name, codec in (("one", None), ("two", "gzip"))
    )
    for producer in (first, second):
        producer.init_transactions()
    first.begin_transaction()
    first.send(topic, b"aborted before anything else").get(10)
    first.abort_transaction()
    for number in range(8):
        for producer in (first, second):
            producer.begin_transaction()
        for part in range(3):
            for producer in (first, second):
                sent = [producer.send(topic, b"%d %d" % (number, part)) for _ in range(2 + number)]
                sent[-1].get(10)
        for producer, commits in ((first, number % 3 != 1), (second, number % 2 == 0)):
            (producer.commit_transaction if commits else producer.abort_transaction)()
    send(broker, topic, numbers(5))
    first.begin_transaction()
    first.send(topic, b"open").get(10)
    send(broker, topic, numbers(5))
    for producer in (first, second):
        producer.close(timeout=1)


def fill(kind: str, broker: str, topic_factory: Topic) -> str:
    """A topic of some kind with records in it."""
    if kind == "log_append_time":
        topic = topic_factory(kind, configs={"message.timestamp.type": "LogAppendTime"})
        produce(broker, topic)
    elif kind == "transactions":
        topic = topic_factory(kind)
        transactions(broker, topic)
    elif kind == "small_batches":
        topic = topic_factory(kind)
        producer = KafkaProducer(bootstrap_servers=broker)
        for value in numbers(60):
            producer.send(topic, value).get(10)
        producer.close()
    elif kind == "large_records":
        topic = topic_factory(kind)
        send(broker, topic, [b"x" * size for size in (900_000, 1, 400_000, 0, 700_000)])
    elif kind == "mixed":
        topic = topic_factory(kind)
        for codec in (None, "gzip", None, "zstd", "lz4", None):
            produce(broker, topic, 90, compression_type=codec)
    else:
        topic = topic_factory(kind)
        produce(broker, topic, compression_type=None if kind == "plain" else kind)
    return topic


KINDS = [
    "plain",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
    "mixed",
    "small_batches",
    "large_records",
    "log_append_time",
    "transactions",
]


@pytest.fixture(scope="module")
def filled(broker: str) -> Iterator[Callable[[str], str]]:
    """Topics by their kind, each filled once."""
    import uuid

    admin = KafkaAdminClient(bootstrap_servers=broker)
    topics: dict[str, str] = {}

    def create(name: str, configs: dict[str, str] | None = None) -> str:
        topic = f"{name}.{uuid.uuid4().hex[:12]}"
        wanted = {"num_partitions": 1, "replication_factor": 1, "configs": configs or {}}
        admin.create_topics({topic: wanted}, wait_for_metadata=True)
        return topic

    def get(kind: str) -> str:
        if kind not in topics:
            topics[kind] = fill(kind, broker, create)
        return topics[kind]

    yield get
    admin.close()


class Reader:
    """A consumer without a group, reading raw or not."""

    def __init__(self, broker: str, topic: str, *, raw: bool, isolation: str, **options: Any) -> None:
        self.consumer = KafkaConsumer(
            bootstrap_servers=broker,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=isolation,
            kafka_client=Network,
            **options,
        )
        if raw:
            use_parser(self.consumer, RawPartitionRecords)
        self.one = TopicPartition(topic, 0)
        self.consumer.assign([self.one])
        self.consumer.seek(self.one, 0)
        self.blocks = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close(autocommit=False)

    @property
    def position(self) -> int:
        return int(self.consumer.position(self.one))

    def poll(self, most: int) -> list[Record]:
        found = self.consumer.poll(timeout_ms=300, max_records=most).get(self.one, [])
        chunks = list(chunks_of(Partition(self.one.topic, "", 0), found))
        self.blocks += sum(isinstance(chunk.records, RecordBlock) for chunk in chunks)
        records = [record for chunk in chunks for record in chunk.records]
        assert len(records) <= most
        return records

    def to_the_end(self, choice: random.Random | None = None) -> list[Record]:
        """All records, with jumps back and pauses where there is a choice."""
        found: dict[int, Record] = {}
        end = self.consumer.end_offsets([self.one])[self.one]
        jumps = 12 if choice else 0
        give_up = time.monotonic() + 30
        while self.position < end:
            assert time.monotonic() < give_up, (self.position, end)
            before = self.position
            records = self.poll(choice.choice([1, 7, 100, 1000]) if choice else 500)
            assert all(record.offset >= before for record in records)
            assert all(one.offset < other.offset for one, other in pairwise(records))
            if records:
                assert self.position > records[-1].offset
            for record in records:
                assert found.setdefault(record.offset, record) == record
            if jumps and choice and choice.random() < 0.4:
                jumps -= 1
                self.disturb(choice)
        return [found[offset] for offset in sorted(found)]

    def disturb(self, choice: random.Random) -> None:
        what = choice.randrange(3)
        if what == 0:
            self.consumer.seek(self.one, choice.randrange(self.position + 1))
        else:
            self.consumer.pause(self.one)
            assert self.poll(5) == []
            if what == 1:
                resume(self.consumer, self.one)
            else:
                self.consumer.resume(self.one)


@pytest.mark.parametrize(
    ("kind", "isolation"),
    [*((kind, COMMITTED) for kind in KINDS), ("plain", UNCOMMITTED), ("transactions", UNCOMMITTED)],
)
def test_the_same_records_as_one_by_one(
    broker: str, filled: Callable[[str], str], kind: str, isolation: str
) -> None:
    topic = filled(kind)
    with Reader(broker, topic, raw=False, isolation=isolation) as plain:
        wanted, position = plain.to_the_end(), plain.position
    assert plain.blocks == 0
    with Reader(broker, topic, raw=True, isolation=isolation) as raw:
        assert (raw.to_the_end(), raw.position) == (wanted, position)
        assert raw.blocks > 0
    small = {"max_partition_fetch_bytes": 3000, "fetch_max_bytes": 6000}
    with Reader(broker, topic, raw=True, isolation=isolation, **small) as disturbed:
        found = disturbed.to_the_end(random.Random(kind))
    # a jump back to an offset is followed by reading on from there, so nothing is missed
    assert (found, disturbed.position) == (wanted, position)


def test_holes_of_compaction(broker: str, topic_factory: Topic) -> None:
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    topic = topic_factory(configs=configs)
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=100)
    for number in range(400):
        producer.send(topic, b"%d" % number, key=b"%d" % (number % 7 if number % 10 else number))
    producer.flush(timeout=20)
    producer.close()
    time.sleep(0.2)
    send(broker, topic, [b"new segment"], key=b"other")
    give_up = time.monotonic() + 30
    while True:
        assert time.monotonic() < give_up
        with Reader(broker, topic, raw=False, isolation=COMMITTED) as plain:
            wanted, position = plain.to_the_end(), plain.position
        if len(wanted) < 100:
            break
    for start in range(0, 402, 40):
        with Reader(broker, topic, raw=True, isolation=COMMITTED) as raw:
            raw.consumer.seek(raw.one, start)
            found = raw.to_the_end()
            assert found == [record for record in wanted if record.offset >= start]
            assert raw.position == position


def test_a_poll_of_the_source_brings_blocks(broker: str, filled: Callable[[str], str]) -> None:
    with Reading(settings_for(broker, raw=False), filled("plain")) as slow:
        slow.until_end()
        assert not slow.source.raw
    with Reading(settings_for(broker), filled("plain"), max_poll_records=64) as reading:
        assert reading.source.raw
        while not (chunks := reading.source.poll(1)):
            pass
        (chunk,) = chunks
        assert isinstance(chunk.records, RecordBlock)
        assert 0 < len(chunk.records) <= 64
        assert reading.source.at_end() == frozenset()
        first = list(chunk.records)
        reading.until_end()
    assert slow.got == {chunk.partition: first + reading.got[chunk.partition]}


class Wrong(RawPartitionRecords):
    """As after a change in kafka-python that nobody has seen."""

    def take(self, n: int | None = None) -> Any:
        taken = super().take(n)
        taken.parts = [part[:1] for part in taken.parts]
        return taken


def test_a_parser_that_differs_is_not_used(broker: str, topic_factory: Topic) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(300))
    with capture_logs() as logs, Reading(settings_for(broker), topic, parser=Wrong) as reading:
        reading.until_count(300)
        assert not reading.source.raw
    assert reading.values == numbers(300)
    (warning,) = (log for log in logs if log["log_level"] == "warning")
    assert warning["event"] == "record batches are read record by record, which is slower"
    assert "parsers differ in records" in warning["reason"]


def test_partitions_move_in_the_middle_of_what_was_fetched(broker: str, topic_factory: Topic) -> None:
    topic = topic_factory(partitions=4)
    for partition in range(4):
        send(broker, topic, numbers(2000), partition=partition)
    settings = settings_for(broker)
    seen: dict[Partition, list[int]] = {}
    positions: dict[Partition, int] = {}
    with Reading(settings, topic, max_poll_records=50) as first:
        first.watcher.positions = positions
        first.until_count(600)
        second = Reading(
            settings.model_copy(update={"instance": "second"}), topic, max_poll_records=50, watcher=None
        )
        second.watcher.positions = positions

        def work() -> None:
            second.until_assigned(2)
            second.until(lambda: all(positions.get(one) == 2000 for one in second.held))

        thread = threading.Thread(target=work)
        thread.start()
        first.until(lambda: not thread.is_alive() and all(positions[one] == 2000 for one in first.held))
        assert len(first.held) == len(second.held) == 2
        second.source.close()
    for reading in (first, second):
        for partition, records in reading.got.items():
            seen.setdefault(partition, []).extend(record.offset for record in records)
    assert {partition: sorted(offsets) for partition, offsets in seen.items()} == {
        partition: list(range(2000)) for partition in first.watcher.partitions
    }


@pytest.mark.long  # test_faults does it to a daemon at work
def test_a_broker_that_is_started_again(own_broker: Callable[..., LocalBroker]) -> None:
    local = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=local.bootstrap)
    admin.create_topics({"events": {"num_partitions": 1}}, wait_for_metadata=True)
    admin.close()
    send(local.bootstrap, "events", numbers(2000))
    with Reading(settings_for(local.bootstrap), "events", max_poll_records=100) as reading:
        assert reading.source.raw
        reading.until_count(500)
        local.restart()
        send(local.bootstrap, "events", numbers(500, 2000))
        reading.until_count(2500, within_s=40)
    assert reading.values == numbers(2500)
