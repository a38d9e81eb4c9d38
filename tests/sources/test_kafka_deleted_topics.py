"""When a log is gone for sure, and when it only seems so."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from broker.local import LocalBroker
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient

from streamer.errors import TapewatchError
from streamer.messages.records import Partition
from streamer.sources.kafka import deleted_topics
from streamer.sources.kafka.known_cluster import KnownCluster

QUICK = {"client": {"metadata_max_age_ms": 300}}


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_topics, "GONE_AFTER_S", 2.0)
    monkeypatch.setattr(deleted_topics, "ASK_EVERY_S", 0.3)


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def gone_within(reading: Reading, logs: frozenset[Partition], seconds: float) -> frozenset[Partition]:
    """What is gone for sure by then; it ends when all of it is."""
    until = time.monotonic() + seconds
    gone: frozenset[Partition] = frozenset()
    while time.monotonic() < until and gone < logs:
        reading.poll()
        gone |= reading.source.gone(logs)
    return gone


@pytest.mark.parametrize("pattern", [False, True])
def test_a_deleted_topic_is_gone_after_a_while_and_others_are_not(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient, pattern: bool
) -> None:
    topic, other = topic_factory("spot", 2), topic_factory("perp")
    globs = (f"{topic[:-2]}*", f"{other[:-2]}*") if pattern else (topic, other)
    with Reading(settings_for(broker, **QUICK), *globs) as reading:
        reading.until_assigned(3)
        logs = reading.held
        lost = {log for log in logs if log.topic == topic}
        admin.delete_topics([topic])
        began = time.monotonic()
        assert gone_within(reading, frozenset(lost), 15) == lost
        assert gone_within(reading, logs, 1) <= lost
        assert time.monotonic() - began > 2
        send(broker, other, numbers(3))
        reading.until_count(3)


def test_the_log_of_a_topic_created_anew_is_gone_and_the_new_one_is_not(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory(partitions=3)
    with Reading(settings_for(broker, **QUICK), topic) as reading:
        reading.until_assigned(3)
        old = reading.held
        admin.delete_topics([topic])
        while topic in admin.list_topics():
            pass
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        send(broker, topic, numbers(3))
        reading.until_count(3)
        (new,) = {log for log in reading.held if log not in old}
        assert gone_within(reading, old | {new}, 6) == old, "those of it that have no successor too"


@pytest.mark.long  # the broker of test_faults does both
def test_neither_a_broker_that_restarts_nor_one_that_is_away_deletes_anything(
    own_broker: Callable[..., LocalBroker],
) -> None:
    broker = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({"trades": {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    with Reading(settings_for(broker.bootstrap, **QUICK), "trad*") as reading:
        reading.until_assigned(2)
        logs = reading.held
        broker.kill()
        assert gone_within(reading, logs, 4) == frozenset()
        broker.start()
        assert gone_within(reading, logs, 6) == frozenset()
        send(broker.bootstrap, "trades", numbers(3))
        reading.until_count(3)


def test_a_topic_that_was_read_once_need_not_exist_at_a_start_and_is_read_when_it_does(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic, other = topic_factory(), topic_factory()
    admin.delete_topics([topic])
    while topic in admin.list_topics():
        pass
    known = KnownCluster(topics={topic, other})
    with Reading(settings_for(broker, **QUICK), topic, other, cluster=known) as opened:
        opened.until_assigned(1)
        log = Partition(topic, "0" * 8 + "-0000-0000-0000-" + "1" * 12, 0)
        assert gone_within(opened, frozenset({log}), 15) == {log}
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        send(broker, topic, numbers(4))
        opened.until_count(4)
    name = "nothing.of.this.name"
    with Reading(settings_for(broker, **QUICK), name, cluster=KnownCluster(topics={name})) as alone:
        alone.for_a_while(0.5)
        assert alone.held == frozenset()


def test_another_cluster_than_the_known_one_is_refused_at_a_start_and_while_reading(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic, kept = topic_factory(), list[str]()
    with Reading(settings_for(broker), topic, cluster=KnownCluster(keep=kept.append)) as reading:
        reading.until_assigned()
        (known,) = kept
        reading.source.cluster.id = "of-the-standby"
        with pytest.raises(TapewatchError, match="another Kafka cluster answers"):
            reading.poll()
    other = KnownCluster("of-the-standby", "store a.db", topics={topic})
    with pytest.raises(TapewatchError, match=rf"'{known}', and the logs of store a.db are of"):
        Reading(settings_for(broker), topic, cluster=other)
    with Reading(settings_for(broker), topic, cluster=KnownCluster(known)) as again:
        again.until_assigned()


def test_a_cluster_with_none_of_the_known_topics_ends_nothing_until_it_has_one(
    broker: str, admin: KafkaAdminClient
) -> None:
    topic, kept = f"known.{uuid.uuid4().hex[:12]}", list[str]()
    logs = frozenset({Partition(name, "0" * 8 + "-0000-0000-0000-" + "1" * 12, 0) for name in (topic, "x")})
    known = KnownCluster(keep=kept.append, topics={topic, "x"})
    with Reading(settings_for(broker, **QUICK), topic, "x", cluster=known) as reading:
        assert gone_within(reading, logs, 4) == frozenset()
        assert not reading.source.is_known
        assert kept == []
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        assert gone_within(reading, logs, 15) == logs
        assert len(kept) == 1
        admin.delete_topics([topic])


def test_an_ended_log_that_is_there_again_is_assigned_again(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(3))
    with Reading(settings_for(broker, **QUICK), topic) as reading:
        reading.until_count(3)
        (log,) = reading.held
        reading.source.leave({log})
        reading.until(lambda: len(reading.watcher.history) == 2)
        send(broker, topic, numbers(2, 3))
        reading.until_count(5)
    assert reading.watcher.history == [("assigned", (log,)), ("assigned", (log,))]
    assert reading.values == numbers(5)
