"""Where a backup may not lie: in what belongs to its store, which a restore would delete."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.app.store_backup import make_backup, restore_backup
from streamer.errors import UsageError
from streamer.store.database import open_store


@pytest.mark.parametrize(
    "place", ["t.db.checkpoints", "t.db.checkpoints/b", "link/b", "t.db-wal", "t.db.restoring/b", "t.db"]
)
def test_a_backup_lies_apart_from_what_belongs_to_its_store(tmp_path: Path, place: str) -> None:
    store = tmp_path / "t.db"
    open_store(str(store)).close()
    (tmp_path / "t.db.checkpoints").mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to(tmp_path / "t.db.checkpoints")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="belongs to the store"):
        make_backup(str(store), tmp_path / place)
    with pytest.raises(UsageError, match="belongs to the store"):
        restore_backup(tmp_path / place, str(store), overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_around_the_store_is_no_backup_of_it(tmp_path: Path) -> None:
    store = tmp_path / "t.db"
    open_store(str(store)).close()
    for act in (
        lambda: make_backup(str(store), tmp_path),
        lambda: restore_backup(tmp_path, str(store), overwrite=True),
    ):
        with pytest.raises(UsageError, match="has the store"):
            act()
