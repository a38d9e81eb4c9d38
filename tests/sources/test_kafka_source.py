from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from broker.watching import Reading, Watcher, numbers, send, settings_for
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.record import util

from streamer.errors import TapewatchError
from streamer.messages.logs import LogExtent
from streamer.messages.records import NO_TIME, Partition
from streamer.sources.kafka.kafka_source import KafkaSource
from streamer.sources.kafka.topic_sample import look_at, sample

NOON_MS = 1_723_118_400_000
QUICK = {"client": {"metadata_max_age_ms": 300}}


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def test_records_come_as_they_were_stored(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    producer = KafkaProducer(bootstrap_servers=broker)
    headers = [("trace", b"\x00\xff"), ("trace", b"")]
    producer.send(topic, b"one", key=b"BTC", headers=headers, timestamp_ms=NOON_MS + 1)
    producer.send(topic, None, key=b"ETH", timestamp_ms=NOON_MS)
    producer.flush()
    producer.close()
    with Reading(settings_for(broker), topic) as reading:
        reading.until_count(2)
    ((partition, (first, second)),) = reading.got.items()
    assert (partition.topic, partition.partition) == (topic, 0)
    assert (first.offset, first.value, first.key) == (0, b"one", b"BTC")
    assert first.headers == (("trace", b"\x00\xff"), ("trace", b""))
    assert first.timestamp == (NOON_MS + 1) * 1_000_000
    assert (second.offset, second.value, second.key, second.headers) == (1, None, b"ETH", ())
    assert NO_TIME not in {first.timestamp, second.timestamp}


@pytest.mark.parametrize(
    ("start", "offset"),
    [
        ("earliest", 0),
        ("latest", 10),
        ("2024-08-08T12:00:00.004Z", 4),
        ("2024-08-08T11:00:00Z", 0),
        ("2024-08-08T13:00:00Z", 10),
    ],
)
def test_start_resolves_before_anything_is_read(
    broker: str, topic_factory: Callable[..., str], start: str, offset: int
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(10), at_ms=NOON_MS)
    with Reading(settings_for(broker, start=start), topic) as reading:
        reading.until_assigned()
        (log,) = reading.watcher.logs
        assert (log.first, log.end, log.start) == (0, 10, offset)
        send(broker, topic, [b"more"], at_ms=NOON_MS + 10)
        reading.until_count(11 - offset)
    assert reading.values == [*numbers(10 - offset, offset), b"more"]


def test_reading_goes_on_where_it_is_told_and_not_where_kafka_remembers(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(10))
    settings = settings_for(broker)
    with Reading(settings, topic) as reading:
        reading.until_count(10)
        (partition,) = reading.held
        reading.source.commit({partition: 10})
        tools = KafkaConsumer(bootstrap_servers=broker, group_id=settings.group)
        reading.until(lambda: tools.committed(TopicPartition(topic, 0)) == 10)
        tools.close()
    with Reading(settings, topic, watcher=Watcher({partition: 7})) as again:
        again.until_end()
        (log,) = again.watcher.logs
        assert log.committed == 10, "it says how far a store should have come"
    assert again.values == numbers(3, 7)


def test_several_topics_and_partitions(broker: str, topic_factory: Callable[..., str]) -> None:
    one, two = topic_factory("one", 2), topic_factory("two")
    for topic, partition in ((one, 0), (one, 1), (two, 0)):
        send(broker, topic, numbers(5), partition=partition)
    with Reading(settings_for(broker), one, two) as reading:
        reading.until_count(15)
        reading.until_end()
    assert {(p.topic, p.partition) for p in reading.got} == {(one, 0), (one, 1), (two, 0)}
    assert all([record.value for record in records] == numbers(5) for records in reading.got.values())


def test_a_topic_found_later_starts_at_its_first_record(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    first = topic_factory("spot")
    prefix = f"later{first[-6:]}"
    known, other = topic_factory(f"{prefix}.a"), topic_factory(f"x{prefix}")
    send(broker, known, numbers(3))
    send(broker, other, numbers(3))
    with Reading(settings_for(broker, start="latest", **QUICK), f"{prefix}.*") as reading:
        reading.until_assigned()
        found = topic_factory(f"{prefix}.b")
        send(broker, found, numbers(4))
        reading.until_count(4)
    assert {p.topic for p in reading.got} == {found}
    assert {p.topic for p in reading.watcher.partitions} == {known, found}


def test_at_end_only_when_all_is_read(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(3))
    with Reading(settings_for(broker), topic, max_poll_records=1) as reading:
        reading.until_assigned()
        while len(reading.values) < 3:
            assert reading.source.at_end() == frozenset()
            assert reading.poll(5) == 1
        assert reading.source.at_end() == reading.held
        send(broker, topic, [b"more"])
        assert reading.source.at_end() == frozenset()


def test_aborted_transactions_are_holes(broker: str, topic_factory: Callable[..., str]) -> None:
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
    with Reading(settings_for(broker), topic) as reading:
        reading.until_end()
        assert reading.values == [b"a", b"b"]
        assert [record.offset for records in reading.got.values() for record in records] == [0, 4]
        producer.begin_transaction()
        producer.send(topic, b"open").get(10)
        reading.for_a_while(0.5)
        assert reading.values == [b"a", b"b"]
        assert look_at(settings_for(broker), topic, 10, {}).problems == ()
        producer.commit_transaction()
        reading.until_count(3)
    producer.close()
    assert reading.values[-1] == b"open"


def test_what_a_partition_does_not_have_is_sampled_from_the_others(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory("few", 3)
    send(broker, topic, numbers(4), partition=2)
    send(broker, topic, numbers(60), partition=0)
    of_each = {
        number: len(records) for number, records in sample(settings_for(broker), topic, 20, {}).items()
    }
    assert of_each == {0: 16, 1: 0, 2: 4}
    looked = look_at(settings_for(broker), topic, 20, {}).records
    assert {number: [record.value for record in records] for number, records in looked.items()} == {
        0: numbers(16, 44),
        2: numbers(4),
    }


def test_compacted_records_are_holes(broker: str, topic_factory: Callable[..., str]) -> None:
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    topic = topic_factory(configs=configs)
    send(broker, topic, numbers(50), key=b"BTC")
    time.sleep(0.2)
    send(broker, topic, [b"new segment"], key=b"ETH")
    give_up = time.monotonic() + 30
    values: list[bytes | None] = [*numbers(50)]
    while len(values) > 10:
        assert time.monotonic() < give_up
        with Reading(settings_for(broker), topic) as reading:
            reading.until_end()
        values = reading.values
    assert values == [b"49", b"new segment"]
    assert [record.offset for records in reading.got.values() for record in records] == [49, 50]


def test_a_restart_is_no_rebalance(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory(partitions=4)
    settings = settings_for(broker, instance="one")
    other = settings.model_copy(update={"instance": "two"})
    with Reading(other, topic) as staying:
        leaving = Reading(settings, topic)
        running = threading.Event()

        def stay() -> None:
            while not running.wait(0):
                staying.poll()

        thread = threading.Thread(target=stay)
        thread.start()
        leaving.until(lambda: len(leaving.held) == 2 and len(staying.held) == 2)
        before, history = leaving.held, list(staying.watcher.history)
        leaving.source.close()
        with Reading(settings, topic) as back:
            back.until_assigned(2)
            back.for_a_while(1)
            assert back.held == before
            assert back.watcher.history == [("assigned", tuple(sorted(before)))]
        running.set()
        thread.join()
    assert staying.watcher.history == history


def test_partitions_move_only_when_their_owner_is_done(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory(partitions=2)
    for partition in (0, 1):
        send(broker, topic, numbers(5), partition=partition)
    settings = settings_for(broker)
    order: list[str] = []

    def finish(_: Sequence[Partition]) -> None:
        time.sleep(3)  # longer than the others would take to hear of it
        order.append("finished")

    with Reading(settings, topic) as first:
        first.watcher.on_revoked = finish
        first.until_count(10)
        second = Reading(settings.model_copy(update={"instance": "second"}), topic)

        def join() -> None:
            second.until_assigned()
            order.append("taken over")

        thread = threading.Thread(target=join)
        thread.start()
        first.until(lambda: not thread.is_alive())
        second.source.close()
    assert order == ["finished", "taken over"]
    assert [what for what, _ in first.watcher.history] == ["assigned", "revoked"]
    assert first.held | second.held == set(first.watcher.partitions)
    assert not first.held & second.held
    assert first.watcher.threads == {threading.get_ident()}


def test_partitions_move_while_records_wait_their_turn(
    broker: str, topic_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.sources.kafka.kafka_source.PREFETCH_FACTOR", 1_000)  # enough for all
    topic = topic_factory(partitions=2)
    for partition in (0, 1):
        send(broker, topic, numbers(300), partition=partition)
    settings = settings_for(broker)
    positions: dict[Partition, int] = {}
    with Reading(settings, topic, max_poll_records=1) as first:
        first.watcher.positions = positions
        first.until_count(1)
        second = Reading(settings.model_copy(update={"instance": "second"}), topic)
        second.watcher.positions = positions
        thread = threading.Thread(target=second.until_assigned)
        thread.start()
        while thread.is_alive():
            first.poll()
            time.sleep(0.05)
        assert len(first.values) < 300, "they were seen to before the records that waited were gone"
        first.until(lambda: all(positions[one] == 300 for one in first.held))
        second.until(lambda: all(positions[one] == 300 for one in second.held))
        second.source.close()
    (moved,) = second.held
    assert [record.offset for record in first.got.get(moved, []) + second.got[moved]] == list(range(300))


class Noting(Watcher):
    """Notes how far each partition was whenever it is asked where to read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[Partition, int]] = []

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        self.asked.append(dict(self.positions))
        return super().assigned(logs)


def test_where_to_read_on_is_asked_once_all_that_waits_is_given_on(
    broker: str,
    topic_factory: Callable[..., str],
    admin: KafkaAdminClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamer.sources.kafka.kafka_source.PREFETCH_FACTOR", 1_000)
    topic = topic_factory()
    send(broker, topic, numbers(100))
    watcher = Noting()
    with Reading(settings_for(broker, **QUICK), topic, watcher=watcher, max_poll_records=1) as reading:
        reading.until_count(2)  # the others wait
        (old,) = reading.held
        admin.delete_topics([topic])
        while topic in admin.list_topics():
            pass
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        send(broker, topic, numbers(5, 100))
        until = time.monotonic() + 3  # long enough to hear of it
        while time.monotonic() < until:
            reading.poll()
            time.sleep(0.06)
        reading.until_count(105)
        (new,) = reading.held
    assert watcher.asked == [{}, {old: 100}]
    assert [record.value for record in reading.got[old]] == numbers(100)
    assert [record.value for record in reading.got[new]] == numbers(5, 100)


def test_a_failure_on_giving_up_partitions_is_not_swallowed(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory(partitions=2)
    settings = settings_for(broker)

    def fail(_: Sequence[Partition]) -> None:
        raise OSError("disk full")

    first = Reading(settings, topic)
    first.watcher.on_revoked = fail
    first.until_assigned(2)
    second = Reading(settings.model_copy(update={"instance": "second"}), topic)
    thread = threading.Thread(target=lambda: second.for_a_while(2))
    thread.start()
    with pytest.raises(OSError, match="disk full"):
        first.for_a_while(10)
    started = time.monotonic()
    first.source.close()
    assert time.monotonic() - started < 15
    thread.join()
    second.source.close()


def test_a_log_that_starts_after_the_offset_is_shown_as_such(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(10))
    with Reading(settings_for(broker), topic) as reading:
        reading.until_count(10)
        (partition,) = reading.held
    admin.delete_records({TopicPartition(topic, 0): 6})
    with Reading(settings_for(broker), topic, watcher=Watcher({partition: 3}, stubborn=1)) as late:
        late.until_count(4)
    assert [(log.first, log.end) for log in late.watcher.logs] == [(6, 10), (6, 10)]
    assert late.values == numbers(4, 6)
    assert [what for what, _ in late.watcher.history] == ["assigned", "assigned"]


@pytest.mark.parametrize("pause_s", [0, 1])
def test_a_topic_created_anew_is_another_one(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient, pause_s: float
) -> None:
    topic = topic_factory()
    send(broker, topic, numbers(3))
    with Reading(settings_for(broker, start="latest", **QUICK), topic) as reading:
        reading.until_assigned()
        (old,) = reading.held
        admin.delete_topics([topic])
        reading.for_a_while(pause_s)
        while topic in admin.list_topics():
            pass
        admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        send(broker, topic, numbers(5, 100))
        reading.until_count(5)
        (new,) = reading.held
        reading.until_end()
    assert new.incarnation != old.incarnation
    assert reading.got.keys() == {new}
    assert reading.values == numbers(5, 100)
    assert ("revoked", (old,)) in reading.watcher.history


def test_new_partitions_are_found_after_a_restart_too(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topic = topic_factory()
    settings = settings_for(broker, start="latest", **QUICK)
    with Reading(settings, topic) as reading:
        reading.until_assigned()
    with Reading(settings, topic) as again:
        again.until_assigned()
        admin.create_partitions({topic: 3})
        send(broker, topic, numbers(2), partition=2)
        again.until_count(2)
        again.until_assigned(3)
    assert [log.start for log in again.watcher.logs] == [0, 0, 0]


def test_topics_are_never_created(
    broker: str, admin: KafkaAdminClient, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    missing = f"{topic}x"
    source = KafkaSource(settings_for(broker), [topic, missing])
    with pytest.raises(TapewatchError) as caught:
        source.open(Watcher())
    source.close()
    assert str(caught.value) == (
        f"topic '{missing}' does not exist at {broker}, or this user may not see it"
        f" (did you mean '{topic}'?): create it, or change source.topics"
    )
    with pytest.raises(TapewatchError, match=r"no topic at .* matches nothing-like-this"):
        KafkaSource(settings_for(broker), ["nothing-like-this.*"]).open(Watcher())
    with Reading(settings_for(broker, **QUICK), topic) as reading:
        reading.until_assigned()
        admin.delete_topics([topic])
        reading.for_a_while(1.5)
    assert not {topic, missing} & set(admin.list_topics())


def test_one_process_takes_the_place_of_another(broker: str, topic_factory: Callable[..., str]) -> None:
    topic = topic_factory()
    settings = settings_for(broker, instance="same", session_timeout="3s")
    with Reading(settings, topic) as first:
        first.until_assigned()
        with Reading(settings, topic) as second:
            second.until_assigned()
            with pytest.raises(TapewatchError, match=r"another process has joined group .* as 'same'"):
                first.for_a_while(10)


def test_slow_checksums_are_refused(
    broker: str, topic_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util.calc_crc32c, "__defaults__", (util.crc32c_py,))
    with pytest.raises(TapewatchError, match="crc32c"):
        KafkaSource(settings_for(broker), [topic_factory()]).open(Watcher())
