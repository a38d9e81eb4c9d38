"""Joined topics on a real broker: logs are taken over whole, whatever becomes of their partitions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from broker.watching import Reading, Watcher, numbers, send, settings_for
from kafka import KafkaAdminClient

from streamer.errors import TapewatchError
from streamer.messages.records import Partition
from streamer.sources.join_settings import JoinSettings
from streamer.sources.kafka.known_cluster import KnownCluster

NOON_MS = 1_723_118_400_000
QUICK = {"client": {"metadata_max_age_ms": 300}}


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


def names(reading: Reading) -> list[str]:
    return [str(extent.log) for extent in reading.watcher.taken_over]


def members(reading: Reading, log: str) -> list[tuple[str, int]]:
    """The members of a log as it was taken over last."""
    last = [extent.log for extent in reading.watcher.taken_over if str(extent.log) == log][-1]
    return [(member.topic, member.partition) for member in last.members]


def test_logs_are_made_of_partitions_of_one_number_or_of_all(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    trades, orders = topic_factory("trades", 3), topic_factory("orders", 2)
    spot, alone = topic_factory("spot", 2), topic_factory("alone")
    for topic in (trades, orders, spot, alone):
        send(broker, topic, numbers(5))
    join = ((orders, trades), JoinSettings(topics=(spot,), partitions="all"))
    with Reading(settings_for(broker), trades, alone, join=join) as reading:
        reading.until_count(20)
        assert sorted(names(reading)) == sorted(
            [f"{orders}+{trades}[0]", f"{orders}+{trades}[1]", f"{trades}[2]", f"{spot}[*]", f"{alone}[0]"]
        )
        assert members(reading, f"{orders}+{trades}[1]") == [(orders, 1), (trades, 1)]
        assert members(reading, f"{spot}[*]") == [(spot, 0), (spot, 1)]
        assert {extent.log.is_joined for extent in reading.watcher.taken_over} == {True, False}
        reading.until_end()


def test_a_joined_topic_has_to_exist(broker: str, topic_factory: Callable[..., str]) -> None:
    trades = topic_factory("trades")
    with pytest.raises(TapewatchError, match=f"topic '{trades}x' does not exist"):
        Reading(settings_for(broker), "trades.*", join=(trades, f"{trades}x"))


def shared(first: Reading, second: Reading, done: Callable[[], bool], within_s: float = 60.0) -> None:
    """Both are polled until something holds."""
    over = threading.Event()

    def poll_second() -> None:
        while not over.is_set():
            second.poll(0.05)

    thread = threading.Thread(target=poll_second)
    thread.start()
    try:
        first.until(done, within_s)
    finally:
        over.set()
        thread.join()


def test_a_second_member_gets_whole_logs_and_they_come_back(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topics = tuple(topic_factory(name, 2) for name in ("trades", "orders", "status"))
    for topic in topics:
        for partition in (0, 1):
            send(broker, topic, numbers(20), partition=partition)
    settings = settings_for(broker, session_timeout="6s")
    with Reading(settings, *topics, join=topics) as first:
        first.until_count(120)
        second = Reading(settings.model_copy(update={"instance": "second"}), *topics, join=topics)
        second.watcher.positions = first.watcher.positions
        shared(first, second, lambda: len(first.held) == 3 == len(second.held))
        for reading in (first, second):
            assert len({partition.partition for partition in reading.held}) == 1
            assert {partition.topic for partition in reading.held} == set(topics)
        (given,) = {partition.partition for partition in second.held}
        for topic in topics:
            send(broker, topic, numbers(5, 20), partition=given)
        shared(first, second, lambda: sum(map(len, second.got.values())) == 15)
        second.source.close()
        first.until(lambda: len(first.held) == 6)
        first.until_end()
    everything = sorted(value for reading in (first, second) for value in reading.values)
    assert everything == sorted(numbers(20) * 6 + numbers(5, 20) * 3)


def test_a_join_is_changed_by_one_restart(broker: str, topic_factory: Callable[..., str]) -> None:
    """The broker still counts the process of before as one of the group."""
    topics = tuple(topic_factory(name, 2) for name in ("trades", "orders", "status"))
    settings = settings_for(broker)
    for join in ((), topics[:2], topics, tuple(reversed(topics)), ()):
        started = time.monotonic()
        with Reading(settings, *topics, join=join) as reading:
            reading.until_assigned(6)
            wanted = ["+".join(join)] if join else list(topics)
            assert {name.partition("[")[0] for name in names(reading)} >= set(wanted)
        assert time.monotonic() - started < 40, "it waited for the other's session to end"


def test_members_with_other_joins_are_refused_with_what_to_do(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    topics = tuple(topic_factory(name, 2) for name in ("trades", "orders"))
    settings = settings_for(broker)
    with Reading(settings, *topics) as without:
        without.until_assigned(4)
        joined = Reading(settings.model_copy(update={"instance": "second"}), *topics, join=topics)
        refusal: list[str] = []

        def read() -> None:
            try:
                joined.for_a_while(60)
            except TapewatchError as error:
                refusal.append(str(error))

        thread = threading.Thread(target=read)
        thread.start()
        without.until(lambda: not thread.is_alive())
        joined.source.close()
        assert not joined.held
    assert "was" not in refusal
    assert refusal == [
        f"group '{settings.group}' has members that were started without this source.join: stop all members "
        "of the group, then start each with the same source.join"
    ]


def test_partitions_that_are_added_join_their_log(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    spot, perp = topic_factory("spot"), topic_factory("perp")
    orders, trades = topic_factory("orders", 2), topic_factory("trades")
    join = (JoinSettings(topics=(spot, perp), partitions="all"), (orders, trades))
    with Reading(settings_for(broker, **QUICK), join=join) as reading:
        reading.until_assigned(5)
        assert sorted(names(reading)) == sorted(
            [f"{spot}+{perp}[*]", f"{orders}+{trades}[0]", f"{orders}[1]"]
        )
        admin.create_partitions({spot: 2})
        admin.create_partitions({trades: 2})
        reading.until_assigned(7)
        assert members(reading, f"{spot}+{perp}[*]") == [(spot, 0), (spot, 1), (perp, 0)]
        assert members(reading, f"{orders}+{trades}[1]") == [(orders, 1), (trades, 1)]
        assert names(reading).count(f"{orders}+{trades}[0]") == 1
        revoked = [parts for what, parts in reading.watcher.history if what == "revoked"]
        assert [[part.topic for part in parts] for parts in revoked] == [[orders]], "it is another log now"
        new = {each.partition for log in reading.watcher.taken_over for each in log.extents if each.is_new}
        assert {(part.topic, part.partition) for part in new} == {(spot, 1), (trades, 1)}


def test_a_log_waits_for_a_topic_that_is_gone_until_that_is_sure(
    broker: str, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    topics = tuple(topic_factory(name) for name in ("trades", "orders"))
    settings = settings_for(broker, **QUICK)
    with Reading(settings, join=topics) as reading:
        reading.until_assigned(2)
        (gone,) = [partition for partition in reading.held if partition.topic == topics[1]]
        kept = reading.held - {gone}
        admin.delete_topics([topics[1]])
        reading.until(lambda: topics[1] not in admin.list_topics())
        reading.for_a_while(2)
        assert names(reading) == [f"{topics[0]}+{topics[1]}[0]"], "it may be back in a moment"
        reading.source.leave([gone])
        send(broker, topics[0], numbers(3))
        reading.until_count(3)
        assert members(reading, f"{topics[0]}+{topics[1]}[0]") == [(topics[0], 0)]
        assert len(names(reading)) == 2
        admin.create_topics({topics[1]: {"num_partitions": 1}}, wait_for_metadata=True)
        send(broker, topics[1], numbers(4))
        reading.until_count(7)
        assert members(reading, f"{topics[0]}+{topics[1]}[0]") == [(topics[0], 0), (topics[1], 0)]
        (new,) = reading.held - kept - {gone}
        assert new.incarnation != gone.incarnation
    cluster = KnownCluster()
    cluster.topics, cluster.members = topics, [*kept, new]
    admin.delete_topics([topics[1]])
    with Reading(settings, join=topics, cluster=cluster) as reading:
        reading.for_a_while(2)
        assert not names(reading), "after a restart too it waits for what it knew"
        reading.source.leave([new])
        reading.until_assigned()
        assert names(reading) == [f"{topics[0]}+{topics[1]}[0]"]


def test_what_is_withheld_waits_and_all_else_is_read(broker: str, topic_factory: Callable[..., str]) -> None:
    trades, orders = topic_factory("trades"), topic_factory("orders")
    with Reading(settings_for(broker), join=(trades, orders), max_poll_records=10) as reading:
        reading.until_assigned(2)
        (dense,) = [partition for partition in reading.held if partition.topic == trades]
        reading.source.withhold([dense])
        send(broker, trades, numbers(300))
        reading.for_a_while(1)
        send(broker, orders, numbers(100))
        reading.until_count(100)
        assert set(reading.got) == reading.held - {dense}
        assert reading.source.at_end() == reading.held - {dense}
        reading.source.withhold([])
        reading.until_count(400)
        reading.source.withhold(reading.held)
        send(broker, orders, numbers(5, 100))
        reading.for_a_while(0.5)
        assert len(reading.values) == 400
        reading.source.withhold([])
        reading.until_count(405)
        reading.until_end()
    for records in reading.got.values():
        assert all(before.offset + 1 == after.offset for before, after in pairwise(records))


class Aligned(Watcher):
    """Asks where new members begin, as recovery does for a log that is known."""

    def __init__(self, known: dict[Partition, int]) -> None:
        super().__init__()
        self.known = known
        self.answer: dict[Partition, int] = {}

    def assigned(self, logs):  # type: ignore[no-untyped-def]
        for log in logs:
            self.answer |= dict(log.align(self.known))
        return super().assigned(logs)


def test_a_new_member_begins_at_the_time_that_the_others_have_come_to(
    broker: str, topic_factory: Callable[..., str]
) -> None:
    one, two, new, empty = (topic_factory(name) for name in ("one", "two", "new", "empty"))
    send(broker, one, numbers(10), at_ms=NOON_MS)
    send(broker, two, numbers(10), at_ms=NOON_MS + 100)
    send(broker, new, numbers(200), at_ms=NOON_MS - 50)
    settings, join = settings_for(broker), (one, two, new, empty)
    with Reading(settings, join=join) as reading:
        reading.until_assigned(4)
        at = {partition.topic: partition for partition in reading.held}
    for positions, begins in (
        ({one: 4, two: 7}, {new: 54, empty: 0}),
        ({one: 10, two: 7}, {new: 59, empty: 0}),  # one has come to its end, at the time of its last record
        ({one: 10, two: 10}, {new: 59, empty: 0}),
        ({empty: 0}, {one: 0, two: 0, new: 0}),
        ({two: 7, new: 170}, {one: 10, empty: 0}),
    ):
        watcher = Aligned({at[topic]: offset for topic, offset in positions.items()})
        with Reading(settings, join=join, watcher=watcher) as reading:
            reading.until_assigned(4)
        assert watcher.answer == {at[topic]: offset for topic, offset in begins.items()}
