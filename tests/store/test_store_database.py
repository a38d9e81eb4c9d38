"""Opening, versions and transactions of the store."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, select

from streamer.store.database import MEMORY, Database, StoreError, insert_absent, open_store
from streamer.store.migrations import migrate
from streamer.store.tables import SCHEMA_VERSION, configs, meta, metadata

CONFIG = {"hash": "c1", "text": "{}", "created_at": 0.0}


def pragma(store: Database, name: str) -> object:
    with store.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_a_new_store_has_every_table_and_its_version(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    store = open_store(str(path))
    assert store.path == path
    with store.read() as connection:
        assert set(inspect(connection).get_table_names()) == set(metadata.tables)
        assert connection.execute(select(meta.c.value)).scalar() == str(SCHEMA_VERSION)
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "busy_timeout") == 10_000
    store.close()


@pytest.mark.parametrize("prefix", ["", "sqlite:///"])
def test_what_was_written_is_there_after_opening_again(tmp_path: Path, prefix: str) -> None:
    url = f"{prefix}{tmp_path / 'tapewatch.db'}"
    store = open_store(url)
    with store.write() as connection:
        connection.execute(configs.insert().values(**CONFIG))
    store.close()
    again = open_store(url, create=False)
    with again.read() as connection:
        assert connection.execute(select(configs.c.hash)).scalar() == "c1"
    again.close()


def test_a_transaction_that_fails_leaves_nothing() -> None:
    store = open_store(MEMORY)

    def fails() -> None:
        with store.write() as connection:
            connection.execute(configs.insert().values(**CONFIG))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with store.read() as connection:
        assert connection.execute(select(configs.c.hash)).all() == []


def test_only_what_may_wait_for_the_disk_does(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "tapewatch.db"))
    seen = []
    for synced in (True, False, False, True, False, True):
        with store.write(synced=synced) as connection:
            seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    with store.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert seen == [2, 1, 1, 2, 1, 2]
    store.close()


def test_what_does_not_wait_for_the_disk_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    code = (
        "import os, sys\n"
        "from streamer.store.database import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "with store.write(synced=False) as connection:\n"
        "    connection.exec_driver_sql("
        "\"INSERT INTO configs (hash, text, created_at) VALUES ('c1', '{}', 0.0)\")\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    store = open_store(str(path))
    with store.read() as connection:
        assert connection.execute(select(configs.c.hash)).scalars().all() == ["c1"]
    store.close()


def test_insert_absent_counts_what_is_new() -> None:
    store = open_store(MEMORY)
    with store.write() as connection:
        assert insert_absent(connection, configs, []) == 0
        assert insert_absent(connection, configs, [CONFIG, {**CONFIG, "hash": "c2"}]) == 2
        assert insert_absent(connection, configs, [{**CONFIG, "text": "x"}, {**CONFIG, "hash": "c3"}]) == 1
        assert connection.execute(select(configs.c.text).where(configs.c.hash == "c1")).scalar() == "{}"


@pytest.mark.parametrize("url", [MEMORY, "tapewatch.db"])
def test_many_threads_write_at_once_and_nothing_is_lost(tmp_path: Path, url: str) -> None:
    store = open_store(url if url == MEMORY else str(tmp_path / url))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(25):
                with store.write() as connection:
                    connection.execute(configs.insert().values(**{**CONFIG, "hash": f"{number}-{n}"}))
                with store.read() as connection:
                    connection.execute(select(configs.c.hash)).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with store.read() as connection:
        assert len(connection.execute(select(configs.c.hash)).all()) == 150
    store.close()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    store = open_store(str(path))
    with store.write() as connection:
        connection.execute(meta.update().values(value=str(SCHEMA_VERSION + 1)))
    store.close()
    with pytest.raises(StoreError, match=f"has version {SCHEMA_VERSION + 1} and this tapewatch knows"):
        open_store(str(path))


def test_steps_lead_from_an_old_version_to_the_target(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "tapewatch.db"))

    def first(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE added (x INTEGER)")

    def second(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE added ADD COLUMN y INTEGER")

    with store.write() as connection:
        migrate(connection, {SCHEMA_VERSION: first, SCHEMA_VERSION + 1: second}, target=SCHEMA_VERSION + 2)
    with store.read() as connection:
        assert [column["name"] for column in inspect(connection).get_columns("added")] == ["x", "y"]
        assert connection.execute(select(meta.c.value)).scalar() == str(SCHEMA_VERSION + 2)
    store.close()


def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "tapewatch.db"))

    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE added (x INTEGER)")
        connection.exec_driver_sql("no sql at all")

    with pytest.raises(StoreError), store.write() as connection:
        migrate(connection, {SCHEMA_VERSION: broken}, target=SCHEMA_VERSION + 1)
    with store.read() as connection:
        assert "added" not in inspect(connection).get_table_names()
        assert connection.execute(select(meta.c.value)).scalar() == str(SCHEMA_VERSION)
    store.close()


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE meta (something TEXT)")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_text("notes"), "the file is not a store; name another"),
        (os.mkfifo, "it is no regular file"),
        (other_database, "it is a database of another program; name another file in `store`"),
        (lambda path: path.mkdir(), "it is a folder; name a file in it"),
    ],
)
def test_files_that_are_no_store(tmp_path: Path, make: object, problem: str) -> None:
    path = tmp_path / "tapewatch.db"
    make(path)
    path.chmod(0o755)
    before = path.stat()
    with pytest.raises(StoreError, match=problem) as raised:
        open_store(str(path), locked=True)
    assert (path.stat().st_mode, path.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [path], "somebody else's file is left alone, with nothing beside it"
    assert raised.value.exit_code == 2, "the configuration is wrong, and starting again does not help"
    assert str(raised.value).startswith(f"store {path}: ")
    assert "\n" not in str(raised.value)


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.db"
    store = open_store(str(path))
    with store.write() as connection:
        connection.execute(configs.insert().values(**{**CONFIG, "text": "x" * 50_000}))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match="it is damaged; restore a copy"):
        open_store(str(path))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_taken_away_while_in_use_is_told(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "t.db"
    store = open_store(str(path))
    for file in tmp_path.glob("t.db*"):
        file.rename(file.with_name("gone" + file.name.removeprefix("t")))
    if replaced:
        open_store(str(path)).close()
    with pytest.raises(StoreError, match="deleted, moved or replaced"), store.write():
        pass
    store.close()


def test_places_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no folder .*gone; make it"):
        open_store(str(tmp_path / "gone" / "tapewatch.db"))
    with pytest.raises(StoreError, match="there is no such file; run tapewatch first"):
        open_store(str(tmp_path / "tapewatch.db"), create=False)
    with pytest.raises(StoreError, match="postgresql is not supported in this version"):
        open_store("postgresql://localhost/tapewatch")
    for url in ("", "sqlite:///", ":memory:"):
        with pytest.raises(StoreError, match="give the path of a file"):
            open_store(url)


def test_a_store_that_another_program_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tapewatch.db"
    open_store(str(path)).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("streamer.store.database._BUSY_TIMEOUT_S", 0.1)
    with pytest.raises(StoreError, match="another program holds it; stop that one"):
        open_store(str(path))
    holder.close()


OPEN = """
import os, sys
from streamer.errors import TapewatchError
from streamer.store.database import MEMORY, open_store
open_store(MEMORY).close()
if os.getuid() == 0:  # root may write anything
    os.setuid(65534)
try:
    open_store(sys.argv[1])
except TapewatchError as error:
    print(error)
"""


@pytest.mark.parametrize("exists", [True, False])
def test_a_store_that_may_not_be_written_is_told(exists: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tapewatch.db"
        if exists:
            open_store(str(path)).close()
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        result = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
            check=False,
        )
        Path(folder).chmod(0o755)
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"store {path}: it ")
    assert "may not be written to" in line or "cannot be opened; check" in line
