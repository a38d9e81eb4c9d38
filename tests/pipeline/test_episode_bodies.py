"""What alerts say of their episode: in which words, how far it went, and that it has come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, trade
from pipeline_world import World, cycle, plan_of

from streamer.decoding.formats import DecodeContext
from streamer.messages.records import Record
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import reload, restore, snapshot
from streamer.pipeline.task import Task, Timer
from streamer.store.database import open_store
from streamer.store.orphaned_episodes import close_open
from streamer.store.queries import AlertFilter, alerts

TEXT = 'text: "a trade of {size}"'


def plan_with(rule: str) -> Plan:
    return plan_of(f"\n  big: {{{rule}}}", " {}")


def fed(task: Task, sizes: dict[int, float], price: float = 100.0) -> list[dict[str, Any]]:
    """Bodies of what trades of these sizes caused, at these seconds."""
    feed = task.plan.feed("trades")
    assert feed is not None
    records = [
        Record(second, trade(T0 + second * S, price, size, "S0", trade_id=str(second)), T0 + second * S)
        for second, size in sizes.items()
    ]
    outcome = task.step(feed.format.decode(records, DecodeContext("trades", feed.venue)))
    return [json.loads(each.body) for each in outcome.transitions]


def test_an_alert_keeps_saying_what_woke_its_reader() -> None:
    task = Task(plan_with(f"when: size > 5, {TEXT}"), LOG)
    told = fed(task, {0: 69, 31: 12.2, 92: 8.0, 213: 17.8, 280: 1})
    assert [body["transition"] for body in told] == ["fired", *["updated"] * 3, "resolved"]
    assert [body["text"] for body in told] == [
        *["a trade of 69"] * 4,
        "a trade of 69 (over: not true for 60s)",
    ]
    assert [body["values"]["size"] for body in told[:4]] == [69, 12.2, 8.0, 17.8]
    assert [body["episode"]["last"] for body in told] == [69, 12.2, 8.0, 17.8, 17.8]
    assert {(body["episode"]["first"], body["episode"]["peak"]) for body in told} == {(69, 69)}


def test_what_is_worse_than_all_that_was_told_is_told_in_its_own_words() -> None:
    task = Task(plan_with(f"when: size > 5, {TEXT}"), LOG)
    told = fed(task, {0: 69, 5: 100, 31: 12, 92: 80, 280: 1})
    assert [body["text"] for body in told[:3]] == ["a trade of 69", "a trade of 69", "a trade of 80"]
    assert told[-1]["text"] == "a trade of 80 (over: not true for 60s)"
    assert told[-1]["episode"] == {
        "began": told[0]["ts_event"],
        "measure": "size",
        "unit": "",
        "first": 69.0,
        "peak": 100.0,
        "peak_ts": f"{told[0]['ts_event'][:17]}25.000000000Z",
        "last": 80.0,
    }


def test_a_rise_is_told_in_its_own_words_and_the_end_has_the_highest_severity() -> None:
    rule = f"when: size > 5, escalate: {{critical: price > 150}}, {TEXT}"
    task = Task(plan_with(rule), LOG)
    told = fed(task, {0: 69}) + fed(task, {3: 7}, price=200.0) + fed(task, {40: 9, 120: 1})
    assert [(body["severity"], body["text"]) for body in told] == [
        ("warning", "a trade of 69"),
        ("critical", "a trade of 7"),
        ("critical", "a trade of 7"),
        ("critical", "a trade of 7 (over: not true for 60s)"),
    ]


def test_a_second_thing_that_goes_wrong_is_told() -> None:
    rule = 'when: size > 5 or price < 50, on: trade, text: "{size} at {price}"'
    task = Task(plan_with(rule), LOG)
    told = fed(task, {0: 6}) + fed(task, {31: 2}, price=40.0) + fed(task, {92: 6})
    task = restore(task.plan, LOG, snapshot(task))
    told += fed(task, {213: 1}, price=30.0) + fed(task, {454: 7}, price=20.0) + fed(task, {600: 1})
    assert [body["text"] for body in told] == [
        "6 at 100",
        *["2 at 40"] * 3,
        "7 at 20",
        "7 at 20 (over: not true for 60s)",
    ]
    assert [body["episode"]["measure"] for body in told] == ["size"] * 6
    assert [body["episode"]["last"] for body in told] == [6, 6, 6, 6, 7, 7]


def test_another_comparison_is_news_whatever_the_measure_is() -> None:
    for when in ("size > 5 and (price < 50 or price > 150)", "price < 50 or price > 150, measure: size"):
        task = Task(plan_with(f'when: {when}, on: trade, text: "{{size}} at {{price}}"'), LOG)
        told = fed(task, {0: 9}, price=40.0) + fed(task, {31: 8, 92: 7}, price=200.0)
        assert [body["text"] for body in told] == ["9 at 40", "8 at 200", "8 at 200"]


@pytest.mark.parametrize("batches", [[{0: 69, 5: 9.0}], [{0: 69}, {5: 9.0}]])
def test_what_a_timer_fired_has_the_words_of_the_last_true_evaluation(
    batches: list[dict[int, float]],
) -> None:
    rule = "when: size > 5, for: 10s, on: trade, clear: 60s, flap: 5m"
    task = Task(plan_with(f'{rule}, text: "{{symbol}}: a trade of {{size}} as {{trade_id}}"'), LOG)
    assert [fed(task, each) for each in batches] == [[]] * len(batches)
    task = restore(task.plan, LOG, snapshot(task))
    (fired,) = [json.loads(each.body) for each in task.step(Timer(1, T0 + 12 * S)).transitions]
    assert (fired["text"], fired["episode"]["first"]) == ("S0: a trade of 9 as n/a", 9)
    told = fed(task, {45: 8.5, 110: 8.0})
    assert [body["text"] for body in told] == ["S0: a trade of 8.5 as 45"] * 2, "with all of its words"


def test_the_way_that_is_worse_is_said_where_it_is_not_up() -> None:
    for when, worse in (("price < 101", "lowest"), ("price != 7", "farthest"), ("price > 1", None)):
        (fired,) = fed(Task(plan_with(f"when: {when}"), LOG), {0: 9})
        assert fired["episode"].get("worse") == worse


def test_a_rule_without_a_comparison_says_when_it_began() -> None:
    task = Task(plan_with('when: symbol == "S0", on: trade'), LOG)
    (fired,) = fed(task, {0: 69})
    assert fired["episode"] == {"began": fired["ts_event"]}


def test_what_comes_back_is_the_same_alert() -> None:
    task = Task(plan_with(f"when: size > 5, clear: 10s, flap: 5m, {TEXT}"), LOG)
    told = fed(task, {0: 69, 20: 1})
    assert [len(alerts) for alerts in task.open] == [0], "it is not open meanwhile"
    task = restore(task.plan, LOG, snapshot(task))
    told += fed(task, {100: 9, 200: 1, 401: 1, 800: 7})
    assert [(body["transition"], body["number"]) for body in told] == [
        *[("fired", 0), ("resolved", 1), ("updated", 2), ("resolved", 3)],
        ("fired", 0),
    ]
    ids = [body["id"] for body in told]
    assert len(set(ids[:4])) == 1
    assert ids[4] != ids[0]
    assert [body["episode"].get("reopened") for body in told] == [None, None, 1, 1, None]
    assert [body["text"] for body in told[:4]] == [
        "a trade of 69",
        "a trade of 69 (over: not true for 10s)",
        "a trade of 69",
        "a trade of 69 (over: not true for 5m)",
    ]
    assert told[3]["episode"]["first"] == 69
    assert told[3]["episode"]["last"] == 9


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("updates: 5m", [("updated", "a trade of 69", 9)]),
        ("updates: off", []),
        ("measure: price", [("updated", "a trade of 69", None)]),
    ],
)
def test_an_open_alert_survives_another_way_of_being_told(
    change: str, told: list[tuple[str, str, float | None]]
) -> None:
    before, after = plan_with(f"when: size > 5, {TEXT}"), plan_with(f"when: size > 5, {change}, {TEXT}")
    assert before.config_hash != after.config_hash, "it decides what is told, so it is journaled"
    (fired,) = fed(task := Task(before, LOG), {0: 69})
    task, outcome = reload(task, after)
    assert outcome.transitions == ()
    bodies = fed(task, {299: 9}) if "measure" in change else fed(task, {299: 8, 300: 9})
    assert {body["id"] for body in bodies} <= {fired["id"]}
    assert [(body["transition"], body["text"], body["episode"].get("last")) for body in bodies] == told


def test_a_time_to_come_back_makes_it_another_rule() -> None:
    (without,), (with_flap,) = plan_with("when: size > 5").rules, plan_with("when: size > 5, flap: 5m").rules
    assert without.version != with_flap.version
    (told_else,) = plan_with("when: size > 5, updates: 1h").rules
    assert told_else.version == without.version


def store_of(tmp_path: Path, sizes: dict[int, float]) -> World:
    """A store to which trades of these sizes at these seconds were folded."""
    world = World(tmp_path / "store", plan_with(f"when: size > 5, clear: 10s, flap: 5m, {TEXT}"))
    records = [
        Record(place, trade(T0 + second * S, 100.0, size, "S0", trade_id=str(second)), T0 + second * S)
        for place, (second, size) in enumerate(sizes.items())
    ]
    world.run(ListSource([MemoryLog(LOG, records)], cycle([1])))
    return world


def test_an_alert_that_came_back_is_open_until_its_last_transition_is_its_end(tmp_path: Path) -> None:
    back = store_of(tmp_path / "back", {0: 69, 20: 1, 100: 9, 110: 7})
    over = store_of(tmp_path / "over", {0: 69, 20: 1})
    for world, number in ((back, 3), (over, 0)):
        database = open_store(str(world.store))
        assert len(alerts(database, AlertFilter(only_open=True), None)) == number
        with database.write() as connection:
            assert close_open(connection, 1, 0.0, "the topic is gone") == (number > 0)
        assert alerts(database, AlertFilter(only_open=True), None) == []
        last = alerts(database, AlertFilter(), 1)[0]
        database.close()
        assert last["transition"] == "resolved"
        if number:
            assert last["ts_event_ns"] == T0 + 110 * S, "the newest of its log"
            assert (last["score"], last["rarity_s"]) == (None, None)
        why = "the topic is gone" if number else "not true for 10s"
        assert last["text"] == f"a trade of 69 (over: {why})"
        assert last["episode"]["peak"] == 69
