"""Whatever moment a process dies at, the next one goes on as if nothing had happened."""

from __future__ import annotations

import random
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import market
from pipeline_world import Crash, World, cycle, state_bytes
from refolded import differences, left_states, plant_a_bit, refolded, told_by

from streamer.messages.records import Partition
from streamer.pipeline.runner_context import StepResult

LOGS = [
    MemoryLog(Partition("trades", "t1", 0), market(500, seed=3, holes=0.05)),
    MemoryLog(Partition("trades", "t1", 1), market(300, seed=4, first=1_000)),
]


def seeds(some: int, more: int) -> list[object]:
    """Some for every run, and more for the long form."""
    return [*range(some), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(some, more))]


class Killer:
    """Raises at the n-th moment that the process asks for the time, polls, or ends a batch."""

    def __init__(self, world: World, at: int) -> None:
        self.world = world
        self.left = at

    def moment(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash

    def clock(self) -> float:
        self.moment()
        return self.world.time.s

    def watch(self, _: StepResult) -> None:
        self.moment()

    def poll(self, _: int) -> None:
        self.world.time.s += 0.4
        self.moment()


class Growing:
    """Logs that are written while they are read, with pauses in which they are read to their ends."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.logs = [MemoryLog(log.partition, log.records, log.first, end=log.first) for log in LOGS]

    def grow(self) -> bool:
        """A little more, now and then; True when all has been written."""
        for log, whole in zip(self.logs, LOGS, strict=True):
            if self.chance.random() < 0.3:
                log.end = min(whole.log_end, log.log_end + self.chance.randint(1, 40))
        return all(log.end == whole.log_end for log, whole in zip(self.logs, LOGS, strict=True))


def written_meanwhile(growing: Growing, source: ListSource, killer: Killer, number: int) -> None:
    source.endless = not growing.grow()
    killer.poll(number)


def live_through(
    world: World, chance: random.Random, sizes: list[int], growing: Growing | None = None
) -> int:
    """Run to the end of the logs over as many processes as it takes; returns how many were killed."""
    kills = 0
    while True:
        killer = Killer(world, chance.randint(1, 40) if kills < 12 else -1)
        source = ListSource(growing.logs if growing else LOGS, cycle(sizes), killer.poll)
        if growing:
            source.on_poll = partial(written_meanwhile, growing, source, killer)
        world.batch_size = chance.choice([1, 3, 7, 50])
        try:
            world.run(source, clock=killer.clock, watch=killer.watch)
        except Crash:
            kills += 1
            continue
        return kills


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("undisturbed") / "store")
    world.run(ListSource(LOGS, cycle([40])))
    assert len(world.alerts()) > 100
    assert len(world.dead()) > 20
    return world


@pytest.mark.parametrize("seed", seeds(2, 12))
def test_killed_at_random_moments_nothing_is_lost_added_or_changed(
    seed: int, undisturbed: World, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    world = World(tmp_path / "store", whole_up_to=0)  # every checkpoint writes what changed
    assert live_through(world, chance, [chance.randint(1, 60) for _ in range(5)]) >= 5
    assert world.alerts() == undisturbed.alerts()
    assert world.dead() == undisturbed.dead()
    assert world.ask("SELECT * FROM ignored ORDER BY 1, 2") == undisturbed.ask(
        "SELECT * FROM ignored ORDER BY 1, 2"
    )
    expected = undisturbed.scores()
    found = world.scores()
    assert found.keys() == expected.keys()
    assert all(set(scores) == set(expected[event]) for event, scores in found.items())
    ends = {step.task.partition: step.task for step in world.seen}
    for partition, task in {step.task.partition: step.task for step in undisturbed.seen}.items():
        assert state_bytes(ends[partition], tmp_path / "a") == state_bytes(task, tmp_path / "b")


@pytest.mark.parametrize("seed", seeds(1, 8))
def test_with_timers_all_is_as_a_fold_of_the_journal_says(seed: int, tmp_path: Path) -> None:
    chance = random.Random(100 + seed)
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True)
    assert live_through(world, chance, [30], Growing(chance)) >= 5
    entries = world.ask(
        "SELECT count(*), count(DISTINCT tick_number) FROM journal WHERE kind = 'tick' AND task_id = 1"
    )
    assert entries[0][0] == entries[0][1] > 20
    assert world.ask("SELECT count(*) FROM decisions WHERE offset IS NULL")[0][0] > 0
    recording = tmp_path / "all.jsonl.gz"
    world.record(recording, LOGS)
    again = refolded(world.plan, recording)
    assert again.told == told_by(world.store)
    left = left_states(world.plan, world.store, world.checkpoints)
    assert differences(left, again.states) == []


def test_one_wrong_bit_in_a_sound_checkpoint_is_found_by_a_fold_of_the_journal(tmp_path: Path) -> None:
    """In an array of every part; all checksums are right, and no alert needs to differ."""
    world = World(tmp_path / "store", keep_all=True)
    world.run(ListSource(LOGS, cycle([40])))
    recording = tmp_path / "all.jsonl.gz"
    world.record(recording, LOGS)
    again = refolded(world.plan, recording)
    at = world.plan, world.store, world.checkpoints
    left = left_states(*at)
    assert differences(left, again.states) == []
    arrays = left[LOGS[0].partition].arrays
    one_of_each = {name.split("|")[0]: name for name, array in arrays.items() if array.size}
    assert len(one_of_each) > 8
    for name in one_of_each.values():
        plant_a_bit(*at[1:], name)
        assert differences(left_states(*at), again.states) == [f"trades[0] {name}"]
        plant_a_bit(*at[1:], name)
    plant_a_bit(*at[1:], name)
    world.run(ListSource(LOGS))
    assert again.told == told_by(world.store), "today's alerts do not show it"
    assert differences(left_states(*at), again.states) == [f"trades[0] {name}"]


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
def test_every_single_moment(every: int, tmp_path: Path) -> None:
    """In the short form every third one, of clocks, polls and batches alike."""
    chance = random.Random(17)
    log = MemoryLog(Partition("trades", "t1", 0), market(45, seed=5, junk=0.2))
    whole = World(tmp_path / "whole")
    whole.run(ListSource([log], cycle([15])))
    for at in range(1, 200):
        if chance.randrange(every):
            continue
        world = World(tmp_path / f"killed{at}", every_s=0.7)
        killer = Killer(world, at)
        try:
            world.run(ListSource([log], cycle([15]), killer.poll), clock=killer.clock, watch=killer.watch)
        except Crash:
            world.run(ListSource([log], cycle([4])))
        assert world.alerts() == whole.alerts()
        assert world.dead() == whole.dead()
        if killer.left > 0:
            assert at > 30
            return
    raise AssertionError("there were more moments than that")


def test_a_copy_of_the_folder_taken_at_any_moment_can_be_gone_on_from(
    undisturbed: World, tmp_path: Path
) -> None:
    chance = random.Random(7)
    world = World(tmp_path / "store", every_s=0.5)
    copies: list[World] = []

    def moment(*_: Any) -> float:
        if threading.current_thread() is threading.main_thread() and chance.random() < 0.05:
            copies.append(world.copied(tmp_path / f"copy{len(copies)}"))
        return world.time.s

    def poll(_: int) -> None:
        world.time.s += 0.2

    world.run(ListSource(LOGS, cycle([9]), poll), clock=moment, watch=moment)
    assert len(copies) > 8
    for copy in copies[::2][:4]:
        copy.run(ListSource(LOGS, cycle([33])))
        assert copy.alerts() == undisturbed.alerts()
        assert copy.dead() == undisturbed.dead()


def test_a_database_that_has_lost_its_log_still_has_the_checkpoints_it_names(
    undisturbed: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "store", every_s=0.5)
    copies: list[World] = []

    def poll(number: int) -> None:
        world.time.s += 0.2
        if number % 9 == 8:
            copies.append(world.copied(tmp_path / f"copy{number}"))

    world.run(ListSource(LOGS, cycle([9]), poll))
    for copy in copies[1::2][:4]:
        for name in ("-wal", "-shm"):
            copy.store.with_name(copy.store.name + name).unlink(missing_ok=True)
        copy.run(ListSource(LOGS, cycle([33])))
        assert copy.alerts() == undisturbed.alerts()
        assert copy.dead() == undisturbed.dead()


@pytest.mark.parametrize("table", ["journal", "outbox", "decisions", "dead_letters", "checkpoints"])
def test_a_write_that_fails_half_way_leaves_nothing_of_its_commit(
    table: str, undisturbed: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "store")
    world.run(ListSource(LOGS, cycle([10])), polls=4)
    world.ask(f"CREATE TRIGGER broken AFTER INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    before = world.alerts()

    def poll(_: int) -> None:
        world.time.s += 1

    with pytest.raises(Exception, match="disk is full"):
        world.run(ListSource(LOGS, cycle([10]), poll))
    if table in ("journal", "outbox", "decisions"):
        assert world.alerts() == before
        assert world.ask("SELECT count(*) FROM outbox WHERE origin = 'detect'") == [(len(before),)]
    world.ask("DROP TRIGGER broken")
    world.run(ListSource(LOGS, cycle([10])))
    assert world.alerts() == undisturbed.alerts()
    assert world.dead() == undisturbed.dead()
