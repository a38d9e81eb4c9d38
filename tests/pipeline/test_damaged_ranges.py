"""Offsets that a log holds damaged: skipped once, never read later, told, and never a reason to stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import Crash, World, cycle, state_bytes

from streamer.pipeline.runner_context import StepResult

FIRST, LAST = 90, 119
RECORDS = market(300, seed=11)


def damaged_log() -> MemoryLog:
    return MemoryLog(LOG, RECORDS, damaged=[(FIRST, LAST)])


def source(log: MemoryLog) -> ListSource:
    return ListSource([log], cycle([30]))


def ranges(world: World) -> list[tuple[object, ...]]:
    letters = "SELECT offset, index_, last_offset, value, detail FROM dead_letters WHERE reason = ?"
    return world.ask(letters, "damaged_range")


def gaps(world: World) -> list[tuple[int, int]]:
    query = "SELECT first, last FROM journal WHERE kind = 'gap' ORDER BY task_id, seq"
    return [(int(first), int(last)) for first, last in world.ask(query)]


def told(world: World) -> list[dict[str, object]]:
    return [json.loads(body) for rule, body in world.service_alerts() if rule == "damaged_range"]


def incarnations(world: World) -> list[str]:
    return [row[0] for row in world.ask("SELECT incarnation FROM tasks ORDER BY id")]


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """What comes of a log that has never had those records."""
    world = World(tmp_path_factory.mktemp("holed") / "store")
    world.run(source(MemoryLog(LOG, RECORDS[:FIRST] + RECORDS[LAST + 1 :])))
    return world


def test_a_range_is_one_dead_letter_and_one_alert_and_detection_goes_on(holed: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", keep_all=True)
    world.run(source(damaged_log()))
    assert world.alerts() == holed.alerts()
    assert state_bytes(world.seen[-1].task, tmp_path) == state_bytes(holed.seen[-1].task, tmp_path)
    assert ranges(world) == [(FIRST, -1, LAST, None, "it is odd")]
    assert gaps(world) == [(FIRST, LAST)]
    (alert,) = told(world)
    assert alert["severity"] == "critical"
    for part in ("trades[0]", "offsets 90 to 119", "it is odd", "another replica"):
        assert part in str(alert["text"])


@pytest.mark.parametrize("well_later", [pytest.param(False, marks=pytest.mark.long), True])
def test_killed_around_a_skip_nothing_is_lost_and_the_gap_is_journaled_once(
    holed: World, tmp_path: Path, well_later: bool
) -> None:
    """Killed after every step, while recovering too, which finds the range still damaged or sound by then."""
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    log = damaged_log()
    for number in range(1, 40):
        steps = 0

        def watch(_: StepResult, last: int = number) -> None:
            nonlocal steps
            steps += 1
            if steps == last:
                raise Crash

        with world.process(source(log), watch=watch) as engine:
            try:
                engine.run(lambda: False)
            except Crash:
                if well_later and gaps(world):
                    log.damaged = []
                continue
        break
    world.run(source(log))
    assert world.alerts() == holed.alerts()
    assert gaps(world) == [(FIRST, LAST)]
    assert len(ranges(world)) == len(told(world)) == 1
    assert incarnations(world) == ["t1"]
    assert state_bytes(world.seen[-1].task, tmp_path) == state_bytes(holed.seen[-1].task, tmp_path)


def test_damage_in_what_was_read_is_a_new_generation_behind_it(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    log = MemoryLog(LOG, RECORDS)
    world.killed(source(log), 6)
    read_to = max(entry[3] for entry in world.journal()) + 1
    before = {row[:4] for row in world.alerts()}
    assert read_to > LAST + 1
    log.damaged = [(FIRST, LAST)]
    world.run(source(log))
    assert incarnations(world) == ["t1", "t1~1"]
    assert world.ask("SELECT position FROM members WHERE task_id = 2") == [(read_to,)]
    assert ranges(world) == [(FIRST, -1, LAST, None, "it is odd")]
    (alert,) = told(world)
    assert "detection starts afresh" in str(alert["text"])
    fresh = World(tmp_path / "fresh")
    fresh.run(source(MemoryLog(LOG._replace(incarnation="t1~1"), RECORDS, first=read_to)))
    ids = {row[0] for row in fresh.alerts()}
    assert [row for row in world.alerts() if row[0] in ids] == fresh.alerts()
    assert before <= {row[:4] for row in world.alerts()}
    world.run(source(log))
    assert incarnations(world) == ["t1", "t1~1"]


def test_a_range_that_grew_into_what_was_read_is_a_new_generation(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    log = damaged_log()
    world.killed(source(log), 8)
    assert max(entry[3] for entry in world.journal()) > LAST + 10
    log.damaged = [(FIRST, LAST + 5)]
    world.run(source(log))
    assert incarnations(world) == ["t1", "t1~1"]
    assert [row[:3] for row in ranges(world)] == [(FIRST, -1, LAST), (FIRST, -1, LAST + 5)]
