"""The guard against another file's write-ahead log refuses that, and nothing that a fault can leave."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from streamer.app.older_store import witness_of
from streamer.store.database import Database, StoreError, open_store
from streamer.store.free_pages import flush_log, rewrite

ENDS = ("", "-wal", ".witness")
PAGE = 4_096


@contextmanager
def daemon_on(store: Path) -> Iterator[Database]:
    """The store as a daemon has it."""
    database = open_store(str(store), locked=True)
    try:
        witness_of(database)
        yield database
    finally:
        database.close()


def put(database: Database, first: int, end: int) -> None:
    with database.write() as connection:
        for number in range(first, end):
            connection.exec_driver_sql("INSERT INTO meta VALUES (?, ?)", (f"n{number:05}", "x" * 200))


def numbers(database: Database) -> int:
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("SELECT count(*) FROM meta WHERE key = 'older'").scalar() == 0
        return int(
            connection.exec_driver_sql("SELECT count(*) FROM meta WHERE key GLOB 'n[0-9]*'").scalar_one()
        )


def left(store: Path) -> dict[str, bytes]:
    """What a kill at this moment would leave."""
    paths = {end: store.with_name(store.name + end) for end in ENDS}
    return {end: path.read_bytes() for end, path in paths.items() if path.exists()}


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for end, data in files.items():
        (folder / f"tapewatch.db{end}").write_bytes(data)
    return folder / "tapewatch.db"


def mixed(before: bytes, after: bytes, pages: int, *, first: bool) -> bytes:
    """The file once so many of the pages that differ are written, from the first or the last on."""
    file = bytearray(before)
    places = [at for at in range(0, len(after), PAGE) if before[at : at + PAGE] != after[at : at + PAGE]]
    for at in places[:pages] if first else places[len(places) - pages :]:
        file[at : at + PAGE] = after[at : at + PAGE].rjust(max(at - len(file), 0) + PAGE, b"\0")
    return bytes(file)


def grow(database: Database) -> None:
    put(database, 100, 400)


def shrink(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key GLOB 'n*[1-9]'")
        connection.exec_driver_sql("PRAGMA incremental_vacuum").close()


def new_table(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE decisions ADD COLUMN later TEXT")
        connection.exec_driver_sql("CREATE TABLE later AS SELECT * FROM meta")


def new_file(database: Database) -> None:
    with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("VACUUM")


@pytest.mark.parametrize("change", [grow, shrink, new_table, new_file])
def test_a_log_that_was_carried_over_in_part_is_its_own(
    change: Callable[[Database], None], tmp_path: Path
) -> None:
    """Killed or without power at any moment of it: whichever pages are written by then, the log has them."""
    store = tmp_path / "tapewatch.db"
    with daemon_on(store) as database:
        put(database, 0, 100)
        flush_log(database)
        change(database)
        killed, whole = left(store), numbers(database)
        flush_log(database)
        after = left(store)[""]
    differ = sum(killed[""][at : at + PAGE] != after[at : at + PAGE] for at in range(0, len(after), PAGE))
    assert differ > 3
    for pages in {*range(6), *range(6, differ, 5), differ}:
        for first in (True, False):
            files = {**killed, "": mixed(killed[""], after, pages, first=first)}
            with daemon_on(laid(tmp_path / "left", files)) as database:
                assert numbers(database) == whole


def in_child(work: Callable[[int], None], *, room: int) -> int:
    """Do the work in a process whose files cannot grow beyond this; the last that it told, by a pipe."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            work(writes)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads, "rb") as told:
        return int((told.read().split() or [b"0"])[-1])


def test_whichever_write_finds_no_room_the_next_start_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "tapewatch.db"
    with daemon_on(store) as database:
        put(database, 0, 100)
    made = left(store)

    def work(told: int) -> None:
        with daemon_on(store) as database:
            for number in range(100, 1_000, 50):
                put(database, number, number + 50)
                os.write(told, b"%d " % (number + 50))
                if number % 200 == 0:
                    flush_log(database)
            rewrite(database)

    ended = set()
    for room in range(PAGE, len(made[""]) + 150 * PAGE, 11 * PAGE + 500):
        store = laid(tmp_path / "left", made)
        committed = in_child(work, room=room)
        ended.add(committed)
        with daemon_on(store) as database:
            assert committed <= numbers(database) <= committed + 100
            put(database, 2_000, 2_001)
    assert len(ended) > 5


def test_a_start_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    store, kept, seen = tmp_path / "tapewatch.db", [], set()
    with daemon_on(store) as database:
        put(database, 0, 100)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if "/streamer/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            paths = [store.with_name(store.name + end) for end in ENDS]
            sign = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths if path.exists())
            if sign not in seen:
                seen.add(sign)
                kept.append(left(store))
        return trace

    def begin() -> None:
        with daemon_on(store):
            pass

    for _ in range(2):
        sys.settrace(trace)
        try:
            begin()
        finally:
            sys.settrace(None)
    assert len(kept) > 8
    for number, files in enumerate(kept):
        with daemon_on(laid(tmp_path / f"left{number}", files)) as database:
            assert numbers(database) == 100


def test_a_reader_that_keeps_the_log_from_being_carried_over_is_no_reason(tmp_path: Path) -> None:
    store = tmp_path / "tapewatch.db"
    with daemon_on(store) as database:
        put(database, 0, 10)
    with closing(sqlite3.connect(store)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        for start in range(1, 4):
            with daemon_on(store) as database:
                put(database, 10 * start, 10 * start + 10)
                with daemon_on(laid(tmp_path / f"left{start}", left(store))) as copy:
                    assert numbers(copy) == 10 * start + 10


def test_a_copy_of_before_this_start_is_refused_beside_its_log(tmp_path: Path) -> None:
    store = tmp_path / "tapewatch.db"
    with daemon_on(store) as database:
        put(database, 0, 100)
    old = left(store)[""]
    with daemon_on(store) as database:
        put(database, 100, 200)
        killed = left(store)
    with pytest.raises(StoreError, match="belongs to another file"):
        open_store(str(laid(tmp_path / "left", {**killed, "": old})), locked=True)
    with pytest.raises(StoreError, match="belongs to another file"):
        open_store(str(laid(tmp_path / "left", {**killed, "": b""})), locked=True)


@pytest.mark.parametrize("other", [True, False], ids=["another", "none"])
def test_a_store_put_in_its_place_without_a_log_may_be_killed_as_well(other: bool, tmp_path: Path) -> None:
    store = tmp_path / "tapewatch.db"
    with daemon_on(store) as database:
        put(database, 0, 100)
    old = left(store)[""]
    with daemon_on(store) as database:
        put(database, 100, 200)
    replaced = {**left(store), "": old}
    if not other:
        del replaced[""]
    here = laid(tmp_path / "left", replaced)
    database = open_store(str(here))  # by a command, which is killed
    put(database, 300, 301)
    killed = left(here)
    database.close()
    assert killed["-wal"]
    open_store(str(laid(tmp_path / "again", killed)), locked=True).close()
