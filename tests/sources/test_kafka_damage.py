"""A real broker whose log is damaged: exactly what is damaged is left out, and all else is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from broker.damaging import HEADER_BYTES, batches_in, flip, new_topic, producing, segment_of
from broker.local import LocalBroker
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaAdminClient, TopicPartition

from streamer.sources.kafka import unreadable_partitions
from streamer.sources.kafka.checked_records import UnreadableBatch

PER_BATCH, BATCHES, DAMAGED = 3, 5, 2  # the batch with offsets 6, 7 and 8
GOOD = [offset for offset in range(PER_BATCH * BATCHES) if offset // PER_BATCH != DAMAGED]
PLACES = [*range(HEADER_BYTES), 61, 66, 70, 75]
LEADER_EPOCH = range(12, 16)


@pytest.mark.parametrize("raw", [True, pytest.param(False, marks=pytest.mark.long)])
def test_whichever_byte_of_a_batch_is_damaged(own_broker: Callable[..., LocalBroker], raw: bool) -> None:
    broker = own_broker()
    topic = new_topic(broker, "sweep", 2 * len(PLACES))
    with producing(broker) as producer:
        for number in range(BATCHES):
            for partition in range(2 * len(PLACES)):
                for each in range(PER_BATCH):
                    producer.send(topic, b"%d" % (PER_BATCH * number + each), partition=partition)
            producer.flush(30)
    for partition in range(2 * len(PLACES)):
        segment = segment_of(broker, topic, partition)
        at, _, base = batches_in(segment)[DAMAGED]
        assert base == PER_BATCH * DAMAGED
        flip(segment, at + PLACES[partition // 2], 0x01 if partition % 2 else 0xFF)
    with Reading(settings_for(broker.bootstrap, raw=raw), topic) as reading:
        reading.until(
            lambda: len(reading.held) == 2 * len(PLACES) and reading.source.at_end() >= reading.held, 90
        )
        assert reading.source.raw == raw
    wrong = {}
    for partition, records in reading.got.items():
        offsets = [record.offset for record in records]
        skipped = [(one.first, one.last) for one in reading.damaged.get(partition, [])]
        place = PLACES[partition.partition // 2]
        values = [record.value for record in records] == [b"%d" % offset for offset in offsets]
        expected = (list(range(15)), []) if place in LEADER_EPOCH else (GOOD, [(6, 8)])
        if (offsets, skipped) != expected or not values:
            wrong[place, partition.partition % 2] = offsets, reading.damaged.get(partition, []), values
    assert not wrong


def test_a_paused_partition_whose_batches_are_sound_is_tried_again_and_again(
    broker: str, topic_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the parser cannot read and a survey can: a bad moment may be over."""
    monkeypatch.setattr(unreadable_partitions, "SURVEY_AGAIN_AFTER_S", 0.3)
    monkeypatch.setattr(unreadable_partitions, "LOOK_EVERY_S", 0.05)
    topic, failures = topic_factory(), 8
    send(broker, topic, numbers(10))
    read = unreadable_partitions.split_unreadable

    def failing(polled: Sequence[Any]) -> tuple[Sequence[Any], UnreadableBatch | None]:
        nonlocal failures
        records, unreadable = read(polled)
        if failures and records:
            failures -= 1
            return records[:0], UnreadableBatch(records[0].offset, "a bad moment")
        return records, unreadable

    monkeypatch.setattr(unreadable_partitions, "split_unreadable", failing)
    with Reading(settings_for(broker, raw=False), topic) as reading:
        told: list[bool] = []

        def is_read() -> bool:
            told.append(bool(reading.source.paused))
            return len(reading.values) == 10

        reading.until(is_read)
        assert failures == 0
        assert all(told[told.index(True) : -1]), "it stays paused until it is read"
        reading.until(lambda: not reading.source.paused, 5)
    assert reading.values == numbers(10)
    assert not reading.damaged


def test_a_paused_partition_goes_on_once_retention_has_removed_what_it_waits_for(
    own_broker: Callable[..., LocalBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable_partitions, "STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(unreadable_partitions, "SURVEY_AGAIN_AFTER_S", 1.0)
    broker = own_broker()
    topic = new_topic(broker, "cut")
    with producing(broker) as producer:
        for _ in range(BATCHES):
            for _ in range(PER_BATCH):
                producer.send(topic, b"." * 2_000)  # so large that the index of the broker has each batch
            producer.flush(30)
    segment = segment_of(broker, topic)
    flip(segment, batches_in(segment)[DAMAGED][0] + 8, 0x40)  # its length: the broker returns nothing there
    with Reading(settings_for(broker.bootstrap, damaged="stop"), topic) as reading:
        reading.until(lambda: bool(reading.source.paused))
        assert [(one.offset, one.reason) for one in reading.source.paused] == [(6, "damaged")]
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.delete_records({TopicPartition(topic, 0): 13})
        admin.close()
        reading.until_end()
        assert not reading.source.paused
        assert not reading.damaged
        (records,) = reading.got.values()
        assert [record.offset for record in records] == [*range(6), 13, 14]
