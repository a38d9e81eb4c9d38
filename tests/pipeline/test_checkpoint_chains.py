"""Checkpoints that build on one another: each that is kept gives back its state to the bit."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import CONFIG, RULES, World, cycle, plan_of, state_bytes

from streamer.config.load import load_text
from streamer.messages.control_inputs import ControlInput
from streamer.messages.records import Record
from streamer.pipeline.checkpoint_chain import KnownChain, TaskChain
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.detector_controls import obey
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import lent_state, restore
from streamer.pipeline.task import Task, Timer
from streamer.store.checkpoint_chains import chain_of, kept_of
from streamer.store.checkpoints import SavedState, checkpoint_name, read_chain, remove_strays
from streamer.store.task_rows import CheckpointRow

DETECTORS = """
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
    params: {n_trees: 3, height: 4, window_size: 20, seed: 7}
  near:
    model: river.anomaly.GaussianScorer
    on: trade
    features: [return_bps_10s]
    target: size
    params: {grace_period: 5}
"""
PLAN = plan_of(detectors=DETECTORS, max_instruments=500)
FEW_PLACES = CONFIG.format(rules=RULES, detectors=DETECTORS, flood=5, max_instruments=40).replace(
    "max_instruments: 40", "max_instruments: 40, forget_after: 1m"
)


@dataclass
class Checkpoints:
    """One task's checkpoints as the service takes them, with what its state was at each."""

    folder: Path
    plan: Plan = PLAN
    chain: TaskChain = field(default_factory=lambda: TaskChain(whole_up_to=0))
    rows: list[CheckpointRow] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    seq: int = 0

    def take(self, task: Task) -> None:
        self.seq += 1
        row = CheckpointRow(1, self.seq, (0,), task.last_timer.number, self.plan.config_hash)
        taken = self.chain.take(lent_state(task), row)
        task.touched.clear()
        written = self.chain.write(self.folder, checkpoint_name(1, self.seq, 1), taken)
        self.chain.registered(taken, written)
        self.sizes.append(written.size)
        self.rows.insert(0, replace(taken.row, file=written.file, sha256=written.sha256))
        self.states[self.seq] = state_bytes(task, self.folder.parent / "compared")
        keep = kept_of(self.rows)
        self.rows = [each for each in self.rows if each.seq in keep.seqs]

    def base(self) -> None:
        if self.chain.wants_base():
            self.chain.write_base(self.folder, checkpoint_name(1, self.seq, 1, "base"))

    def killed(self) -> Task:
        """What is in memory is lost; files that no checkpoint needs go."""
        remove_strays(self.folder, 1, kept_of(self.rows).files)
        saved = self.read(self.rows[0])
        files = chain_of(self.rows, self.rows[0])
        base, *sizes = ((self.folder / file).stat().st_size for file, _ in files)
        has_older = kept_of(self.rows).cut is not None
        self.chain = TaskChain(
            KnownChain(self.rows[0], saved, base, sum(sizes), len(sizes), has_older), whole_up_to=0
        )
        return restore(self.plan, LOG, saved.snapshot())

    def read(self, row: CheckpointRow) -> SavedState:
        return read_chain(self.folder, chain_of(self.rows, row))

    def all_give_back_their_state(self) -> None:
        for row in self.rows:
            again = restore(self.plan, LOG, self.read(row).snapshot())
            assert state_bytes(again, self.folder.parent / "compared") == self.states[row.seq], row.seq


def step_anyhow(task: Task, chance: random.Random, at: int) -> None:
    """A batch, a timer, a lie about the time, or a detector that is quarantined or begins anew."""
    now = T0 + 5 * at * S
    what = chance.random()
    if what < 0.2:
        task.step(Timer(task.last_timer.number + 1, max(task.guard.running, 0) + S))
        return
    if what < 0.25:
        kind = chance.choice(["quarantine", "lift"])
        obey(task, ControlInput(at + 1, kind, chance.choice(["tape", "near"]), "", "a test"))
        return
    symbols = chance.choice([3, 10, 10 + at])
    ahead = chance.choice([0, 0, 0, 3_000]) * S
    values = [
        (
            now,
            trade(
                now + ahead + n,
                100 + chance.gauss(0, 1),
                chance.lognormvariate(0, 1),
                f"S{chance.randrange(symbols)}",
            ),
        )
        for n in range(chance.choice([1, 7, 60]))
    ]
    fold(task, records(values, first=1_000 * at))


def fold(task: Task, some: list[Record]) -> None:
    feed = task.plan.feed("trades")
    assert feed is not None
    task.step(feed.format.decode(some, feed.context("trades")))


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))]
)
def test_every_checkpoint_gives_back_its_state_to_the_bit(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    plan = compile_plan(load_text(FEW_PLACES))
    kept = Checkpoints(tmp_path / "folder", plan)
    task = Task(plan, LOG)
    for at in range(120):
        step_anyhow(task, chance, at)
        if chance.random() < 0.4:
            kept.take(task)
        for _ in range(chance.randrange(3)):
            kept.base()
        if kept.rows and chance.random() < 0.05:
            before, task = kept.states[kept.rows[0].seq], kept.killed()
            assert state_bytes(task, tmp_path / "compared") == before
        if at % 20 == 19 and kept.rows:
            kept.all_give_back_their_state()
    assert task.place_notices.forgotten > 0
    assert any(row.base for row in kept.rows)
    assert len({row.base for row in kept.rows}) > 1, "bases were written meanwhile"


def test_whichever_file_is_damaged_a_checkpoint_is_left_that_the_journal_reaches(tmp_path: Path) -> None:
    chance = random.Random(3)
    kept = Checkpoints(tmp_path / "folder")
    task = Task(PLAN, LOG)
    while len({row.base for row in kept.rows}) < 2 or len(kept.rows) < 8:
        step_anyhow(task, chance, len(kept.sizes))
        kept.take(task)
        for _ in range(kept.seq % 3):
            kept.base()
    keep = kept_of(kept.rows)
    assert keep.cut is not None
    for lost in sorted(keep.files):
        readable = [
            row.seq for row in kept.rows if lost not in (file for file, _ in chain_of(kept.rows, row))
        ]
        assert max(readable) >= keep.cut, lost


def test_what_is_written_is_what_changed(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "folder")
    task = Task(PLAN, LOG)
    everyone = [(T0, trade(T0 + n, 100.0, 1.0, f"S{n % 400}")) for n in range(8_000)]
    fold(task, records(everyone))
    kept.take(task)
    fold(task, records([(T0 + S, trade(T0 + S, 101.0, 2.0, "S7"))], first=9_000))
    kept.take(task)
    whole, changes = kept.sizes
    assert changes < whole / 10
    kept.all_give_back_their_state()


RECORDS = market(300, seed=21)


def source(size: int = 10) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([size]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("whole") / "store")
    world.run(source())
    return world


def test_with_any_one_file_damaged_it_goes_on_as_if_nothing_were(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", whole_up_to=0, every_s=1.0)
    chained = source()

    def poll(_: int) -> None:
        world.time.s += 0.6

    chained.on_poll = poll
    world.killed(chained, 24)
    files = world.files()
    assert any("base" in name for name in files)
    assert len(files) > 4
    for number, name in enumerate(files):
        copy = world.copied(tmp_path / str(number))
        (copy.checkpoints / name).write_bytes(b"damaged")
        copy.run(source())
        assert copy.alerts() == whole.alerts(), name
        assert copy.dead() == whole.dead(), name
        assert set(copy.files()) == files_named(copy), "nothing is left lying about"


def test_killed_at_any_moment_of_a_base_it_goes_on_as_if_nothing_were(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", whole_up_to=0, every_s=1.0)
    chained = source()

    def poll(number: int) -> None:
        world.time.s += 0.6
        if number % 3 == 2:
            copy = copied_at_work(world, tmp_path / str(number))
            copy.run(source(60))
            assert copy.alerts() == whole.alerts(), number
            assert set(copy.files()) == files_named(copy)

    chained.on_poll = poll
    world.run(chained)
    assert world.alerts() == whole.alerts()
    assert set(world.files()) == files_named(world)


def copied_at_work(world: World, folder: Path) -> World:
    """The folder as it is while the thread that writes is at work: a file may get its name meanwhile."""
    for attempt in count():
        with suppress(shutil.Error):
            return world.copied(folder / str(attempt))
    raise AssertionError


def files_named(world: World) -> set[str]:
    return {name for row in world.ask("SELECT file, base FROM checkpoints") for name in row if name}
