"""What is worked around in kafka-python, on a real broker: a work-around can go when its test needs none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.structs import MemberState

from streamer.sources.kafka.client_internals import Network, join, prompt_metadata, resume


@pytest.fixture
def consumer(broker: str) -> Iterator[KafkaConsumer]:
    client = KafkaConsumer(
        bootstrap_servers=broker,
        group_id=f"test-{time.time_ns()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=10,
        kafka_client=Network,
    )
    yield client
    client.close()


def test_a_member_settles_after_polls_that_were_too_short(
    broker: str, consumer: KafkaConsumer, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    consumer.subscribe([topic])
    while not consumer.assignment():
        assert join(consumer, 20_000)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_partitions({topic: 2})
    admin.close()
    while len(consumer.partitions_for_topic(topic)) < 2:
        consumer.topics()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        consumer.poll(timeout_ms=1)
    assert join(consumer, 20_000)
    assert consumer.group_metadata().state == MemberState.STABLE
    assert len(consumer.assignment()) == 2


def test_a_resumed_partition_is_read_whatever_was_set_aside(
    broker: str, consumer: KafkaConsumer, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory(partitions=2)
    one, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    for partition in (one, other):
        send(broker, topic, numbers(15), partition=partition.partition)
    consumer.assign([one, other])
    consumer.seek_to_beginning()
    consumer.pause(other)
    while not consumer.poll(timeout_ms=200):
        pass
    consumer.pause(one)
    resume(consumer, other)
    found: list[int] = []
    while len(found) < 15:
        found += [record.offset for record in consumer.poll(timeout_ms=200).get(other, [])]
    consumer.seek(one, 2)
    resume(consumer, one)
    give_up = time.monotonic() + 10
    while not (records := consumer.poll(timeout_ms=200).get(one)):
        assert time.monotonic() < give_up
    assert records[0].offset == 2


def test_polls_that_do_not_wait_join_too(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(3))
    with Reading(settings_for(broker), topic) as reading:
        give_up = time.monotonic() + 20
        while len(reading.values) < 3:
            assert time.monotonic() < give_up
            reading.poll(0.0)


def test_topics_are_asked_for_without_a_pause_only_where_somebody_waits(
    consumer: KafkaConsumer, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    metadata = consumer._cluster

    def pause_ms() -> float:
        """How long the library would wait for the next question, had the last one just been put."""
        metadata._last_refresh_ms = (time.monotonic() + 1_000) * 1_000
        return metadata.ttl() - 1_000_000

    def fails() -> None:
        with prompt_metadata(consumer):
            assert topic in consumer.topics()
            assert pause_ms() <= 5
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert 5 < pause_ms() <= 100
    metadata._last_refresh_ms = 0
    assert topic in consumer.topics()
