"""A configuration that changes over a restart: a journaled step of the fold, like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import DETECTORS, RULES, World, cycle, plan_of, state_bytes

from streamer.messages.records import Partition
from streamer.pipeline.state import snapshot

RECORDS = market(300, seed=41)
OTHER_MOVE = RULES.replace("abs(return_bps_10s) > 3bps", "abs(return_bps_10s) > 4bps")
NO_HELD = RULES[: RULES.index("  held:")]
ADDED = RULES + "  jump:\n    when: abs(return_bps_3s) > 5bps\n    clear: 1s\n"
OTHER_TAPE = DETECTORS.replace("seed: 7", "seed: 8")


def source(size: int = 30) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([size]))


def bodies(world: World, rule: str) -> list[tuple[int, str, dict[str, Any]]]:
    rows = world.ask("SELECT number, transition, body FROM outbox WHERE rule = ? ORDER BY n", rule)
    return [(number, transition, json.loads(body)) for number, transition, body in rows]


def without_config(rows: list[tuple[int, str, dict[str, Any]]]) -> list[tuple[int, str, dict[str, Any]]]:
    return [(number, what, {**body, "config_hash": "", "model_version": ""}) for number, what, body in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("whole") / "store")
    world.run(source())
    return world


@pytest.mark.parametrize("clean", [True, False])
def test_what_did_not_change_goes_on_as_if_nothing_had_happened(
    clean: bool, whole: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    if clean:
        world.run(source(), polls=4)
    else:
        world.killed(source(), 5)
    world.plan = plan_of(ADDED)
    world.run(source())
    for rule in ("big", "move", "odd", "held"):
        assert without_config(bodies(world, rule)) == without_config(bodies(whole, rule)), rule
    again = world.scores()
    assert {event: again[event][0] for event in again} == {
        event: scores[0] for event, scores in whole.scores().items()
    }
    assert all(len(set(given)) == 1 for given in again.values())
    assert [entry[1] for entry in world.journal()].count("reload") == 1
    hashes = {row[4] for row in world.alerts()}
    assert hashes == {whole.plan.config_hash, world.plan.config_hash}
    assert bodies(world, "jump")


@pytest.mark.parametrize("rules", [OTHER_MOVE, NO_HELD])
def test_open_episodes_of_a_rule_that_changed_are_resolved(rules: str, tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    engine = world.run(source(), polls=4)
    task = engine.runners[LOG].task
    name = "move" if rules == OTHER_MOVE else "held"
    at = [rule.name for rule in task.plan.rules].index(name)
    were_open = dict(task.open[at])
    assert were_open
    numbers = dict(world.ask("SELECT alert_id, max(number) FROM outbox GROUP BY alert_id"))
    world.plan = plan_of(rules)
    world.killed(source(), 1)
    closed = {
        body["id"]: body
        for number, transition, body in bodies(world, name)
        if body["id"] in {alert.id for alert in were_open.values()}
        and transition == "resolved"
        and number == numbers[body["id"]] + 1
    }
    assert set(closed) == {alert.id for alert in were_open.values()}
    for slot, found in were_open.items():
        body = closed[found.id]
        assert body["ts_event_ns"] == task.watermark
        assert body["symbol"] == task.slots.instruments[slot].symbol
        assert body["source"] == {"topic": "trades", "partition": 0, "offset": None, "index": None}
        assert body["config_hash"] == task.plan.config_hash
        assert body["text"] == f"{found.text} (over: the rule was changed or removed)"
    hashes = world.ask("SELECT DISTINCT config_hash FROM outbox WHERE rule = ?", name)
    assert hashes == [(task.plan.config_hash,)]
    world.run(source())
    ids = [(row[0], row[1]) for row in world.alerts()]
    assert len(set(ids)) == len(ids)
    if rules == NO_HELD:
        assert bodies(world, name)[-1][1] == "resolved"


@pytest.mark.parametrize("rules", [OTHER_MOVE, NO_HELD, ADDED])
def test_a_kill_right_after_a_reload_is_recovered_through_it(rules: str, tmp_path: Path) -> None:
    calm, killed = World(tmp_path / "calm", every_s=1e9), World(tmp_path / "killed", every_s=1e9)
    for world in (calm, killed):
        world.killed(source(), 4)
        world.plan = plan_of(rules)
    calm.run(source())
    for polls in (1, 2, 3):
        killed.killed(source(7 * polls), polls)
    killed.run(source(11))
    assert [entry[1] for entry in killed.journal()].count("reload") <= 1
    assert killed.alerts() == calm.alerts()
    assert state_bytes(killed.seen[-1].task, tmp_path) == state_bytes(calm.seen[-1].task, tmp_path)


def test_changed_detectors_warm_anew_and_all_else_stays_warm(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    before = world.run(source(), polls=9).runners[LOG].task
    assert 1 in before.status["tape"]
    world.plan = plan_of(detectors=OTHER_TAPE)
    after = world.run(source(), polls=0).runners[LOG].task
    assert after.slots.instruments == before.slots.instruments
    assert (after.watermark, after.late, after.fields_seen) == (
        before.watermark,
        before.late,
        before.fields_seen,
    )
    assert not after.status["tape"].any()
    kept, left = snapshot(before).arrays, snapshot(after).arrays
    same = {
        name for name in kept.keys() & left.keys() if np.array_equal(kept[name], left[name], equal_nan=True)
    }
    assert kept.keys() - same == {name for name in kept if name.startswith("detector:tape:")}
    assert left.keys() - same == {name for name in left if name.startswith("detector:tape:")}
    assert world.seen[-1].task.open == before.open


def test_back_and_forth_and_a_damaged_checkpoint_in_between(tmp_path: Path) -> None:
    plans = [plan_of(), plan_of(OTHER_MOVE), plan_of(ADDED), plan_of()]
    world = World(tmp_path / "store", keep_all=True)
    for plan in plans:
        world.plan = plan
        world.run(source(), polls=2)
    damaged = world.copied(tmp_path / "damaged")
    for name in damaged.files():
        (damaged.checkpoints / name).write_bytes(b"damaged")
    for each in (world, damaged):
        each.run(source())
    assert damaged.alerts() == world.alerts()
    assert damaged.journal() == world.journal()
    assert [entry[1] for entry in world.journal()].count("reload") == 3
    assert len(world.ask("SELECT * FROM configs")) == 3
    assert state_bytes(damaged.seen[-1].task, tmp_path) == state_bytes(world.seen[-1].task, tmp_path)


def test_what_the_detect_part_does_not_hold_is_no_reload(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=3)
    world.batch_size, world.every_s, world.timer_every_s = 100, 60.0, 5.0
    world.run(source(), polls=3)
    assert {entry[1] for entry in world.journal()} == {"batch"}


def test_every_partition_reloads_on_its_own(tmp_path: Path) -> None:
    logs = [MemoryLog(Partition("trades", "t1", number), market(100, seed=number)) for number in range(3)]
    world = World(tmp_path / "store")
    world.run(ListSource(logs, cycle([20])), polls=2)
    world.plan = plan_of(OTHER_MOVE)
    world.run(ListSource(logs, cycle([20])))
    for task in (1, 2, 3):
        kinds = [entry[1] for entry in world.journal(task)]
        assert kinds.count("reload") == 1
        assert set(kinds) == {"batch", "reload"}
