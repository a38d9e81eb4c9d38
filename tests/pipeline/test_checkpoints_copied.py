"""Checkpoints are copied whole where most can have changed, and compared where little can."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.messages.snapshot import Snapshot
from streamer.pipeline.checkpoint_chain import TaskChain
from streamer.pipeline.cores import on_two_threads
from streamer.pipeline.state import LentState
from streamer.store.checkpoint_files import WrittenCheckpoint
from streamer.store.checkpoints import checkpoint_name, read_chain
from streamer.store.task_rows import CheckpointRow

N_SLOTS = 1_000


class Taking:
    def __init__(self, folder: Path) -> None:
        self.folder, self.chain = folder, TaskChain()
        self.arrays: dict[str, NDArray[Any]] = {name: np.ones((N_SLOTS, 200)) for name in "ab"}
        self.seq = 0
        self.files: list[tuple[str, str]] = []

    def take(self, changed: int) -> WrittenCheckpoint:
        """A checkpoint where so many of the slots have changed; it has to give back the state."""
        self.seq += 1
        slots = np.arange(N_SLOTS) < changed
        for array in self.arrays.values():
            array[slots] += 1
        names = [("v", str(slot)) for slot in range(N_SLOTS)]
        lent = LentState(Snapshot({"instruments": names}, self.arrays), dict.fromkeys(self.arrays, slots))
        taken = self.chain.take(lent, CheckpointRow(1, self.seq, (0,), 0, ""))
        written = self.chain.write(self.folder, checkpoint_name(1, self.seq, 1), taken)
        self.chain.registered(taken, written)
        if not taken.row.base:
            self.files.clear()
        self.files.append((written.file, written.sha256))
        read = read_chain(self.folder, self.files).snapshot().arrays
        assert all((read[name] == array).all() for name, array in self.arrays.items())
        return written


def test_what_is_written_is_whole_where_most_was_touched_and_else_what_changed(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    whole = taking.take(N_SLOTS).size
    assert taking.take(10).size < whole / 20
    assert taking.take(5).size < whole / 20
    assert len(taking.files) == 3
    assert taking.take(N_SLOTS).size > 0.9 * whole
    assert len(taking.files) == 1, "it builds on nothing"
    assert taking.take(10).size < whole / 20


def test_no_base_is_written_while_all_that_is_taken_is_whole(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    for _ in range(3):
        taking.take(N_SLOTS)
        assert not taking.chain.wants_base()


def test_a_base_that_is_being_written_goes_where_a_whole_one_takes_its_place(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    for changed in (N_SLOTS, 10):
        taking.take(changed)
    taking.chain.write_base(tmp_path, "base.ckpt")
    assert [path for path in tmp_path.iterdir() if "base" in path.name]
    taking.take(N_SLOTS)
    assert not [path for path in tmp_path.iterdir() if "base" in path.name]


def test_where_no_thread_can_begin_one_does_all() -> None:
    parts, done = iter(range(50)), list[int]()
    before = threading.stack_size(1 << 46)  # more than there are addresses
    try:
        with pytest.raises(RuntimeError):
            threading.Thread(target=print).start()
        on_two_threads(lambda: done.extend(parts))
    finally:
        threading.stack_size(before)
    assert sorted(done) == list(range(50))


def test_what_goes_wrong_on_either_thread_is_told() -> None:
    parts = iter(range(50))
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait(5)
        next(parts)
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        on_two_threads(work)
