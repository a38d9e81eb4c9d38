"""What is created while a member is away is read when it comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient

from streamer.sources.kafka.kafka_settings import KafkaSettings


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def was_there(settings: KafkaSettings, glob: str) -> None:
    """Be a member of the group once, and leave as a restart does."""
    with Reading(settings, glob) as reading:
        reading.until_assigned()


def test_a_topic_created_while_away(broker: str, topic_factory: Callable[..., str]) -> None:
    prefix = f"away{topic_factory()[-8:]}"
    topic_factory(f"{prefix}.a")
    settings = settings_for(broker)
    was_there(settings, f"{prefix}.*")
    created = topic_factory(f"{prefix}.b")
    send(broker, created, numbers(4))
    with Reading(settings, f"{prefix}.*") as again:
        again.until_count(4)
    assert {one.topic for one in again.got} == {created}


def test_a_partition_created_while_away(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory()
    settings = settings_for(broker)
    was_there(settings, topic)
    admin.create_partitions({topic: 2})
    send(broker, topic, numbers(3), partition=1)
    with Reading(settings, topic) as again:
        again.until_count(3)
        again.until_assigned(2)


def test_a_topic_deleted_under_a_member_and_created_while_it_is_away(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory()
    settings = settings_for(broker)
    was_there(settings, f"{topic}*")
    with Reading(settings, f"{topic}*") as reading:
        reading.until_assigned()
        (old,) = reading.held
        admin.delete_topics([topic])
        reading.for_a_while(6)
    while topic in admin.list_topics():
        pass
    admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
    send(broker, topic, numbers(5))
    with Reading(settings, f"{topic}*") as again:
        again.until_count(5)
    (new,) = again.got
    assert new.incarnation != old.incarnation
