"""All is well only while detection and delivery go on wherever there is work; else each cause is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import claim_due, route_all

from streamer.messages.records import Partition, PausedPartition
from streamer.pipeline.progress import WorkProgress
from streamer.serve.gauges import GaugeValues
from streamer.serve.health import Health
from streamer.serve.health_watch import HealthWatch
from streamer.serve.refusals import Refusals
from streamer.store.database import Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.parked_deliveries import ParkedGroup
from streamer.store.work_file import WorkFile

LOG = Partition("spot", "i", 0)
PLACE = ("spot", "0")


class Notifying:
    """A notifier whose threads are as a test says."""

    receivers = ("desk",)
    failure: BaseException | None = None
    is_running = True
    looked_at = 0.0
    parked: Sequence[ParkedGroup] = ()


class World:
    def __init__(self, database: Database, folder: Path) -> None:
        self.passed = 0.0
        self.wall = 100.0
        self.runner: Any = SimpleNamespace(position=5, awaited=frozenset())
        self.values = GaugeValues(live=1, ends={PLACE: 5}, readers={PLACE: self.runner})
        self.asked = {LOG: 5}
        self.database = database
        self.watch = HealthWatch(database, self, lambda: self.passed, lambda: self.values, lambda: 0.25)
        self.watch.asked_ends = lambda: self.asked
        self.notifier = Notifying()
        self.watch.notifier = self.notifier  # type: ignore[assignment]
        self.progress = WorkProgress(WorkFile(folder / "work", 0.0))
        self.watch.progress = self.progress

    def now(self) -> float:
        return self.wall

    def after(self, seconds: float) -> Health:
        for _ in range(10):
            self.passed += seconds / 10
            self.wall += seconds / 10
            self.notifier.looked_at = self.passed if self.notifier.is_running else self.notifier.looked_at
            health = self.watch.look()
        return health


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = open_store(str(tmp_path / "store.db"))
    yield World(database, tmp_path)
    database.close()


def test_idle_for_hours_with_nothing_to_do_is_well(world: World) -> None:
    health = world.after(7_200)
    assert health.causes == ()
    assert (health.behind, health.undelivered_s, health.step_age_s) == (0, 0.0, 0.25)


def test_a_log_that_is_not_read_is_named_by_what_the_broker_says_of_its_end(world: World) -> None:
    world.asked = {LOG: 1_005}  # what is fetched still ends at 5
    assert world.after(50).causes == ()
    health = world.after(20)
    assert health.behind == 1_000
    assert health.causes == ("spot[0] is 1,000 behind and has not been read for 1.1m",)
    assert health.stuck == health.causes, "the broker answers, so a restart may help"
    world.runner.position = 6
    assert world.after(30).causes == (), "it is read on"


def test_a_log_that_waits_while_another_is_read_is_not_stuck(world: World) -> None:
    other: Any = SimpleNamespace(position=0, awaited=frozenset())
    ends = {PLACE: 100_005, ("spot", "1"): 100_000}
    world.asked = {}
    world.values = GaugeValues(live=2, ends=ends, readers={PLACE: world.runner, ("spot", "1"): other})

    def read_for(seconds: int) -> Health:
        for _ in range(seconds):
            other.position += 1
            health = world.after(1)
        return health

    assert read_for(200).causes == (), "200,000 records are read before it may be its turn"
    health = read_for(100)
    assert health.causes == ("spot[0] is 100,000 behind and has not been read for 5m",)
    assert health.stuck == (), "detection goes on, and a restart would only begin again"
    assert len(world.after(90).stuck) == 2, "none is read any more"


def test_a_paused_log_is_named_with_its_reason_and_is_nothing_that_a_restart_mends(world: World) -> None:
    world.asked = {LOG: 9}
    world.watch.paused = (PausedPartition(LOG, 5, "damaged", "cause", "remedy"),)
    health = world.after(90)
    assert health.causes == ("spot[0] is 4 behind and has not been read for 1.4m: damaged",)
    assert health.stuck == ()


def test_a_joined_log_says_whom_it_waits_for(world: World) -> None:
    orders = ("orders", "0")
    waiting: Any = SimpleNamespace(position=5, awaited=frozenset({orders}))
    awaited: Any = SimpleNamespace(position=3, awaited=frozenset())
    world.asked = {}
    ends = {PLACE: 9, orders: 4}
    world.values = GaugeValues(live=1, ends=ends, readers={PLACE: waiting, orders: awaited})
    health = world.after(70)
    cause = "spot[0] is 4 behind and has not been read for 1.1m: waits for orders[0]"
    assert cause in health.stuck
    partition = Partition("orders", "i", 0)
    world.watch.paused = [PausedPartition(partition, 3, "damaged", "it is odd", "mend it")]
    health = world.after(0)
    assert cause in health.causes
    assert not health.stuck, "no restart mends the one that it waits for"


def test_markers_at_the_end_of_a_log_are_no_records_behind(world: World) -> None:
    world.asked = {LOG: 6}
    world.values = GaugeValues(live=1, ends={PLACE: 6}, readers={PLACE: world.runner}, read={PLACE: 6})
    health = world.after(300)
    assert (health.behind, health.causes) == (0, ())


def test_a_step_that_hangs_is_named_with_what_it_works_on(world: World) -> None:
    world.progress.reading(LOG, 17, 25, True)
    world.progress.enter("tape", "v1")
    world.progress.idle_s = 43.0
    health = world.after(1)
    assert health.causes == ("no step has finished for 43s (detector tape, spot[0], offsets 17 to 25)",)
    assert health.stuck == health.causes


def test_an_alert_that_does_not_leave_is_named_with_its_receiver_and_reason(world: World) -> None:
    commit(world.database, ("a", 0))
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE outbox SET created_at = ?", (world.wall,))
    assert world.after(100).causes == ()
    assert world.after(250).causes == ("an alert has waited for 5.8m",), "it is not even routed"
    deliveries = StoreDeliveries(world.database)
    route_all(world.database, ("desk",), world.wall)
    (claimed,) = claim_due(deliveries, "desk", 9, world.wall)
    deliveries.retry(claimed, world.wall + 60, "http_503: try later", False)
    health = world.after(10)
    assert health.undelivered_s == pytest.approx(360, abs=1)
    assert health.causes == ("an alert for desk has waited for 6m (http_503)",)
    assert health.stuck == ()
    deliveries.delivered((claimed,), world.wall)
    assert world.after(10).undelivered_s == 0


def test_a_log_of_which_most_is_dead_letters_is_named_with_the_reason(world: World) -> None:
    share = world.watch.dead_share
    share.count(PLACE, 2, 0, {"bad_json": 2}, world.passed)
    assert world.after(1).causes == (), "two are too few to judge by"
    share.count(PLACE, 18, 1, {"bad_json": 15, "no_venue": 2}, world.passed)
    share.count(("spot", "1"), 100, 60, {"bad_json": 40}, world.passed)
    health = world.after(200)
    assert health.causes == ("19 of the last 20 records of spot[0] are dead letters, most of them bad_json",)
    assert health.stuck == ()
    assert world.after(110).causes == (), "that was more than five minutes ago"


def test_a_receiver_that_refused_its_newest_delivery_is_named(world: World) -> None:
    world.notifier.parked = [ParkedGroup("desk", "http_400", 1)]
    world.watch.refusals.note("desk", "parked")
    health = world.after(1)
    assert health.causes == ("desk refuses what is sent to it: 1 delivery parked (http_400)",)
    assert health.stuck == ()
    world.watch.refusals.note("desk", "delivered")
    assert world.after(1).causes == (), "what came later was taken"


def test_a_start_knows_from_the_store_that_the_newest_was_refused(world: World) -> None:
    deliveries = StoreDeliveries(world.database)
    world.notifier.parked = [ParkedGroup("desk", "http_400", 1)]
    for alert_id, parked in (("a", True), ("b", False)):
        commit(world.database, (alert_id, 0))
        route_all(world.database, ("desk",), world.wall)
        world.wall += 1
        (claimed,) = claim_due(deliveries, "desk", 9, world.wall)
        if parked:
            deliveries.park(claimed, "http_400: no", world.wall)
        else:
            deliveries.delivered((claimed,), world.wall)
        causes = list(Refusals(world.database).causes(world.notifier.parked))
        assert bool(causes) == parked


def test_a_broker_that_is_away_and_partitions_that_never_come_are_told(world: World) -> None:
    world.values = GaugeValues(source_up=False)
    world.asked = {}
    assert world.after(50).causes == ()
    assert world.after(40).causes == ("the broker has not answered for 1.5m",)
    world.values = GaugeValues()
    assert "no partition has been assigned for" in world.after(300).causes[0]


def test_routing_that_hangs_or_ended_is_told(world: World) -> None:
    world.notifier.looked_at = -70.0
    world.passed = 0.0
    assert world.watch.look().stuck == ("alerts have not been routed for 1.2m",)
    world.notifier.failure = ValueError("secret")
    assert world.watch.look().stuck == ("delivery stopped: ValueError",)


def test_a_store_that_does_not_answer_is_told(world: World) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE deliveries")
    health = world.after(10)
    assert health.causes == ("the store does not answer",)
    assert health.undelivered_s is None
