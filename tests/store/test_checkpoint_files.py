"""Checkpoint files: what is written is read, whatever the arrays' shapes and sizes are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from streamer.messages.snapshot import Snapshot
from streamer.store.checkpoints import read_checkpoint, write_checkpoint

CHANCE = np.random.default_rng(7)
ARRAYS = {
    "none": np.zeros(0),
    "one": np.array(7, np.int64),
    "flags": np.array([True, False]),
    "three dimensions": CHANCE.integers(0, 9, (7, 11, 13), np.int32),
    "not in order": CHANCE.random((40, 60)).T,
    "a mebibyte": CHANCE.integers(0, 255, 1 << 20, np.uint8),
    "more than two": CHANCE.random((3, 100_003)),
}


@pytest.mark.parametrize("names", [(), tuple(ARRAYS), *[(name,) for name in ARRAYS]], ids=str)
def test_what_is_written_is_read(names: tuple[str, ...], tmp_path: Path) -> None:
    taken = Snapshot({"seen": ["é"], "instruments": [("é", "b")]}, {name: ARRAYS[name] for name in names})
    written = write_checkpoint(tmp_path / "made", "a.ckpt", taken)
    path = tmp_path / "made" / written.file
    assert written.size == path.stat().st_size
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    read = read_checkpoint(path.parent, written.file, written.sha256)
    assert read.meta == taken.meta
    assert list(read.arrays) == list(names)
    for name in names:
        assert read.arrays[name].dtype == ARRAYS[name].dtype
        assert read.arrays[name].shape == ARRAYS[name].shape
        assert (read.arrays[name] == ARRAYS[name]).all()
    assert [each.name for each in path.parent.iterdir()] == [written.file]
