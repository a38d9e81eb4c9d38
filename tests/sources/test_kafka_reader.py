from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from streamer.errors import TapewatchError
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.range_reader import RangeReader


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def all_of(broker: str, topic: str, count: int) -> dict[Partition, list[Record]]:
    with Reading(settings_for(broker), topic) as reading:
        reading.until_count(count)
        reading.until_end()
    return reading.got


def test_ranges_are_what_was_consumed(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory(partitions=2)
    for number in (0, 1):
        send(broker, topic, numbers(1500, 5000 * number), partition=number)
    consumed = all_of(broker, topic, 3000)
    choice = random.Random(1)
    with RangeReader(settings_for(broker), dict.fromkeys(consumed, (0, 1499))) as reader:
        for partition, records in sorted(consumed.items()):
            assert list(reader.read(partition, 0, 1499)) == records
        for _ in range(60):
            partition = choice.choice(sorted(consumed))
            first = choice.randrange(1500)
            last = min(1499, first + choice.randrange(200))
            assert list(reader.read(partition, first, last)) == consumed[partition][first : last + 1]
        for start in range(0, 1500, 100):
            for partition, records in sorted(consumed.items()):
                assert list(reader.read(partition, start, start + 99)) == records[start : start + 100]
        partition = min(consumed)
        assert list(reader.read(partition, 7, 7)) == consumed[partition][7:8]


def test_offsets_without_a_record_are_skipped(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    producer = KafkaProducer(bootstrap_servers=broker, transactional_id=topic)
    producer.init_transactions()
    for value, commit in ((b"a", True), (b"bad", False), (b"b", True), (b"worse", False)):
        producer.begin_transaction()
        producer.send(topic, value).get(10)
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    ((partition, records),) = all_of(broker, topic, 2).items()
    assert [record.offset for record in records] == [0, 4]
    with RangeReader(settings_for(broker), {partition: (0, 7)}) as reader:
        assert list(reader.read(partition, 0, 7)) == records
        assert list(reader.read(partition, 1, 3)) == []
        assert list(reader.read(partition, 4, 4)) == records[1:]
        assert list(reader.read(partition, 5, 7)) == []


def test_missing_records_are_named(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(10))
    (partition,) = all_of(broker, topic, 10)
    admin.delete_records({TopicPartition(topic, 0): 4})
    with RangeReader(settings_for(broker), {partition: (3, 9)}) as reader:
        assert len(list(reader.read(partition, 4, 9))) == 6
        with pytest.raises(TapewatchError, match=r"holds offsets 4 to 9 now, and not all of 3 to 9"):
            list(reader.read(partition, 3, 9))
        with pytest.raises(TapewatchError, match=r"not all of 4 to 10"):
            list(reader.read(partition, 4, 10))
    admin.delete_topics([topic])
    with pytest.raises(TapewatchError, match=f"topic '{topic}' is gone, and with it records 3 to 9"):
        RangeReader(settings_for(broker), {partition: (3, 9)})
    admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
    with pytest.raises(TapewatchError, match=f"topic '{topic}' was deleted and created again"):
        RangeReader(settings_for(broker), {partition: (3, 9)})
