"""Makes and restores backups of a store, for commands."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from streamer.errors import TapewatchError, UsageError
from streamer.messages.fold_version import code_version
from streamer.notify.clock import SystemClock
from streamer.store.backups import BackupError, Manifest, back_up, copy_back, verified
from streamer.store.database import open_store, store_path
from streamer.store.doubts import doubt_what_waits, set_older
from streamer.store.lock import only_daemon_of
from streamer.store.own_log import require_own_log, require_restored

_CHECKPOINTS = ".checkpoints"
_OWN = (
    *(_CHECKPOINTS + end for end in ("", ".replaced", ".restoring")),
    *("-wal", "-shm", "-journal", ".lock", ".witness", ".work", ".restoring"),
)
"""What the names of files and folders beside a store that belong to it end with, after the store's own."""


def make_backup(url: str, folder: Path) -> Manifest:
    """Back a store up, beside a running daemon or without one.

    Parameters
    ----------
    url
        The store.
    folder
        Where the backup goes.

    Raises
    ------
    TapewatchError
        When there is no store, or the backup cannot be written.
    """
    path = store_path(url)
    if path is None:
        raise TapewatchError("a store in memory cannot be backed up")
    if not path.exists():
        raise TapewatchError(f"store {path}: there is no such file; check `store`")
    _require_apart(folder, path)
    require_restored(path)
    require_own_log(path)
    checkpoints = path.with_name(path.name + _CHECKPOINTS)  # opening the store would migrate an older one
    return back_up(path, checkpoints, folder, SystemClock().now(), code_version())


def restore_backup(folder: Path, url: str, *, overwrite: bool) -> Manifest:
    """Put a backup in the place of a store, which then goes on where the backup was, with the same ids.

    What was sent since is not known to it: what waits, and what is detected again from records that were read
    since, counts as in doubt, so that receivers look for it before they send it.

    Parameters
    ----------
    folder
        The backup.
    url
        The store.
    overwrite
        Replace a store that is there.

    Raises
    ------
    TapewatchError
        When the backup is not whole, a daemon runs on the store, or there is one that may not be replaced.
    """
    path = store_path(url)
    if path is None:
        raise TapewatchError("a backup is restored to a file: name one in `store`")
    _require_apart(folder, path)
    with ExitStack() as held:
        held.enter_context(only_daemon_of(path))
        checkpoints = path.with_name(path.name + _CHECKPOINTS)
        if not overwrite and (path.exists() or any(checkpoints.glob("task*"))):
            raise BackupError(f"there is a store {path} already: give --overwrite to replace it for good")
        manifest = verified(folder)
        at = datetime.fromtimestamp(manifest.created_at, UTC)
        why = f"it was restored from a backup of {at:%Y-%m-%d %H:%M:%S} UTC"
        copy_back(folder, manifest, path, checkpoints, partial(_doubt, why=why))
    return manifest


def _require_apart(folder: Path, store: Path) -> None:
    """A backup within what belongs to a store would go with it, and one around it is no backup."""
    real = _resolved(folder)
    for own in (store, *(store.with_name(store.name + end) for end in _OWN)):
        there = _resolved(own)
        if real == there or there in real.parents:
            raise UsageError(f"{folder} is, or lies within, {own}, which belongs to the store: name another")
        if real in there.parents and own.name.endswith(_CHECKPOINTS):
            raise UsageError(f"{folder} has the store {store} in it: name a folder of its own")


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UsageError(f"{path} cannot be found: {error}") from error


def _doubt(copy: Path, why: str) -> None:
    database = open_store(str(copy), create=False, locked=True)
    try:
        with database.write() as connection:
            doubt_what_waits(connection)
            set_older(connection, why)
    finally:
        database.close()
