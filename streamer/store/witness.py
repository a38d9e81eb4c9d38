"""A small file beside the store that knows how much was committed, so that a store that lost some is noticed.

A write-ahead log that somebody deletes, or a copy of the database from yesterday, leaves a database that is
sound and too old. The daemon counts its commits in the database and, once each is on disk, in this file. A
store that is moved without it goes by what Kafka knows. It also knows which file the database is: a log that
another file has left would be folded into it, and damage it.
"""

from __future__ import annotations

import os
import secrets
import uuid
import weakref
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from streamer.errors import TapewatchError
from streamer.store.commits import upsert
from streamer.store.database import Database, insert_absent
from streamer.store.free_pages import flush_log
from streamer.store.own_log import MAGIC, MAGIC_AT, MARKS, SIZE, mark_in, numbers_of, witness_path
from streamer.store.private_files import make_private, open_private
from streamer.store.tables import meta

_COUNT = 3
_ID = slice(1, 3)
_ID_KEY, _COUNT_KEY = "store_id", "commits"


@dataclass(frozen=True, slots=True)
class Lost:
    """What a witness knows of a store that the store does not.

    Parameters
    ----------
    store_id
        The store that the witness saw.
    same
        False where the database is another store.
    commits
        How many commits the witness has seen.
    missing
        How many of them the database does not have; those of another store are all missing.
    """

    store_id: str
    same: bool
    commits: int
    missing: int


class Witness:
    """The witness of a running daemon's store.

    Parameters
    ----------
    database
        The open store, held by this daemon.

    Raises
    ------
    TapewatchError
        When the file cannot be written.
    """

    def __init__(self, database: Database) -> None:
        if database.path is None:
            raise TapewatchError("a store in memory has no witness")
        self._database = database
        path, self._store = witness_path(database.path), database.path
        with database.write() as connection:
            self.store_id = _store_id(connection)
            self._count = _counted(connection)
        try:
            make_private(path)
            self._descriptor = open_private(path, os.O_RDWR)
            weakref.finalize(self, os.close, self._descriptor)
            self._numbers = numbers_of(os.pread(self._descriptor, SIZE, 0))
        except OSError as error:
            raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
        self._path = path

    @property
    def lost(self) -> Lost | None:
        """What the database lacks; None where it has all that the witness saw, or there was no witness."""
        numbers = self._numbers
        if numbers[MAGIC_AT] != MAGIC:
            return None
        seen, commits = uuid.UUID(bytes=numbers[_ID].tobytes()).hex, int(numbers[_COUNT])
        same = seen == self.store_id
        missing = commits - self._count if same else commits
        return Lost(seen, same, commits, missing) if missing > 0 else None

    def begin(self) -> None:
        """Witness this database from now on."""
        self._numbers[_ID] = np.frombuffer(uuid.UUID(self.store_id).bytes, np.int64)
        self._numbers[MAGIC_AT] = MAGIC
        self._numbers[_COUNT] = self._count
        self._mark()
        self._database.count_commits(_count_one, self._saw)

    def _mark(self) -> None:
        """Give the file a new mark; where a reader keeps an earlier one in the log, that stays."""
        flush_log(self._database)
        before = mark_in(self._store)
        with self._database.read() as connection:
            last = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        mark = last if before != last else _new_mark()
        self._may_have(*((0, 0) if before is None else (before, mark)))
        with self._database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA user_version = {mark}")
        flush_log(self._database)
        if mark_in(self._store) == mark:
            self._may_have(mark, mark)

    def _may_have(self, *marks: int) -> None:
        """What the file may have from now on; on disk before it can."""
        self._numbers[MARKS] = marks
        self._write(synced=True)

    def _saw(self, count: int) -> None:
        self._numbers[_COUNT] = count
        self._write()

    def _write(self, *, synced: bool = False) -> None:
        try:
            os.pwrite(self._descriptor, self._numbers.tobytes(), 0)
            if synced:
                os.fsync(self._descriptor)
        except OSError as error:
            raise TapewatchError(f"cannot write {self._path}: {error.strerror}") from error


def _new_mark() -> int:
    return secrets.randbelow((1 << 31) - 1) + 1


def store_id_of(connection: Connection) -> str:
    """The id that a store got when a daemon first ran on it, empty before."""
    return str(connection.execute(select(meta.c.value).where(meta.c.key == _ID_KEY)).scalar() or "")


def _store_id(connection: Connection) -> str:
    insert_absent(connection, meta, [{"key": _ID_KEY, "value": uuid.uuid4().hex}])
    return store_id_of(connection)


def _counted(connection: Connection) -> int:
    known = connection.execute(select(meta.c.value).where(meta.c.key == _COUNT_KEY)).scalar()
    if known is None:
        upsert(connection, meta, {"key": _COUNT_KEY, "value": "0"})
    return int(known or 0)


def _count_one(connection: Connection) -> int:
    """Count this commit, in its own transaction."""
    return int(
        connection.exec_driver_sql(
            "UPDATE meta SET value = value + 1 WHERE key = ? RETURNING value", (_COUNT_KEY,)
        ).scalar_one()
    )
