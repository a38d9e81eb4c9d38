"""A database that is older than it was: a copy, a backup, or one without its log. Never silent."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from fakes.delivering import claim_due, route_all
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import World, cycle

from streamer.app.older_store import witness_of
from streamer.app.store_backup import make_backup
from streamer.errors import TapewatchError
from streamer.store.backups import MANIFEST, BackedUpFile, BackupError, back_up, copy_back, verified
from streamer.store.database import StoreError, open_store
from streamer.store.deliveries import StoreDeliveries

RECORDS = market(300, seed=21)


def source(committed: int | None = None) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS, committed=committed)], cycle([30]))


def told(world: World) -> list[str]:
    return [json.loads(body)["text"] for name, body in world.service_alerts() if name == "store_older"]


def copied_database(world: World, folder: Path) -> Path:
    with closing(sqlite3.connect(world.store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    folder.mkdir()
    return Path(shutil.copy(world.store, folder / "old.db"))


def witnessed(world: World) -> None:
    """What a daemon does at its start."""
    database = open_store(str(world.store), locked=True)
    try:
        witness_of(database)
    finally:
        database.close()


def test_what_is_committed_is_never_more_than_the_store_holds(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=0.0)
    read = source()
    world.killed(read, 8)
    assert read.told
    assert (
        max(each[LOG] for each in read.told)
        <= world.ask("SELECT max(json_extract(positions, '$[0]')) FROM checkpoints")[0][0]
    )
    world.run(source(committed=read.told[-1][LOG]))
    assert told(world) == []


def test_a_copy_that_is_behind_what_kafka_knows_is_told_and_what_it_lacks_is_in_doubt(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    old = copied_database(world, tmp_path / "copies")
    kept = world.copied(tmp_path / "kept")
    world.run(source(), polls=4)
    whole = world.alerts()
    shutil.rmtree(world.folder)
    shutil.copytree(kept.folder, world.folder)
    shutil.copy(old, world.store)
    world.run(source(committed=180))
    assert {row[0] for row in whole} <= {row[0] for row in world.alerts()}, "the same ids"
    (text,) = told(world)
    assert "Kafka's consumer group has read on" in text
    assert "trades[0] goes on at offset 60, and had been read at least to 180" in text
    doubtful = world.ask(
        "SELECT max(d.offset), count(*) FROM outbox o JOIN decisions d USING (alert_id, number) "
        "WHERE doubtful_since IS NOT NULL"
    )
    assert doubtful[0][1] > 0
    whole_reach = world.ask("SELECT max(doubtful) FROM members")
    assert whole_reach == [(300,)], "Kafka may know less than what was read: all that was there is in doubt"
    database = open_store(str(world.store))
    route_all(database, ["desk"], 5_000.0)
    claimed = claim_due(StoreDeliveries(database), "desk", 1_000, 5_000.0)
    database.close()
    marked = dict(world.ask("SELECT alert_id || '-' || number, doubtful_since FROM outbox"))
    sent = {each.key: each for each in claimed}
    assert any(each.in_doubt for each in claimed)
    assert all(each.in_doubt == (marked[key] is not None) for key, each in sent.items())
    assert all(each.created_at == marked[key] for key, each in sent.items() if each.in_doubt), (
        "looked for since"
    )
    world.run(source(committed=180))
    assert len(told(world)) == 1


def test_the_same_copy_put_in_its_place_again_is_told_again(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    old = world.copied(tmp_path / "old")
    ids = set()
    for number in range(2):
        shutil.rmtree(world.folder)
        shutil.copytree(old.folder, world.folder)
        world.time.s += 3_600.0
        world.run(source(committed=180))
        ids |= set(world.ask("SELECT alert_id FROM outbox WHERE rule = 'store_older'"))
        assert len(ids) == number + 1, "a receiver takes one that it has for the same"


def test_a_copy_that_is_behind_its_checkpoint_files_is_told(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    old = copied_database(world, tmp_path / "copies")
    older_file = world.files()[-1]
    shutil.copy(world.checkpoints / older_file, tmp_path / older_file)
    world.run(source(), polls=3)
    world.run(source(), polls=3)
    shutil.copy(old, world.store)
    shutil.copy(tmp_path / older_file, world.checkpoints / older_file)
    world.run(source())
    (text,) = told(world)
    assert "its checkpoint files go on behind it" in text
    assert world.ask("SELECT max(doubtful) FROM members") == [(300,)], "whatever was committed to Kafka"


def test_a_database_without_its_log_has_lost_commits_which_the_witness_tells(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    database = open_store(str(world.store), locked=True)
    witness_of(database)
    database.close()
    whole = world.copied(tmp_path / "whole")
    database = open_store(str(world.store), locked=True)
    witness_of(database)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('later', '1')")
    (world.store.with_name("tapewatch.db-wal")).unlink()
    with pytest.raises(StoreError, match=r"log tapewatch\.db-wal was deleted"), database.write():
        pass
    database.close()
    shutil.copy(whole.store, world.store)  # as a kill would have left it
    witnessed(world)
    world.run(source())
    (text,) = told(world)
    assert "its last 1 commits are gone" in text
    witnessed(world)
    world.run(source())
    assert len(told(world)) == 1


def test_a_store_in_the_place_of_another_is_told(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.folder.mkdir()
    witnessed(world)
    database = open_store(str(world.store), locked=True)
    witness_of(database)
    with database.write():
        pass
    database.close()
    world.store.unlink()
    witnessed(world)
    world.run(source())
    (text,) = told(world)
    assert "another store was in its place before" in text


def test_a_backup_taken_at_work_goes_on_elsewhere_with_the_same_ids(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=0.0)
    whole = World(tmp_path / "whole")
    whole.run(source())
    backup = tmp_path / "backup"

    def at_work(number: int) -> None:
        if number == 6:
            back_up(world.store, world.checkpoints, backup, 1_000.0, "test")

    running = source()
    running.on_poll = at_work
    world.run(running)
    assert world.alerts() == whole.alerts(), "nothing waits for it, and nothing is changed by it"
    manifest = verified(backup)
    (log,) = manifest.logs
    assert 0 < log.position < 300
    modes = {stat.S_IMODE(path.stat().st_mode) for path in backup.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700

    elsewhere = World(tmp_path / "elsewhere" / "store")
    elsewhere.folder.mkdir(parents=True)
    copy_back(backup, manifest, elsewhere.store, elsewhere.checkpoints, lambda _: None)
    elsewhere.run(source())
    assert elsewhere.alerts() == whole.alerts()
    assert elsewhere.dead() == whole.dead()


def test_a_backup_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=3)
    backup = tmp_path / "backup"
    back_up(world.store, world.checkpoints, backup, 1_000.0, "test")
    with pytest.raises(BackupError, match="is not empty"):
        back_up(world.store, world.checkpoints, backup, 1_000.0, "test")
    file = next((backup / "checkpoints").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupError, match="checksum differs"):
        verified(backup)
    file.unlink()
    with pytest.raises(BackupError, match="the backup is not whole"):
        verified(backup)
    manifest = json.loads((backup / MANIFEST).read_text())
    manifest["files"].insert(0, {**manifest["files"][0], "path": "../../etc/passwd"})
    (backup / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match="no file of a backup"):
        verified(backup)
    (backup / MANIFEST).unlink()
    with pytest.raises(BackupError, match="is no backup, or an unfinished one"):
        verified(backup)


def test_nothing_is_backed_up_through_a_link(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(TapewatchError, match="symbolic link"):
        back_up(world.store, world.checkpoints, tmp_path / "link", 1_000.0, "test")
    assert not list((tmp_path / "target").iterdir())


def backed_up(world: World, folder: Path) -> Path:
    back_up(world.store, world.checkpoints, folder, 1_000.0, "test")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_restore_that_fails_leaves_the_store_that_is_there_as_it_was(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    backup = backed_up(world, tmp_path / "backup")
    world.run(source(), polls=4)
    before = contents(world.folder)

    def fail(copy: Path) -> None:
        copy.with_name(copy.name + "-wal").write_bytes(b"of a copy that was cut short")
        raise BackupError("cannot be used")

    with pytest.raises(BackupError, match="cannot be used"):
        copy_back(backup, verified(backup), world.store, world.checkpoints, fail)
    assert contents(world.folder) == before
    huge = dataclasses.replace(verified(backup), files=[BackedUpFile("tapewatch.db", 1 << 60, "")])
    with pytest.raises(BackupError, match="MiB free and the backup takes"):
        copy_back(backup, huge, world.store, world.checkpoints, lambda _: None)
    assert contents(world.folder) == before


def test_what_a_killed_restore_has_left_goes_into_no_other(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    backup = backed_up(world, tmp_path / "backup")
    before = contents(world.folder)
    for name in (".restoring", ".restoring-wal", ".restoring-journal"):
        world.store.with_name(world.store.name + name).write_bytes(b"x" * 4096)
    left = world.checkpoints.with_name("checkpoints.restoring")
    left.mkdir()
    (left / "task9-1").write_bytes(b"x")
    copy_back(backup, verified(backup), world.store, world.checkpoints, lambda _: None)
    assert contents(world.checkpoints) == contents(backup / "checkpoints")
    assert contents(world.folder).keys() <= before.keys()
    world.run(source())


def test_an_older_copy_beside_the_log_of_another_file_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    witnessed(world)
    old = copied_database(world, tmp_path / "copies")
    database = open_store(str(world.store), locked=True)
    witness_of(database)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('later', '1')")
    killed = Path(shutil.copytree(world.folder, tmp_path / "killed"))
    database.close()
    moved = Path(shutil.copytree(killed, tmp_path / "moved"))
    open_store(str(moved / "tapewatch.db")).close()  # with all of its files it is whole
    world.store.write_bytes(old.read_bytes())  # over the file that was there, its log stays
    log = Path(shutil.copy(killed / "tapewatch.db-wal", world.store.with_name("tapewatch.db-wal")))
    with pytest.raises(StoreError, match=r"belongs to another file.*tapewatch\.db-shm away"):
        open_store(str(world.store))
    log.unlink()
    witnessed(world)
    world.run(source())
    (text,) = told(world)
    assert "its last 1 commits are gone" in text


def test_a_store_of_an_older_version_is_backed_up_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent.parent / "store" / "version_1.sql").read_text())
    make_backup(str(path), tmp_path / "backup")
    for each in (path, tmp_path / "backup" / "tapewatch.db"):
        with closing(sqlite3.connect(each)) as connection:
            version = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            assert version == ("1",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("created_at", 1e300), ("created_at", "now"), ("logs", [{}]), ("store", 1), ("files", [])],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, name: str, value: object) -> None:
    found = {"format": 1, "created_at": 1.0, "store": "a", "code_version": "b", "logs": [], "files": []}
    (tmp_path / MANIFEST).write_text(json.dumps({**found, name: value}))
    with pytest.raises(BackupError, match="cannot be read"):
        verified(tmp_path)


def test_a_witness_that_is_cut_while_it_runs_does_not_end_it(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    witness = path.with_name("tapewatch.db.witness")
    witness.touch(0o644)
    database = open_store(str(path), locked=True)
    witness_of(database)
    assert stat.S_IMODE(witness.stat().st_mode) == 0o600
    os.truncate(witness, 0)
    with database.write():
        pass
    database.close()
    assert witness.stat().st_size == 64
