"""The time of the newest record of a log, known while it is read from far behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

import pytest
from broker.watching import Reading, numbers, send, settings_for
from kafka import KafkaProducer

from streamer.messages.records import NO_TIME
from streamer.sources.kafka import log_tails

MS = 1_000_000
DAY_MS = 86_400_000


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.mark.parametrize("raw", [True, False])
def test_a_backlog_is_known_to_be_old_from_its_first_record_on(
    broker: str, topic_factory: Callable[..., str], raw: bool
) -> None:
    topic, old, new = topic_factory(), now_ms() - 2 * DAY_MS, now_ms()
    send(broker, topic, numbers(300), at_ms=old)
    send(broker, topic, numbers(5, 300), at_ms=new)
    with Reading(settings_for(broker, raw=raw), topic, max_poll_records=20) as reading:
        reading.until_count(305)
    assert set(reading.newest) == {(new + 4) * MS}


def test_one_record_from_the_future_makes_nothing_late(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic, old = topic_factory(), now_ms() - 2 * DAY_MS
    send(broker, topic, numbers(300), at_ms=old)
    send(broker, topic, [b"from a clock that is fast"], at_ms=now_ms() + DAY_MS // 48)
    with Reading(settings_for(broker), topic, max_poll_records=20) as reading:
        reading.until_count(301)
    assert set(reading.newest) == {(old + 299) * MS}


def test_one_record_from_the_past_makes_nothing_new(broker: str, topic_factory: Callable[..., str]) -> None:
    topic, new = topic_factory(), now_ms() - 1_000
    send(broker, topic, numbers(300), at_ms=new)
    send(broker, topic, [b"from a clock that stands"], at_ms=1)
    with Reading(settings_for(broker), topic, max_poll_records=20) as reading:
        reading.until_count(301)
    assert set(reading.newest) == {(new + 299) * MS}


def test_all_in_the_future_counts_as_now(broker: str, topic_factory: Callable[..., str]) -> None:
    topic, began = topic_factory(), time.time_ns()
    send(broker, topic, numbers(50), at_ms=now_ms() + DAY_MS // 48)
    with Reading(settings_for(broker), topic, max_poll_records=20) as reading:
        reading.until_count(50)
    assert all(began <= newest <= time.time_ns() for newest in reading.newest)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_compressed_batches_and_transactions_are_looked_into_by_their_headers(
    broker: str, topic_factory: Callable[..., str], codec: str
) -> None:
    topic, old = topic_factory(), now_ms() - 5 * DAY_MS
    producer = KafkaProducer(
        bootstrap_servers=broker, compression_type=codec, linger_ms=50, transactional_id=topic
    )
    producer.init_transactions()
    for at_ms in (old, old + DAY_MS):
        producer.begin_transaction()
        for number in range(100):
            producer.send(topic, b"x" * 900, timestamp_ms=at_ms + number)
        producer.commit_transaction()
    producer.close()
    with Reading(settings_for(broker), topic, max_poll_records=30) as reading:
        reading.until_count(200)
    assert set(reading.newest) == {(old + DAY_MS + 99) * MS}


def test_what_comes_after_the_end_of_a_log_is_behind_by_the_time_since_at_most(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic, slow = topic_factory(), now_ms() - DAY_MS
    send(broker, topic, numbers(30), at_ms=slow)
    with Reading(settings_for(broker), topic, max_poll_records=10) as reading:
        began = time.monotonic()
        reading.until_count(30)
        assert set(reading.most_behind_s) == {inf}, "a backlog"
        send(broker, topic, numbers(1, 30), at_ms=slow)
        reading.until_count(31)
        assert 0 <= reading.most_behind_s[-1] <= time.monotonic() - began


def test_it_is_asked_for_once_in_a_while_for_all_partitions_together(
    broker: str, topic_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = log_tails.ask_for_ends

    def counted(consumer: object, offsets: dict[object, int], max_bytes: int) -> object:
        asked.append(len(offsets))
        return ask(consumer, offsets, max_bytes)

    monkeypatch.setattr(log_tails, "ask_for_ends", counted)
    topic, old = topic_factory(partitions=4), now_ms() - DAY_MS
    for partition in range(4):
        send(broker, topic, numbers(500), partition=partition, at_ms=old)
    with Reading(settings_for(broker), topic, max_poll_records=10) as reading:
        reading.until_count(2_000, 60)
        ends = dict.fromkeys(reading.newest)
    assert NO_TIME not in ends
    assert asked[0] == 4
    assert len(asked) <= 4, "not for each poll, of which there are hundreds"
