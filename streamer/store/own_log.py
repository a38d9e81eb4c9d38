"""Refuses a database beside which another one's write-ahead log lies: SQLite would fold that into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from streamer.errors import TapewatchError

SIZE: Final = 64
"""Bytes of a witness: eight numbers."""

MAGIC: Final = 0x7461706577697431
"""What the first of them is."""

MAGIC_AT: Final = 0
"""Where that stands."""

FILES: Final = slice(4, 7)
"""Where those stand that say which files the store's are."""


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


def files_of(store: Path) -> tuple[int, int, int]:
    """The device and inode of the database's file, and the inode of its write-ahead log; 0 without one."""
    status = store.stat()
    try:
        log = store.with_name(store.name + "-wal").stat().st_ino
    except FileNotFoundError:
        log = 0
    return status.st_dev, status.st_ino, log


def require_own_log(store: Path) -> None:
    """Refuse a database that was put in the place of another whose write-ahead log is still there.

    A store that was moved with all of its files is none: its log is another file too.

    Raises
    ------
    TapewatchError
        Before SQLite opens it, which would fold that log into it.
    """
    try:
        if not store.with_name(store.name + "-wal").stat().st_size:
            return
        numbers = numbers_of(witness_path(store).read_bytes())
        device, inode, log = files_of(store)
    except OSError:
        return
    known_device, known_inode, known_log = numbers[FILES].tolist()
    if numbers[MAGIC_AT] != MAGIC or not known_inode or log != known_log:
        return
    if (device, inode) != (known_device, known_inode):
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
