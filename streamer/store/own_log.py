"""Refuses a database beside which another one's write-ahead log lies: SQLite would fold that into it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from streamer.errors import TapewatchError
from streamer.store.private_files import open_private

SIZE: Final = 64
"""Bytes of a witness: eight numbers."""

MAGIC: Final = 0x7461706577697432
"""What the first of them is."""

MAGIC_AT: Final = 0
"""Where that stands."""

MARKS: Final = slice(4, 6)
"""Where the marks stand that the database's own file may have, as of `mark_in`; both 0 where any will do."""


def witness_path(store: Path) -> Path:
    """The witness's file.

    Examples
    --------
    >>> witness_path(Path("tapewatch.db")).name
    'tapewatch.db.witness'
    """
    return store.with_name(store.name + ".witness")


def numbers_of(data: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A witness's numbers; what a file that was cut lacks is 0."""
    return np.frombuffer(bytearray(data[:SIZE].ljust(SIZE, b"\0")), np.int64)


def mark_in(store: Path) -> int | None:
    """The mark in the header of the database's own file, whatever the log beside it says; None without one.

    The header is all that can be read at any moment: where carrying the log over was cut short, by a kill or
    a full disk, the file has some of its pages from before and some from after, and no table can be read.
    SQLite reads it, since closing the file would give up the locks that this process has on it.
    """
    try:
        if not store.stat().st_size:
            return None
        with closing(sqlite3.connect(f"file:{quote(str(store))}?immutable=1", uri=True)) as connection:
            connection.execute("PRAGMA writable_schema=ON").close()  # the file may be shorter than it says
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except (OSError, sqlite3.Error):
        return None


def require_own_log(store: Path) -> None:
    """Refuse a database that was put in the place of another whose write-ahead log is still there.

    Each start of a daemon gives the file a new mark. The witness has it before the file does, beside the one
    from before, so the file has one of the two at any moment.
    A store that was moved with all of its files is still whole. One that was put there without a log is
    another from now on: whatever is in a log beside it later is its own.

    Raises
    ------
    TapewatchError
        Before SQLite opens it, which would fold that log into it.
    """
    log, witness = store.with_name(store.name + "-wal"), witness_path(store)
    try:
        has_log = log.exists() and log.stat().st_size > 0
        numbers = numbers_of(witness.read_bytes())
    except OSError:
        return
    known = numbers[MARKS].tolist()
    if numbers[MAGIC_AT] != MAGIC or not any(known) or mark_in(store) in known:
        return
    if has_log:
        raise TapewatchError(
            f"the write-ahead log {log.name} belongs to another file than the one that is there now, "
            "and would damage it. Put the one that was there back; or, to start with what this one holds, "
            f"move {log.name} and {store.name}-shm away; or use `tapewatch restore`, which does that"
        )
    with suppress(OSError):  # then the store can hardly be written to either
        _forget_marks(witness)


def _forget_marks(witness: Path) -> None:
    descriptor = open_private(witness, os.O_WRONLY)
    try:
        os.pwrite(descriptor, bytes(16), 8 * MARKS.start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_restored(store: Path) -> None:
    """Refuse a store in the midst of which a restore was cut short.

    Raises
    ------
    TapewatchError
        It names the remedy.
    """
    aside, new = (store.with_name(store.name + end) for end in (".checkpoints.replaced", ".restoring"))
    if aside.exists() and new.exists():
        raise TapewatchError("a restore of it was cut short: give `tapewatch restore` once more")
