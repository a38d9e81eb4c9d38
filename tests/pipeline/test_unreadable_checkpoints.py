"""Checkpoints that a disk does not give back: the older one is gone on from, and the file is left."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import World, cycle

from streamer.errors import TapewatchError
from streamer.messages.snapshot import Snapshot
from streamer.pipeline.recovery import NoCheckpointError
from streamer.store.checkpoints import (
    DamagedCheckpointError,
    UnreadableCheckpointError,
    read_checkpoint,
    write_checkpoint,
)

RECORDS = market(200, seed=21)
BAD_SECTOR = Path("/proc/self/mem")  # reading its beginning is an input/output error


def source() -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([20]))


def broken(path: Path) -> None:
    path.unlink()
    path.symlink_to(BAD_SECTOR)


def test_it_goes_on_from_the_older_one_and_leaves_the_file(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    whole.run(source())
    world = World(tmp_path / "store")
    world.run(source(), polls=3)
    world.run(source(), polls=3)
    older, newest = world.files()
    both = world.copied(tmp_path / "both")
    broken(world.checkpoints / newest)
    world.run(source())
    assert world.alerts() == whole.alerts()
    aside = world.checkpoints / f"unreadable-{newest}"
    assert aside.is_symlink()
    world.run(source())
    assert aside.is_symlink(), "the next start leaves it too"
    broken(both.checkpoints / older)
    broken(both.checkpoints / newest)
    with pytest.raises(NoCheckpointError):
        both.run(source())
    assert both.files() == [older, newest], "nothing was moved or removed"


def test_a_page_that_cannot_be_read_is_no_signal(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path, "a.ckpt", Snapshot({"instruments": []}, {"x": np.ones(9)}))
    (tmp_path / "a.ckpt").unlink()
    (tmp_path / "a.ckpt").symlink_to(BAD_SECTOR)
    with pytest.raises(UnreadableCheckpointError, match="the disk cannot read it"):
        read_checkpoint(tmp_path, written.file, written.sha256)


@pytest.mark.parametrize("lacks", ["files", "memory"])
def test_what_passes_says_nothing_about_the_file(lacks: str, tmp_path: Path) -> None:
    # zeros are not in the file, so that its image is much larger
    large = Snapshot({"instruments": []}, {"x": np.zeros(1 << 30, np.uint8)})
    written = write_checkpoint(tmp_path, "a.ckpt", large)
    kind, most = resource.RLIMIT_AS, _mapped() + (1 << 28)
    if lacks == "files":
        kind, most = resource.RLIMIT_NOFILE, os.open(tmp_path, os.O_RDONLY)
        os.close(most)  # the lowest that is free
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, before[1]))
    try:
        with pytest.raises(TapewatchError, match="nothing was removed") as told:
            read_checkpoint(tmp_path, written.file, written.sha256)
    finally:
        resource.setrlimit(kind, before)
    assert not isinstance(told.value, DamagedCheckpointError)
    assert read_checkpoint(tmp_path, written.file, written.sha256).arrays["x"].nbytes == 1 << 30


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
