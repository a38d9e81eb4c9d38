from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from broker.damaging import new_topic
from broker.local import LocalBroker
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient, KafkaProducer
from structlog.testing import capture_logs


@pytest.mark.long  # test_faults does it to a daemon at work
def test_an_outage_makes_records_late_and_nothing_else(own_broker: Callable[..., LocalBroker]) -> None:
    local = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=local.bootstrap)
    admin.create_topics({"events": {"num_partitions": 2}}, wait_for_metadata=True)
    admin.close()
    for partition in (0, 1):
        send(local.bootstrap, "events", numbers(50), partition=partition)
    with (
        Reading(settings_for(local.bootstrap), "events", max_poll_records=7) as reading,
        capture_logs() as logs,
    ):
        reading.until_count(30)
        local.kill()
        cpu, wall = time.process_time(), time.monotonic()
        while time.monotonic() < wall + 7:
            started = time.monotonic()
            reading.poll(0.3)
            assert time.monotonic() - started < 10
            assert not reading.source.at_end() & reading.held
        assert time.process_time() - cpu < 1.5
        assert [log["event"] for log in logs] == ["Kafka does not answer"]
        local.start()
        for partition in (0, 1):
            send(local.bootstrap, "events", numbers(50, 50), partition=partition)
        reading.until_count(200)
        reading.until_end()
        assert [log["event"] for log in logs] == ["Kafka does not answer", "Kafka is back"]
    assert all([record.value for record in records] == numbers(100) for records in reading.got.values())
    assert [what for what, _ in reading.watcher.history] == ["assigned"]


@pytest.mark.long
def test_an_outage_with_a_backlog_of_many_partitions_delays_nothing_else(
    own_broker: Callable[..., LocalBroker],
) -> None:
    partitions, each = 40, 250
    local = own_broker()
    topic = new_topic(local, "backlog", partitions)
    producer = KafkaProducer(bootstrap_servers=local.bootstrap, batch_size=4_000, linger_ms=20)
    for partition in range(partitions):
        for number in range(each):
            producer.send(topic, b"%d" % number + b"." * 200, partition=partition)
    producer.flush(60)
    producer.close()
    settings = settings_for(local.bootstrap, max_partition_fetch_bytes=20_000, fetch_max_bytes=200_000)
    with Reading(settings, topic, max_poll_records=50) as reading:
        reading.until_count(1_000)
        local.freeze()
        until = time.monotonic() + 15
        while time.monotonic() < until:
            started = time.monotonic()
            reading.poll(0.1)
            assert time.monotonic() - started < 10
        assert not reading.source.answers
        assert not reading.source.paused
        local.thaw()
        reading.until_count(partitions * each, 60)
        assert not reading.damaged
    for records in reading.got.values():
        assert [record.offset for record in records] == list(range(each))


def test_closing_during_an_outage_is_quick(own_broker: Callable[..., LocalBroker]) -> None:
    local = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=local.bootstrap)
    admin.create_topics({"events": {"num_partitions": 1}}, wait_for_metadata=True)
    admin.close()
    reading = Reading(settings_for(local.bootstrap), "events")
    reading.until_assigned()
    (partition,) = reading.held
    local.kill()
    reading.for_a_while(2)
    reading.source.commit({partition: 0})
    started = time.monotonic()
    reading.source.close()
    assert time.monotonic() - started < 15
