"""Deliveries in the store: order, doubt, parking, what is told about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import alert_body, commit
from fakes.delivering import claim_due, route_all
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from alerts.alert import Observation
from alerts.service_alert import service_alert
from alerts.stages.chain import StageChain
from alerts.stages.stage import Joined
from streamer.messages.floods import Flood
from streamer.messages.logs import Log
from streamer.messages.records import Partition
from streamer.notify.routing import route
from streamer.store.database import MEMORY, open_store
from streamer.store.deliveries import HeldDelivery, StoreDeliveries
from streamer.store.outbox import NewDelivery, Routing, StoreOutbox
from streamer.store.queries import explain
from streamer.store.service_alerts import dead_letter_flood, log_gap, raise_service_alert
from streamer.store.stage_facts import waiting_deliveries
from streamer.store.tables import deliveries, outbox


class Store:
    """A store with alerts in its outbox, owed to receivers."""

    def __init__(self, url: str = MEMORY) -> None:
        self.database = open_store(url)
        self.deliveries = StoreDeliveries(self.database)
        self.outbox = StoreOutbox(self.database)

    def owe(self, *alerts: tuple[str, int], to: tuple[str, ...] = ("desk",)) -> None:
        commit(self.database, *alerts)
        route_all(self.database, to, 1.0)

    def claimed(self, receiver: str = "desk", now: float = 100.0, limit: int = 20) -> list[tuple[str, int]]:
        found = claim_due(self.deliveries, receiver, limit, now)
        return [(delivery.alert_id, delivery.number) for delivery in found]

    def service_alerts(self) -> list[dict[str, Any]]:
        query = select(outbox.c.body).where(outbox.c.origin == "service").order_by(outbox.c.n)
        with self.database.read() as connection:
            return [json.loads(body) for body in connection.scalars(query)]

    def states(self) -> list[tuple[str, int, str, str]]:
        columns = (deliveries.c.alert_id, deliveries.c.number, deliveries.c.receiver, deliveries.c.state)
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(deliveries.c.n))]


@pytest.fixture
def store() -> Store:
    return Store()


def test_each_episode_in_order_one_at_a_time(store: Store) -> None:
    store.owe(("a", 0), ("b", 0), ("a", 1), ("a", 2))
    first = claim_due(store.deliveries, "desk", 20, 1.0)
    assert [(item.alert_id, item.number) for item in first] == [("a", 0), ("b", 0)]
    assert store.claimed() == []
    store.deliveries.delivered(first[:1], 2.0)
    assert store.claimed() == [("a", 2)], "it overtook the update before it"


def test_waits_move_with_the_clock_and_what_is_due_stays_so(store: Store) -> None:
    store.owe(("a", 0), ("b", 0), ("c", 0))
    for delivery, at in zip(claim_due(store.deliveries, "desk", 3, 1_000.0), (1_300.0, 990.0), strict=False):
        store.deliveries.retry(delivery, at, "http_503", in_doubt=False)
    store.deliveries.move_waits(-500.0)
    assert store.claimed(now=500.0) == [("b", 0)]
    assert store.claimed(now=799.0) == []
    assert store.claimed(now=800.0) == [("a", 0)]


def test_at_a_start_nothing_waits_longer_than_it_was_told_to(store: Store) -> None:
    store.owe(*((name, 0) for name in "abcd"))
    claimed = claim_due(store.deliveries, "desk", 3, 1_000.0)
    for delivery, at in zip(claimed, (1_300.0, 1_000.0 + 90_000.0, 1_010.0), strict=True):
        store.deliveries.retry(delivery, at, "http_503", in_doubt=False)
    (held,) = store.deliveries.due("desk", 9)
    store.deliveries.hold([HeldDelivery(held.n, "rule", "not yet", 1_400.0)])
    store.deliveries.forget_waits(1_001.0, 86_400.0)
    assert store.claimed(now=1_001.0) == [("b", 0), ("d", 0)], (
        "too far off, and what a stage is to judge anew"
    )
    store.deliveries.forget_waits(999.0, 86_400.0)
    assert store.claimed(now=999.0) == [("a", 0), ("c", 0)], "last tried at a time that has not come"


def test_receivers_do_not_wait_for_each_other(store: Store) -> None:
    store.owe(("a", 0), ("a", 1), to=("desk", "ops"))
    (desk,) = claim_due(store.deliveries, "desk", 20, 1.0)
    store.deliveries.delivered([desk], 1.0)
    assert store.claimed("desk") == [("a", 1)]
    assert store.claimed("ops") == [("a", 0)]


def test_a_claim_brings_the_body_and_the_time_it_was_made(store: Store) -> None:
    store.owe(("a", 0))
    (item,) = claim_due(store.deliveries, "desk", 20, 1.0)
    assert item.body == alert_body("a", 0)
    assert (item.created_at, item.attempts, item.in_doubt, item.key) == (42.0, 0, False, "a-0")


def test_steps_come_back_with_the_delivery_and_with_later_ones(store: Store) -> None:
    store.owe(("a", 0), ("a", 1), ("b", 0), to=("desk", "ops"))
    first, other = claim_due(store.deliveries, "desk", 20, 1.0)
    store.deliveries.record_step(first, "post", "C1:1.0")
    store.deliveries.record_step(first, "post", "C1:2.0")
    store.deliveries.record_step(other, "post", "C1:9.0")
    store.deliveries.retry(first, 0.0, "http_500", in_doubt=False)
    (again,) = claim_due(store.deliveries, "desk", 20, 2.0)
    assert again.steps == {"post": "C1:2.0"}
    store.deliveries.delivered([again], 3.0)
    (second,) = claim_due(store.deliveries, "desk", 20, 4.0)
    assert (second.steps, second.earlier) == ({}, ({"post": "C1:2.0"},))
    (elsewhere, _) = claim_due(store.deliveries, "ops", 20, 4.0)
    assert elsewhere.steps == {}


def test_a_retry_waits_for_its_time_and_holds_only_its_episode(store: Store) -> None:
    store.owe(("a", 0), ("a", 1), ("b", 0))
    first, second = claim_due(store.deliveries, "desk", 20, 1.0)
    store.deliveries.retry(first, 50.0, "http_500", in_doubt=True)
    store.deliveries.delivered([second], 1.0)
    assert store.deliveries.next_due("desk") == 50.0
    assert store.claimed(now=49.0) == []
    (again,) = claim_due(store.deliveries, "desk", 20, 50.0)
    assert (again.alert_id, again.number, again.attempts, again.in_doubt) == ("a", 0, 1, True)
    store.deliveries.retry(again, 60.0, "http_500", in_doubt=False)
    assert claim_due(store.deliveries, "desk", 20, 60.0)[0].in_doubt


def test_what_was_not_tried_goes_back_uncounted(store: Store) -> None:
    store.owe(("a", 0), ("b", 0))
    store.deliveries.release(claim_due(store.deliveries, "desk", 20, 1.0))
    assert [item.attempts for item in claim_due(store.deliveries, "desk", 20, 1.0)] == [0, 0]


def test_what_a_dead_process_was_trying_comes_back_in_doubt(tmp_path: Path) -> None:
    before = Store(str(tmp_path / "tapewatch.db"))
    before.owe(("a", 0), ("b", 0), ("c", 0))
    first, *_ = claim_due(before.deliveries, "desk", 2, 1.0)
    before.deliveries.record_step(first, "post", "C1:1.0")
    before.database.close()
    after = Store(str(tmp_path / "tapewatch.db"))
    assert after.claimed() == [("c", 0)]
    after.database.close()
    again = Store(str(tmp_path / "tapewatch.db"))
    assert again.deliveries.recover() == 3
    found = {item.alert_id: item for item in claim_due(again.deliveries, "desk", 20, 1.0)}
    assert all(item.in_doubt for item in found.values())
    assert found["a"].steps == {"post": "C1:1.0"}
    assert again.deliveries.recover() == 3
    again.database.close()


def test_parking_holds_the_episode_and_is_told_once(store: Store) -> None:
    store.owe(("a", 0), ("a", 1), ("b", 0), ("c", 0))
    first, second, third = claim_due(store.deliveries, "desk", 20, 1.0)
    store.deliveries.park(first, "channel_not_found", 1.0)
    store.deliveries.park(second, "channel_not_found", 2.0)
    store.deliveries.park(third, "msg_too_long", 3.0)
    assert store.claimed() == []
    assert store.deliveries.next_due("desk") is None
    assert store.deliveries.unfinished(["desk"]) == 0
    assert store.deliveries.summary() == {"desk": {"parked": 3, "pending": 1}}
    told = store.service_alerts()
    assert [alert["source"]["reason"] for alert in told] == ["channel_not_found", "msg_too_long"]
    assert told[0]["rule"] == "delivery_parked"
    assert told[0]["origin"] == "service"
    assert told[0]["source"]["receiver"] == "desk"
    assert told[0]["source"]["delivery"] == "a-0"
    assert "receiver desk refuses alerts: channel_not_found" in told[0]["text"]


def test_what_is_sent_again_on_request_and_refused_again_is_told_again(store: Store) -> None:
    store.owe(("a", 0), ("b", 0), to=("desk", "ops"))
    for receiver in ("desk", "ops"):
        for item in claim_due(store.deliveries, receiver, 20, 1.0):
            store.deliveries.park(item, "invalid_auth", 1.0)
    assert store.deliveries.unpark("desk") == 2
    assert store.claimed("ops") == []
    for item in claim_due(store.deliveries, "desk", 20, 2.0):
        store.deliveries.park(item, "invalid_auth", 2.0)
    told = [alert["source"]["receiver"] for alert in store.service_alerts()]
    assert told == ["desk", "ops", "desk"]
    assert store.deliveries.unpark() == 4


def test_a_long_reason_is_cut(store: Store) -> None:
    store.owe(("a", 0), ("b", 0))
    for item in claim_due(store.deliveries, "desk", 20, 1.0):
        store.deliveries.park(item, "x" * 5_000, 1.0)
    (told,) = store.service_alerts()
    assert len(told["source"]["reason"]) == 200


def test_service_alerts_of_other_causes_are_written_once(store: Store) -> None:
    log = Partition("trades", "t1", 3)
    flood = dead_letter_flood(Log.of(log), Flood("bad_json", 29_000_000, 512, 512, 1), "c1")
    gap = log_gap(log, (10, 20), 99.5, "c1")
    with store.database.write() as connection:
        assert raise_service_alert(connection, flood, 1.0)
        assert raise_service_alert(connection, gap, 1.0)
        assert not raise_service_alert(connection, flood, 2.0)
        assert not raise_service_alert(connection, log_gap(log, (10, 20), 120.0), 2.0)
        assert raise_service_alert(connection, log_gap(log, (30, 40), 120.0), 2.0)
    rules = [alert["rule"] for alert in store.service_alerts()]
    assert rules == ["dead_letter_flood", "log_gap", "log_gap"]
    assert "trades[3] has lost offsets 10 to 20" in store.service_alerts()[1]["text"]


def test_the_outbox_is_routed_once_and_in_order(store: Store) -> None:
    commit(store.database, ("a", 0), ("b", 0), ("a", 1))
    rows = store.outbox.unrouted(4)
    assert [(row.alert_id, row.number) for row in rows] == [("a", 0), ("b", 0), ("a", 1)]
    outbox, stages = store.outbox, StageChain(())
    assert route(outbox, rows[:1], ("desk", "ops"), stages, 1.0).receivers == {"desk", "ops"}
    assert route(outbox, rows[1:2], (), stages, 1.0).receivers == frozenset()
    store.outbox.route(rows[:1], lambda _: Routing([NewDelivery(rows[0], "desk", "pending")]))
    assert [(row.alert_id, row.number) for row in store.outbox.unrouted(10)] == [("a", 1)]
    assert not store.outbox.all_routed()
    assert [state[2] for state in store.states()] == ["desk", "ops"]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["claim", "done", "retry", "park", "unpark", "recover"]), st.integers(0, 5)),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), ACTIONS)
def test_whatever_happens_an_episode_arrives_in_order(
    episodes: list[int], actions: list[tuple[str, int]]
) -> None:
    store = Store()
    numbers: dict[int, int] = {}
    for episode in episodes:
        store.owe((f"e{episode}", numbers.get(episode, 0)))
        numbers[episode] = numbers.get(episode, 0) + 1
    held: list[Any] = []
    arrived: dict[str, list[int]] = {}
    for action, which in actions:
        if action == "claim":
            held += claim_due(store.deliveries, "desk", which + 1, 0.0)
        elif action == "recover":
            store.deliveries.recover()
            held.clear()
        elif action == "unpark":
            store.deliveries.unpark()
        elif held:
            item = held.pop(which % len(held))
            if action == "done":
                store.deliveries.delivered([item], 0.0)
                arrived.setdefault(item.alert_id, []).append(item.number)
            elif action == "retry":
                store.deliveries.retry(item, 0.0, "later", in_doubt=False)
            else:
                store.deliveries.park(item, "never", 0.0)
    for found in arrived.values():
        assert found == list(range(len(found)))
    store.database.close()


def test_what_another_sender_has_taken_is_not_claimed_stopped_held_or_joined(store: Store) -> None:
    store.owe(("a", 0), ("b", 0))
    due = store.deliveries.due("desk", 20)
    with store.database.read() as connection:
        waiting = waiting_deliveries(connection, "desk", 20)
    alert = service_alert("delivery_summary", (1,), "info", Observation(ts_event_ns=0, source={}, text="two"))
    joined = Joined(alert, waiting, "summarised", "s-0", 11)
    (taken,) = store.deliveries.claim("desk", due[:1], 10.0)
    store.deliveries.delivered((taken,), 11.0)
    assert not store.deliveries.stop(due[0].n, "muted", "no")
    store.deliveries.hold([HeldDelivery(due[0].n, "rule", "not yet", 99.0)])
    assert not store.deliveries.join("desk", joined, 12.0)
    assert store.service_alerts() == []
    assert store.states() == [("a", 0, "desk", "done"), ("b", 0, "desk", "pending")]
    assert [each.key for each in store.deliveries.claim("desk", due, 12.0)] == ["b-0"]
    assert explain(store.database, "a")[0].deliveries[0]["held_by"] is None


def test_a_hold_is_of_a_rank_and_what_waits_behind_another_is_held_by_nothing_else(store: Store) -> None:
    store.owe(("a", 0), ("a", 1), ("b", 0))
    (first,) = claim_due(store.deliveries, "desk", 1, 1.0)
    store.deliveries.hold_rank("desk", 0, "cap", "full")
    store.deliveries.park(first, "http_400", 2.0)

    def held_by() -> list[str | None]:
        return [each.deliveries[0]["held_by"] for name in "ab" for each in explain(store.database, name)]

    assert held_by() == [None, None, "cap: full"]
    store.deliveries.hold_rank("desk", 0, "cap", "still full")
    assert held_by() == [None, None, "cap: still full"]
    store.deliveries.release_ranks("desk", {2})
    assert held_by() == [None, None, "cap: still full"]
    store.deliveries.release_ranks("desk")
    assert held_by() == [None, None, None]
