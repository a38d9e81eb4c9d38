"""Refuses a database beside which another one's write-ahead log lies: SQLite would fold that into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from streamer.errors import TapewatchError

SIZE: Final = 64
"""Bytes of a witness: eight numbers."""

MAGIC: Final = 0x7461706577697431
"""What the first of them is."""

MAGIC_AT: Final = 0
"""Where that stands."""

START: Final = slice(4, 6)
"""Where the id of the daemon's last start stands, 0 where it is not known."""

START_KEY: Final = "start"
"""Its key in `meta`."""


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


def start_in(store: Path) -> str:
    """The id of the last daemon's start that the database's file holds, whatever the log beside it says."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store))}?immutable=1", uri=True)) as connection:
            found = connection.execute("SELECT value FROM meta WHERE key = ?", (START_KEY,)).fetchone()
    except sqlite3.Error:
        return ""
    return str(found[0]) if found else ""


def require_own_log(store: Path) -> None:
    """Refuse a database that was put in the place of another whose write-ahead log is still there.

    Each start of a daemon is noted in the file itself before anything else is in the log, and in the witness.
    A store that was moved with all of its files is still whole.

    Raises
    ------
    TapewatchError
        Before SQLite opens it, which would fold that log into it.
    """
    try:
        if not store.with_name(store.name + "-wal").stat().st_size:
            return
        numbers = numbers_of(witness_path(store).read_bytes())
    except OSError:
        return
    known = numbers[START].tobytes()
    if numbers[MAGIC_AT] != MAGIC or not any(known):
        return
    if start_in(store) != known.hex():
        raise TapewatchError(
            f"the write-ahead log {store.name}-wal belongs to another file than the one that is there now, "
            "and would damage it. Put the one that was there back; or, to start with what this one holds, "
            f"move {store.name}-wal and {store.name}-shm away; or use `tapewatch restore`, which does that"
        )


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
