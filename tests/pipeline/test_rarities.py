"""Rarity through the pipeline: in rules, alerts, scores, checkpoints and reloads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import DETECTORS, RULES, World, cycle, plan_of

from streamer.pipeline.rule_states import rule_states
from streamer.pipeline.scores import COLUMNS, score_rows
from streamer.pipeline.state import snapshot, status_document

RECORDS = market(900, seed=61, symbols=1, junk=0.0)
RARE = '\n  rare:\n    when: far.rarity > 20s\n    clear: 1s\n    text: "{symbol}: once in {far.rarity}"\n'
SIZED = DETECTORS.replace("features: [return_bps_10s]}", "features: [size]}")
PLAIN = RULES + "\n  high:\n    when: far.score > 3\n    clear: 1s\n"


def source(sizes: Sequence[int] = (40,)) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle(sizes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("rare") / "store", plan_of(PLAIN + RARE, SIZED))
    world.run(source())
    return world


def bodies(world: World, rule: str) -> list[dict[str, object]]:
    return [
        json.loads(row[0]) for row in world.ask("SELECT body FROM outbox WHERE rule = ? ORDER BY n", rule)
    ]


def test_a_rule_on_rarity_fires_and_its_alert_says_how_rare(whole: World) -> None:
    fired = [body for body in bodies(whole, "rare") if body["transition"] == "fired"]
    assert fired
    for body in fired:
        rarity = body["rarity_s"]
        assert isinstance(rarity, float)
        assert rarity > 20.0
        assert body["values"]["far.rarity"] == rarity  # type: ignore[index]
        assert body["detector"] == "far"
        assert str(body["text"]).startswith("S0: once in ")


def test_a_rule_on_a_score_says_how_rare_it_is_too(whole: World) -> None:
    fired = [body for body in bodies(whole, "high") if body["transition"] == "fired"]
    assert None in [body["rarity_s"] for body in fired], "while it warms up"
    assert any(isinstance(body["rarity_s"], float) for body in fired)


def test_the_decision_holds_every_rarity(whole: World) -> None:
    decisions = [json.loads(row[0]) for row in whole.ask("SELECT body FROM decisions")]
    assert all(set(decision["rarities"]) == {"tape", "far"} for decision in decisions if "scores" in decision)
    assert any(decision.get("rarities", {}).get("far") for decision in decisions)


def test_a_score_row_has_its_rarity_once_that_is_warm(whole: World) -> None:
    at, score = COLUMNS.index("rarity_s"), COLUMNS.index("score")
    rows = [row for step in whole.seen for row in score_rows(step.task, step.outcome)]
    mine = [row for row in rows if row[COLUMNS.index("detector")] == "far"]
    scored = [row for row in mine if row[score] is not None]
    assert [row[at] is None for row in scored[:256]] == [True] * 256
    assert all(row[at] >= 0.0 for row in scored[256:])
    assert max(row[at] for row in scored[256:]) > 20.0
    assert all(row[at] is None for row in mine if row[score] is None)


def rarities(world: World) -> dict[tuple[str, int, int], set[bytes]]:
    found: dict[tuple[str, int, int], set[bytes]] = {}
    for step in world.seen:
        for part in step.outcome.scores:
            for row in range(len(part.slot)):
                key = (part.detector, int(part.offset[row]), int(part.index[row]))
                found.setdefault(key, set()).add(part.rarity[row].tobytes())
    return found


def test_a_kill_and_other_batches_give_the_same_rarities(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", whole.plan, batch_size=13)
    world.killed(source((23, 60)), 9)
    world.killed(source((31,)), 7)
    world.batch_size = 50
    world.run(source((100,)))
    assert rarities(world) == rarities(whole)
    assert world.alerts() == whole.alerts()


def test_a_reload_keeps_rarities_warm_unless_the_detector_changes(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(PLAIN, SIZED))
    before = world.run(source(), polls=18).runners[LOG].task
    assert status_document(before)["rarities"]["far"] == 1
    world.plan = plan_of(PLAIN + RARE, SIZED)
    kept = world.run(source(), polls=0).runners[LOG].task
    assert status_document(kept)["rarities"] == status_document(before)["rarities"]
    taken, again = snapshot(before).arrays, snapshot(kept).arrays
    mine = [name for name in taken if name.startswith("detector:far:")]
    assert [name for name in mine if name.endswith("|pool/rings")]
    assert all(np.array_equal(taken[name], again[name]) for name in mine)
    world.plan = plan_of(PLAIN + RARE, DETECTORS)
    changed = world.run(source(), polls=0).runners[LOG].task
    assert status_document(changed)["rarities"]["far"] == 0


def test_check_says_what_a_rarity_still_waits_for() -> None:
    plan = plan_of(RARE)
    counts = {"warming": 0, "ready": 2, "quarantined": 0}
    status = {
        "seen": ["price"], "instruments": 2, "detectors": {"tape": counts, "far": counts},
        "rarities": {"tape": 2, "far": 0},
    }  # fmt: skip
    (state,) = rule_states(plan, [status], timers=True)
    assert (state.state, state.reason) == ("warming", "far.rarity is ready for 0 of 2 instruments")
    status["rarities"] = {"tape": 0, "far": 2}
    assert rule_states(plan, [status], timers=True)[0].state == "active"
    del status["rarities"]
    assert rule_states(plan, [status], timers=True)[0].state == "warming"
