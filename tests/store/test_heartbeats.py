"""Heartbeats: when, to whom, what they say, and what becomes of those that could not go out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import claim_due, route_all
from pydantic import ValidationError
from sqlalchemy import select

from alerts.stages.matchers import instrument_matchers
from alerts.stages.summary import replaceable
from streamer.notify.heartbeat import Counts, HeartbeatSender
from streamer.notify.heartbeat_settings import HeartbeatSettings
from streamer.notify.stage_views import StoreView
from streamer.store.database import MEMORY, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.queries import AlertFilter, alerts
from streamer.store.silences import StoreSilences
from streamer.store.tables import deliveries, outbox


class World:
    """A heartbeat with a clock and counts of one's own."""

    def __init__(self, to: Any = "ops") -> None:
        self.time = 1_000.0
        self.passed = 0.0  # by monotonic time
        self.counts = Counts()
        self.database = open_store(MEMORY)
        self.store = StoreDeliveries(self.database)
        self.settings = HeartbeatSettings.model_validate({"to": to, "every": "1m"})
        self.heartbeat = self.started()

    def now(self) -> float:
        return self.time

    def started(self) -> HeartbeatSender:
        return HeartbeatSender(self.database, self.settings, self, lambda: self.counts, lambda: self.passed)

    def beat(self, after: float = 60.0) -> tuple[str, ...]:
        self.time += after
        self.passed += after
        return tuple(self.heartbeat.beat())

    def told(self) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            query = select(outbox.c.body).where(outbox.c.rule == "heartbeat").order_by(outbox.c.n)
            return [json.loads(body) for body in connection.scalars(query)]

    def states(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.scalars(select(deliveries.c.state).order_by(deliveries.c.n)))

    def deliver(self) -> None:
        self.store.delivered(claim_due(self.store, "ops", 9, self.time), self.time)


def test_the_first_comes_at_once_and_the_next_when_it_is_time() -> None:
    world = World()
    assert world.beat(0.0) == ("ops",)
    assert world.beat(59.0) == ()
    assert world.beat(1.0) == ("ops",)


@pytest.mark.parametrize("set_by", [-3_600.0, 3_600.0])
def test_a_clock_that_is_set_neither_silences_nor_hastens_it(set_by: float) -> None:
    world = World()
    world.beat(0.0)
    world.time += set_by
    assert world.beat(59.0) == ()
    assert world.beat(1.0) == ("ops",)
    assert "in the last 60 s" in world.told()[-1]["text"]


def test_it_says_what_has_happened_since_the_last() -> None:
    world = World()
    world.counts = Counts(1_000, 2, 1)
    world.beat(0.0)
    world.counts = Counts(13_345, 5, 1, "not answering", step_age_s=0.26, behind=1_200, undelivered_s=3.0)
    StoreSilences(world.database).mute("fat_finger", 1e9, 0.0)
    StoreSilences(world.database).mute(instrument_matchers("huge", "XNAS", "ACME"), 1e9, 0.0)
    world.beat()
    body = world.told()[-1]
    assert body["values"] == {
        "alerts": 3,
        "behind": 1_200,
        "dead_letters": 0,
        "records": 12_345,
        "source": "not answering",
        "step_age_s": 0.3,
        "undelivered_s": 3.0,
    }
    assert body["text"] == (
        "at work, source not answering: 12,345 records, 3 alerts and 0 dead letters in the last 60 s; "
        "last step 0.3s ago, 1,200 behind, oldest undelivered alert 3s old; "
        "muted: fat_finger, huge on XNAS ACME"
    )
    assert (body["origin"], body["severity"]) == ("service", "info")


def test_it_does_not_say_at_work_where_not_all_is_well() -> None:
    world = World()
    causes = ("no step has finished for 43s", "an alert for desk has waited for 6m (http_503)")
    world.counts = Counts(1_000, causes=causes)
    world.beat(0.0)
    said = world.told()[-1]["text"]
    assert said.startswith(f"NOT WELL: {'; '.join(causes)}, source reading: 1,000 records")
    assert "at work" not in said


def test_a_receiver_that_was_away_gets_one_and_not_hundreds() -> None:
    world = World()
    for _ in range(5):
        world.beat()
    assert [item.body for item in claim_due(world.store, "ops", 9, world.time)] == [
        json.dumps(world.told()[-1], separators=(",", ":")).encode()
    ]


def test_those_that_arrived_are_forgotten_and_so_are_those_of_earlier_processes() -> None:
    world = World()
    for _ in range(5):
        world.beat()
        world.deliver()
    assert world.states() == ["done"]
    world.heartbeat = world.started()
    world.beat()
    world.deliver()
    world.beat()
    assert world.states() == ["pending"]
    assert len(world.told()) == 1


def test_one_on_its_way_is_left_alone() -> None:
    world = World()
    world.beat()
    (sending,) = claim_due(world.store, "ops", 9, world.time)
    world.beat()
    assert world.states() == ["trying", "pending"]
    world.store.delivered([sending], world.time)
    world.beat()
    assert world.states() == ["summarised", "pending"] or world.states() == ["pending"]


def test_a_receiver_that_refuses_them_is_told_of_once() -> None:
    world = World()
    for _ in range(6):
        world.beat()
        for item in claim_due(world.store, "ops", 9, world.time):
            world.store.park(item, "http_404", world.time)
    parked = alerts(world.database, AlertFilter(rule="delivery_parked"), None)
    assert len(parked) == 1
    assert len(world.told()) <= 3


def test_alerts_are_listed_without_them_unless_asked_for() -> None:
    world = World()
    commit(world.database, ("a", 0))
    world.beat()
    assert [found["rule"] for found in alerts(world.database, AlertFilter(), None)] == ["fat_finger"]
    assert len(alerts(world.database, AlertFilter(rule="heartbeat"), None)) == 1


def test_a_mute_does_not_silence_it_and_a_summary_does_not_take_it() -> None:
    world = World()
    StoreSilences(world.database).mute("heartbeat", 1e9, 0.0)
    world.beat()
    assert world.states() == ["pending"]
    commit(world.database, ("a", 0), ("b", 0))
    route_all(world.database, ("ops",), world.time)
    view = StoreView(world.database.read)
    assert [each.rule for each in replaceable(view.waiting("ops", 9))] == ["fat_finger", "fat_finger"]


def test_it_waits_for_criticals_only_whatever_else_is_owed() -> None:
    world = World()
    for severity in ("info", "warning"):
        commit(world.database, *((f"{severity}{n}", 0) for n in range(9)), severity=severity)
    commit(world.database, ("worse", 0), severity="warning")
    commit(world.database, ("worse", 1), ("bad", 0), severity="critical")
    world.beat()
    route_all(world.database, ("ops",), world.time)
    due = world.store.due("ops", 99)
    assert [each.transition.rule for each in due[:4]] == [*["fat_finger"] * 2, "heartbeat", "fat_finger"]
    assert [each.transition.alert_id for each in due[:2]] == ["bad", "worse"]


def test_several_receivers_each_get_it() -> None:
    world = World(["ops", "desk"])
    assert world.beat() == ("ops", "desk")
    assert (
        len(claim_due(world.store, "ops", 9, world.time))
        == len(claim_due(world.store, "desk", 9, world.time))
        == 1
    )


@pytest.mark.parametrize("every", ["5s", "2d", "1 minute"])
def test_what_is_no_pace(every: str) -> None:
    with pytest.raises(ValidationError):
        HeartbeatSettings.model_validate({"to": "ops", "every": every})
