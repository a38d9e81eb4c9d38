"""A small file beside the store that knows how much was committed, so that a store that lost some is noticed.

A write-ahead log that somebody deletes, or a copy of the database from yesterday, leaves a database that is
sound and too old. The daemon counts its commits in the database and, once each is on disk, in this file. It
is mapped into memory, so that this costs no system call. A store that is moved without it goes by what Kafka
knows.
"""

from __future__ import annotations

import mmap
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select

from streamer.errors import TapewatchError
from streamer.store.commits import upsert
from streamer.store.database import Database, insert_absent
from streamer.store.private_files import open_private
from streamer.store.tables import meta

_SIZE = 64
_MAGIC = 0x7461706577697431
(_MAGIC_AT, _COUNT) = (0, 3)
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
        path = witness_path(database.path)
        with database.write() as connection:
            self.store_id = _store_id(connection)
            self._count = _counted(connection)
        try:
            descriptor = open_private(path, os.O_RDWR)
            try:
                os.ftruncate(descriptor, _SIZE)
                os.pwrite(descriptor, os.pread(descriptor, _SIZE, 0).ljust(_SIZE, b"\0"), 0)
                self._memory = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
        self._numbers = np.frombuffer(self._memory, np.int64, _SIZE // 8)

    @property
    def lost(self) -> Lost | None:
        """What the database lacks; None where it has all that the witness saw, or there was no witness."""
        numbers = self._numbers
        if numbers[_MAGIC_AT] != _MAGIC:
            return None
        seen, commits = uuid.UUID(bytes=numbers[_ID].tobytes()).hex, int(numbers[_COUNT])
        same = seen == self.store_id
        missing = commits - self._count if same else commits
        return Lost(seen, same, commits, missing) if missing > 0 else None

    def begin(self) -> None:
        """Witness this database from now on."""
        self._numbers[_ID] = np.frombuffer(uuid.UUID(self.store_id).bytes, np.int64)
        self._numbers[_COUNT] = self._count
        self._numbers[_MAGIC_AT] = _MAGIC
        self._database.count_commits(_count_one, self._saw)

    def _saw(self, count: int) -> None:
        self._numbers[_COUNT] = count


def witness_path(store: Path) -> Path:
    """The witness's file.

    Examples
    --------
    >>> witness_path(Path("tapewatch.db")).name
    'tapewatch.db.witness'
    """
    return store.with_name(store.name + ".witness")


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
