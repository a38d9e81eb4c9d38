"""Steps are cut short where they take long, by the clock that the process runs on and no other."""

from __future__ import annotations

from pathlib import Path

from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import World, cycle

RECORDS = market(300, seed=21)


def steps(world: World, took_s: float) -> list[int]:
    def watch(_: object) -> None:
        world.time.s += took_s

    world.run(ListSource([MemoryLog(LOG, RECORDS)], cycle([100])), watch=watch)
    return [step.records for step in world.seen if step.records]


def test_steps_are_cut_by_the_time_that_passes_in_them(tmp_path: Path) -> None:
    assert steps(World(tmp_path / "slow", batch_size=50), took_s=7.0)[:4] == [50, 35, 15, 10]
    assert set(steps(World(tmp_path / "fast", batch_size=50), took_s=0.0)) == {50}
