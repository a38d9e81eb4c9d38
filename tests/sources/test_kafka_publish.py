from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker.local import free_port
from broker.watching import Reading, settings_for
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from structlog.testing import capture_logs

from streamer.errors import TapewatchError, UsageError
from streamer.messages.records import NO_TIME
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, SendPace, merge_by_time, publish

NOON_NS = 1_723_118_400_000_000_000
MS = 1_000_000


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def outgoing(count: int, keys: int = 5, step_ns: int = MS) -> list[Outgoing]:
    return [
        Outgoing(NOON_NS + number * step_ns, b"key%d" % (number % keys), b"%d" % number)
        for number in range(count)
    ]


def test_times_keys_and_order_are_kept(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory(partitions=3)
    settings = settings_for(broker)
    records = outgoing(2000, step_ns=1_234_567)
    progress: list[int] = []
    first = publish(records[:1000], PublishTarget(settings, topic), progress=progress.append)
    second = publish(records[1000:], PublishTarget(settings, topic))
    assert sum(first.values()) + sum(second.values()) == 2000
    assert progress[-1] == 1000
    assert progress == sorted(progress)
    with Reading(settings, topic) as reading:
        reading.until_count(2000)
        reading.until_end()
    assert {p.partition: len(got) for p, got in reading.got.items()} == {
        number: first.get(number, 0) + second.get(number, 0) for number in {*first, *second}
    }
    home = {record.key: p for p, got in reading.got.items() for record in got}
    assert len(home) == 5
    by_value = {record.value: record for record in records}
    for partition, got in reading.got.items():
        assert all(home[record.key] == partition for record in got)
        assert [record.timestamp for record in got] == [
            by_value[record.value].timestamp // MS * MS for record in got
        ]
        for key in {record.key for record in got}:
            mine = [record.value for record in got if record.key == key]
            assert mine == [record.value for record in records if record.key == key]


def test_headers_and_nulls_are_kept(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    sent = Outgoing(NOON_NS, b"BTC", None, (("a", b"1"), ("a", b"")))
    assert publish([sent, Outgoing(NO_TIME, None, b"now")], PublishTarget(settings_for(broker), topic)) == {
        0: 2
    }
    with Reading(settings_for(broker), topic) as reading:
        reading.until_count(2)
    ((first, second),) = reading.got.values()
    assert (first.key, first.value, first.headers) == (b"BTC", None, sent.headers)
    assert abs(second.timestamp / 1e9 - time.time()) < 60


def test_a_missing_topic_is_created_only_when_asked_for(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = f"{topic_factory()}x"
    settings = settings_for(broker)
    with pytest.raises(TapewatchError, match=f"topic '{topic}' does not exist"):
        publish(outgoing(1), PublishTarget(settings, topic))
    assert topic not in admin.list_topics()
    assert sum(publish(outgoing(10), PublishTarget(settings, topic, create=3)).values()) == 10
    (made,) = admin.describe_topics([topic])
    assert len(made["partitions"]) == 3
    assert sum(publish(outgoing(10), PublishTarget(settings, topic, create=3)).values()) == 10
    with pytest.raises(TapewatchError, match=f"topic '{topic}' has 3 partitions already, not 4"):
        publish(outgoing(1), PublishTarget(settings, topic, create=4))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (Outgoing(NOON_NS, b"k", b"x" * 2_000_000), "larger than the maximum request size"),
        (Outgoing(NOON_NS, None, None), "Need at least one: key or value"),
        (Outgoing(int(time.time() + 86_400) * 1_000_000_000, b"k", b"x"), "out of range"),
    ],
)
def test_a_record_that_is_not_taken_is_named(
    broker: str, topic_factory: Callable[..., str], record: Outgoing, problem: str
) -> None:
    topic = topic_factory()
    with pytest.raises(
        TapewatchError, match=f"record 3 could not be published to topic '{topic}'.*{problem}"
    ):
        publish([*outgoing(3), record, *outgoing(10)], PublishTarget(settings_for(broker), topic))


def test_an_unreachable_broker_is_named() -> None:
    settings = settings_for(f"127.0.0.1:{free_port()}", client={"bootstrap_timeout_ms": 500})
    with pytest.raises(TapewatchError, match=r"cannot reach Kafka at .*: connection refused"):
        publish(outgoing(1), PublishTarget(settings, "events"))


@pytest.mark.parametrize(("pace", "seconds"), [({"rate": 200}, 1.0), ({"speed": 2}, 1.0), ({}, 0.0)])
def test_the_pace_is_kept(
    broker: str, topic_factory: Callable[..., str], pace: dict[str, Any], seconds: float
) -> None:
    topic = topic_factory()
    arrivals: list[tuple[float, int]] = []

    def feed() -> Iterator[Outgoing]:
        for number, record in enumerate(outgoing(201, step_ns=10 * MS)):
            arrivals.append((time.monotonic(), number))
            yield record

    publish(feed(), PublishTarget(settings_for(broker), topic), SendPace(**pace))
    took = arrivals[-1][0] - arrivals[0][0]
    assert seconds * 0.9 < took < seconds + 1.5
    settled, first = arrivals[50]
    ahead = [seconds * (number - first) / 200 - (at - settled) for at, number in arrivals[50:]]
    assert max(ahead) < 0.05 or not seconds


@pytest.mark.parametrize(
    "pace", [{"rate": 1, "speed": 1}, {"rate": 0}, {"speed": -1}, {"rate": float("nan")}]
)
def test_a_pace_that_is_none_is_refused(pace: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SendPace(**pace)


def test_topics_that_lose_times_are_warned_of(broker: str, topic_factory: Callable[..., str]) -> None:
    losing = topic_factory(configs={"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"})
    with capture_logs() as logs:
        publish(outgoing(1), PublishTarget(settings_for(broker), losing))
        publish(outgoing(1), PublishTarget(settings_for(broker), topic_factory()))
    assert [log["event"] for log in logs] == [
        "the topic replaces record times by the time of arrival: set message.timestamp.type=CreateTime",
        "records are older than the topic's retention: set retention.ms=-1",
    ]


@given(st.lists(st.lists(st.integers(0, 50)), max_size=4))
def test_merging_keeps_each_order_and_sorts_by_time(times: list[list[int]]) -> None:
    streams = [
        [Outgoing(at, None, b"%d/%d" % (stream, number)) for number, at in enumerate(sorted(one))]
        for stream, one in enumerate(times)
    ]
    merged = list(merge_by_time(*streams))
    assert sorted(merged, key=lambda one: one.timestamp) == merged
    for stream, one in enumerate(streams):
        assert [
            record for record in merged if record.value and record.value.startswith(b"%d/" % stream)
        ] == one
