"""What tapewatch writes is its owner's alone, and is never written through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.receivers.errors import ReceiverError
from alerts.receivers.file import RECEIVER, FileReceiverSettings
from streamer.errors import TapewatchError
from streamer.messages.snapshot import Snapshot
from streamer.notify.clock import SystemClock
from streamer.pipeline.export import open_for_writing
from streamer.store.checkpoints import write_checkpoint
from streamer.store.database import open_store
from streamer.store.lock import only_daemon_of
from streamer.store.witness import Witness
from streamer.store.work_file import WorkFile


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def store(path: Path) -> None:
    open_store(str(path)).close()


def lock(path: Path) -> None:
    with only_daemon_of(path.with_suffix("")):
        pass


def checkpoint(path: Path) -> None:
    write_checkpoint(path.parent, path.name.removesuffix(".tmp"), Snapshot({}, {"a": np.zeros(3)}))


def alerts(path: Path) -> None:
    RECEIVER.build("log", FileReceiverSettings(path=path), lambda _: "", SystemClock())


def work(path: Path) -> None:
    WorkFile(path, 0.0)


def witness(path: Path) -> None:
    database = open_store(str(path.with_name("w.db")))
    Witness(database)
    database.close()


def export(path: Path) -> None:
    open_for_writing(path).close()


WRITES: dict[str, Callable[[Path], None]] = {
    "s.db": store,
    "s.db.lock": lock,
    "task1-1-1.ckpt.tmp": checkpoint,
    "alerts.jsonl": alerts,
    "s.db.work": work,
    "w.db.witness": witness,
    "scores.csv": export,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_new_file_is_its_owners_alone_and_a_link_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder / name).symlink_to(victim)
    with pytest.raises((TapewatchError, ReceiverError), match="symbolic link"):
        WRITES[name](folder / name)
    assert victim.read_bytes() == b"precious"
    (folder / name).unlink()
    WRITES[name](folder / name)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}, modes


def test_a_folder_for_checkpoints_is_its_owners_alone_and_no_link(tmp_path: Path) -> None:
    snapshot = Snapshot({}, {"a": np.zeros(3)})
    write_checkpoint(tmp_path / "made", "task1-1-1.ckpt", snapshot)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TapewatchError, match="symbolic link"):
        write_checkpoint(tmp_path / "link", "task1-1-1.ckpt", snapshot)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_daemon_takes_away_what_others_may_and_warns_of_a_folder_they_can_write_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.db"
    open_store(str(path)).close()
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    open_store(str(path), locked=True).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "others can write to the folder of the store" in capsys.readouterr().out
