"""How often rules fire against how often they were asked to: counted by hand, and as `check` says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import CONFIG, DETECTORS, World, cycle, plan_of

from alerts.durations import lasting
from alerts.language.rarity_rates import rarity_rates
from streamer.messages.records import Partition
from streamer.pipeline.rule_rates import rule_rates
from streamer.pipeline.state import restore, snapshot, status_document
from streamer.store.database import open_store
from streamer.store.queries import task_statuses

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from daemon import tapewatch

HOUR_S = 3_600
SIZED = DETECTORS.replace("features: [return_bps_10s]}", "features: [size]}")
RULES = (
    "\n  rare: {when: far.rarity > 20s, clear: 1s}"
    "\n  big: {when: size > 8 * size_mean_1h, clear: 1s, severity: info}\n"
)
OTHER_BIG = RULES.replace("8 *", "9 *")
LOGS = [LOG, Partition("trades", "t1", 1)]


def logs() -> list[MemoryLog]:
    return [
        MemoryLog(LOG, market(1_500, seed=61, symbols=2, junk=0.0)),
        MemoryLog(LOGS[1], market(700, seed=62, symbols=1, junk=0.0)),
    ]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("rates") / "store", plan_of(RULES, SIZED))
    world.run(ListSource(logs(), cycle([40, 13])))
    return world


def lived_by_hand(world: World) -> float:
    """Seconds of instruments from their first rarity on, by every score that was given."""
    times: dict[tuple[Partition, int], list[int]] = {}
    for step in world.seen:
        for part in step.outcome.scores:
            if part.detector == "far":
                for slot, ts in zip(part.slot[part.status == 1], part.ts[part.status == 1], strict=True):
                    times.setdefault((step.task.partition, int(slot)), []).append(int(ts))
    lived = 0.0
    for found in times.values():
        clock = np.maximum.accumulate(np.array(found))
        lived += float(np.minimum(np.diff(clock[255:]) / S, HOUR_S).sum())
    return lived


def fired_by_hand(world: World) -> Counter[str]:
    return Counter(row[0] for row in world.ask("SELECT rule FROM outbox WHERE transition = 'fired'"))


def watched_by_hand(read: MemoryLog) -> float:
    """Seconds from the first event to the last that is not from the future."""
    times = [json.loads(record.value or b"")["ts_event"] for record in read.records]
    let_in = [ts for ts, record in zip(times, read.records, strict=True) if ts <= record.timestamp + 60 * S]
    return (max(let_in) - let_in[0]) / S


def test_alerts_and_time_are_those_counted_by_hand(ran: World) -> None:
    database = open_store(str(ran.store))
    rare, big = rule_rates(ran.plan, task_statuses(database))
    database.close()
    fired, lived = fired_by_hand(ran), lived_by_hand(ran)
    assert fired["rare"] > 3
    assert fired["big"] > 3
    assert (rare.rule, rare.fired, big.rule, big.fired) == ("rare", fired["rare"], "big", fired["big"])
    assert rare.instrument_s["far"] == pytest.approx(lived)
    assert rare.expected == pytest.approx(lived / 20)
    assert rare.per_day is None, "minutes say nothing about a day"
    watched = max(watched_by_hand(log) for log in logs())
    assert big.watched_s == pytest.approx(watched)
    assert big.per_day is None
    day = replace(big, watched_s=2 * 86_400.0)
    assert day.per_day == pytest.approx(fired["big"] / 2)
    assert day.so_far == f"{fired['big']:,} in 2d, {fired['big'] / 2:,.0f} a day"


def brief(seconds: float) -> str:
    return lasting(seconds).replace(" ", "")


def test_check_prints_them(ran: World, tmp_path: Path) -> None:
    config = tmp_path / "tapewatch.yaml"
    text = CONFIG.format(rules=RULES, detectors=SIZED, flood=5, max_instruments=4)
    config.write_text(f"{text}store: {ran.store}\n")
    shown = tapewatch("check", "--offline", "-c", config).stdout
    assert f"configuration {ran.plan.config_hash}" in shown
    table = shown[shown.index("alerts so far") :].splitlines()
    fired, lived = fired_by_hand(ran), lived_by_hand(ran)
    watched = max(watched_by_hand(log) for log in logs())
    assert table[1].split() == [
        *f"rare {fired['rare']} in {brief(lived)} of instruments 4,320 a day each".split()
    ]
    assert table[2].split() == ["big", str(fired["big"]), "in", brief(watched)]
    config.write_text(f"{text}store: {tmp_path / 'none.db'}\n")
    assert "alerts so far" not in tapewatch("check", "--offline", "-c", config).stdout


def test_a_silence_counts_for_an_hour_at_most_however_it_is_cut(tmp_path: Path) -> None:
    at = [0, 60, 60 + 5 * HOUR_S, 30, 120 + 5 * HOUR_S, 120 + 7 * HOUR_S]
    found = set()
    for size in (1, 2, 3, 6):
        world = World(tmp_path / str(size), plan_of(RULES, SIZED), batch_size=size)
        read = records([(T0 + s * S, trade(T0 + s * S, 100.0)) for s in at])
        world.run(ListSource([MemoryLog(LOG, read)], cycle([6])))
        found.add(status_document(world.seen[-1].task)["rates"]["big"]["watched_s"])
    assert found == {60.0 + HOUR_S + 60.0 + HOUR_S}


def test_a_rule_that_changes_begins_anew_and_the_others_go_on(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(RULES, SIZED))
    read = ListSource(logs()[:1], cycle([40]))
    world.run(read, polls=35)
    before = status_document(world.seen[-1].task)["rates"]
    assert before["rare"]["lived_s"]["far"] > 0
    world.plan = plan_of(OTHER_BIG, SIZED)
    task = world.run(ListSource(logs()[:1], cycle([40])), polls=0).runners[LOG].task
    after = status_document(task)["rates"]
    assert after["rare"] == before["rare"]
    assert (after["big"]["fired"], after["big"]["watched_s"]) == (0, 0.0)
    assert rule_rates(world.plan, [{"rates": before}])[0].rule == "rare"
    assert [rate.rule for rate in rule_rates(world.plan, [{"rates": before}])] == ["rare"]
    world.plan = plan_of(OTHER_BIG, DETECTORS)
    task = world.run(ListSource(logs()[:1], cycle([40])), polls=0).runners[LOG].task
    changed = status_document(task)["rates"]["rare"]
    assert (changed["fired"], changed["watched_s"], changed["lived_s"]) == (0, 0.0, {"far": 0.0})


def test_a_checkpoint_from_before_there_were_any_counts_from_then_on(ran: World) -> None:
    task = ran.seen[-1].task
    taken = snapshot(task)
    del taken.meta["rates"]  # type: ignore[attr-defined]
    counted = status_document(restore(task.plan, task.partition, taken))["rates"]
    assert (counted["rare"]["fired"], counted["rare"]["lived_s"]["far"]) == (0, 0.0)
    again = status_document(restore(task.plan, task.partition, snapshot(task)))["rates"]
    assert again == status_document(task)["rates"]


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ("tape.rarity > 1d and size > 3", [("tape", 86_400.0)]),
        ("2h < tape.rarity", [("tape", 7_200.0)]),
        ("tape.rarity > 1d and far.rarity > 7d", [("far", 604_800.0)]),
        ("tape.rarity > 1d or far.rarity >= 12h", [("tape", 86_400.0), ("far", 43_200.0)]),
        ("tape.rarity > 1d or size > 3", []),
        ("(tape.rarity > 1h or far.rarity > 1h) and tape.rarity > 1d", [("tape", 86_400.0)]),
        ("tape.rarity < 1d", []),
        ("not tape.rarity > 1d", []),
        ("tape.score > 3", []),
    ],
)
def test_what_a_condition_asks_for(condition: str, asked: list[tuple[str, float]]) -> None:
    (rule,) = plan_of(f'\n  r: {{when: "{condition}"}}\n').rules
    assert list(map(tuple, rarity_rates(rule.condition.predicate))) == asked
