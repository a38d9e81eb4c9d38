"""Bases of many pieces, each of another moment: what is read back is what was, to the bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from market_bytes import LOG
from numpy.typing import NDArray
from pipeline_world import state_bytes
from test_checkpoint_chains import FEW_PLACES, PLAN, Checkpoints, step_anyhow

from streamer.config.load import load_text
from streamer.messages.snapshot import Snapshot
from streamer.pipeline.checkpoint_chain import KnownChain, TaskChain
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.state import LentState, restore
from streamer.pipeline.task import Task
from streamer.store.checkpoint_chains import Keep, chain_of, kept_of
from streamer.store.checkpoints import checkpoint_name, read_chain, remove_strays
from streamer.store.task_rows import CheckpointRow

Arrays = dict[str, NDArray[Any]]
NAMES = ("rows", "wide", "flags", "number", "flat")
TYPES = ("i8", "f8", "i4", "u1", "?")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.store.checkpoint_base.PIECE_BYTES", 1024)


@pytest.mark.parametrize(("seed", "forgets"), [(1, False), (2, True)])
def test_a_tasks_state_comes_back(seed: int, forgets: bool, tmp_path: Path) -> None:
    chance = random.Random(seed)
    plan = compile_plan(load_text(FEW_PLACES)) if forgets else PLAN
    kept, task = Checkpoints(tmp_path / "folder", plan), Task(plan, LOG)
    for at in range(48):
        step_anyhow(task, chance, at + 60 * forgets)  # later there are more instruments than places
        kept.take(task)
        for _ in range(12):
            kept.base()
        if at % 4 != 3:
            continue
        row = kept.rows[0]
        again = restore(plan, LOG, kept.read(row).snapshot())
        assert state_bytes(again, tmp_path / "compared") == kept.states[row.seq], row.seq
        if at == 31:
            task = kept.killed()
    assert len({row.base for row in kept.rows}) > 1, "bases were written meanwhile"
    assert not forgets or task.place_notices.forgotten


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))]
)
def test_arrays_that_do_anything_come_back(seed: int, tmp_path: Path) -> None:
    """Compared by one thread or by two, or copied by two."""
    chance = random.Random(seed)
    whole_up_to, two_threads_from = [(0, 1 << 30), (0, 0), (1 << 30, 0)][seed % 3]
    world, arrays = Chain(tmp_path, whole_up_to, two_threads_from), dict[str, NDArray[Any]]()
    for name in NAMES:
        _anew(arrays, name, chance)
    bases = set()
    for _ in range(60):
        touched = _change(arrays, chance)
        world.take(arrays, touched)
        for _ in range(chance.randrange(5)):
            world.base()
        world.gives_back()
        bases.add(world.rows[0].base)
        if chance.random() < 0.05:
            world.killed()
    assert len(bases) > 2 or whole_up_to


class Chain:
    """Checkpoints of arrays, as those of a task are taken, with what the arrays were at each."""

    def __init__(self, folder: Path, whole_up_to: int, two_threads_from: int) -> None:
        self.folder = folder
        self.how = whole_up_to, two_threads_from
        self.chain = TaskChain(None, *self.how)
        self.rows: list[CheckpointRow] = []
        self.states: dict[int, tuple[list[tuple[str, str]], Arrays]] = {}
        self.seq = 0
        self.keep = Keep(frozenset(), frozenset(), None)

    def take(self, arrays: Arrays, touched: dict[str, NDArray[np.bool_]]) -> None:
        self.seq += 1
        names = [("v", f"{slot}") for slot in range(len(arrays.get("rows", ())))]
        snapshot = Snapshot({"instruments": names}, arrays)
        taken = self.chain.take(LentState(snapshot, touched), CheckpointRow(1, self.seq, 0, 0, ""))
        written = self.chain.write(self.folder, checkpoint_name(1, self.seq, 1), taken)
        self.chain.registered(taken, written)
        self.rows.insert(0, replace(taken.row, file=written.file, sha256=written.sha256))
        self.states[self.seq] = names, {name: array.copy() for name, array in arrays.items()}
        self.keep = kept_of(self.rows)
        self.rows = [row for row in self.rows if row.seq in self.keep.seqs]
        for path in self.folder.glob("*.ckpt"):
            if path.name not in self.keep.files and "base" not in path.name:
                path.unlink()

    def base(self) -> None:
        if self.chain.wants_base():
            self.chain.write_base(self.folder, checkpoint_name(1, self.seq, 1, "base"))

    def killed(self) -> None:
        remove_strays(self.folder, 1, self.keep.files)
        saved = read_chain(self.folder, chain_of(self.rows, self.rows[0]))
        known = KnownChain(self.rows[0], saved, 10_000, 0, 0, self.keep.cut is not None)
        self.chain = TaskChain(known, *self.how)

    def gives_back(self) -> None:
        for row in self.rows:
            if row.seq not in (self.rows[0].seq, self.keep.cut):
                continue
            names, arrays = self.states[row.seq]
            read = read_chain(self.folder, chain_of(self.rows, row)).snapshot()
            assert read.meta["instruments"] == names
            assert read.arrays.keys() == arrays.keys()
            for name, array in arrays.items():
                found = read.arrays[name]
                assert (found.dtype, found.shape) == (array.dtype, array.shape), (row.seq, name)
                assert found.tobytes() == array.tobytes(), (row.seq, name)


def _change(arrays: Arrays, chance: random.Random) -> dict[str, NDArray[np.bool_]]:
    """Change, grow, shrink, drop or make anew; what was touched, of some of those that have rows."""
    touched: dict[str, NDArray[np.bool_]] = {}
    for name in NAMES:
        what = chance.random()
        array = arrays.get(name)
        if array is None or what < 0.04:
            if array is None and what < 0.6:
                continue
            _anew(arrays, name, chance)
        elif what < 0.08:
            del arrays[name]
        elif what < 0.2 and array.shape:
            arrays[name] = array[: chance.randrange(len(array) + 1)].copy()  # perhaps none are left
        elif what < 0.5 and array.shape:
            new = np.zeros((chance.choice([1, 3, 200]), *array.shape[1:]), array.dtype)
            if chance.random() < 0.5:
                _fill(new, chance)
            arrays[name] = np.concatenate((array, new))
            if chance.random() < 0.7:
                touched[name] = _touch(arrays[name], len(array), chance)
        elif what < 0.9:
            arrays[name] = array = array.copy()
            rows = _touch(array, len(array), chance) if array.shape else None
            if rows is None:
                array[()] = chance.randrange(2)
            elif chance.random() < 0.7:
                touched[name] = rows
    return touched


def _touch(array: NDArray[Any], among: int, chance: random.Random) -> NDArray[np.bool_]:
    rows = np.zeros(len(array), np.bool_)
    for _ in range(chance.choice([0, 1, 5, 2 * among]) if among else 0):
        row = chance.randrange(among)
        rows[row] = True
        _fill(array[row : row + 1], chance)
    return rows


def _anew(arrays: Arrays, name: str, chance: random.Random) -> None:
    shape: tuple[int, ...] = (chance.choice([0, 1, 150, 600]),)
    if name == "wide":
        shape = (chance.choice([0, 2, 40]), chance.choice([3, 17]))
    if name == "number":
        shape = ()
    arrays[name] = np.zeros(shape, chance.choice(TYPES))
    _fill(arrays[name], chance)


def _fill(array: NDArray[Any], chance: random.Random) -> None:
    seeded = np.random.default_rng(chance.randrange(1 << 30))
    array[...] = seeded.integers(0, chance.choice([2, 200]), array.shape)
