"""Backups of a store: the database and the checkpoint files that belong to it, as of one moment."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from streamer.errors import TapewatchError
from streamer.messages.journal_entries import JournalEntry, reach
from streamer.store.private_files import make_private_folder, open_private, refuse_link

MANIFEST: Final = "manifest.json"
DATABASE: Final = "tapewatch.db"
CHECKPOINTS: Final = "checkpoints"

_FORMAT = 1
_TRIES = 20  # a checkpoint may be registered while the files are being opened
_PAGES_AT_ONCE = 256
_REST_S = 0.001  # between two steps, so that what runs beside it has the disk
_CHUNK = 1 << 20
_MIB = 1 << 20
_ASIDE = "beside"
_BESIDE = ("-wal", "-shm", "-journal")


class BackupError(TapewatchError):
    """A backup cannot be made or used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BackedUpFile:
    """A file of a backup: its path in it, its size in bytes, and its checksum."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackedUpLog:
    """A log as the backup has it: one past the last offset read."""

    topic: str
    partition: int
    incarnation: str
    position: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Parameters
    ----------
    created_at
        Wall-clock seconds.
    store
        The path of the store it was made of.
    code_version
        What wrote the store.
    logs
        How far each was read.
    files
        All files but this one.
    """

    created_at: float
    store: str
    code_version: str
    logs: Sequence[BackedUpLog]
    files: Sequence[BackedUpFile]

    def to_json(self) -> bytes:
        """As it stands in the file."""
        return (json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a backup.

        Raises
        ------
        BackupError
            When there is none, or one that cannot be read.
        """
        path = folder / MANIFEST
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            if found.pop("format") != _FORMAT:
                raise BackupError(f"{path} was written by a newer tapewatch: restore it with that one")
            logs = [BackedUpLog(**each) for each in found.pop("logs")]
            files = [BackedUpFile(**each) for each in found.pop("files")]
            return _of_right_types(cls(**found, logs=logs, files=files))
        except FileNotFoundError as error:
            raise BackupError(f"{folder} is no backup, or an unfinished one: it has no {MANIFEST}") from error
        except (OSError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error


def _of_right_types(manifest: Manifest) -> Manifest:
    """The manifest; raises `ValueError` where a value is none that a backup writes."""
    datetime.fromtimestamp(manifest.created_at, UTC)  # raises OverflowError, OSError or ValueError
    wanted: list[tuple[object, type]] = [(manifest.store, str), (manifest.code_version, str)]
    for log in manifest.logs:
        wanted += [(log.topic, str), (log.partition, int), (log.incarnation, str), (log.position, int)]
    for file in manifest.files:
        wanted += [(file.path, str), (file.size, int), (file.sha256, str)]
    for value, kind in wanted:
        if type(value) is not kind:
            raise ValueError(f"{value!r} stands where it must be of type {kind.__name__}")
    if DATABASE not in [file.path for file in manifest.files]:
        raise ValueError(f"it does not name {DATABASE}")
    return manifest


def back_up(store: Path, checkpoints: Path, folder: Path, now: float, code_version: str) -> Manifest:
    """Copy a store as it is at one moment; a daemon may run on it, and no commit of it waits.

    Parameters
    ----------
    store, checkpoints
        The database, and the folder of its checkpoint files.
    folder
        Where the backup goes: a folder that does not exist yet, or an empty one.
    now
        Wall-clock seconds.
    code_version
        What writes it.

    Raises
    ------
    BackupError
        When the folder is not empty, or cannot be written.
    """
    _claim(folder)
    try:
        logs, files = _copied(store, checkpoints, folder)
        manifest = Manifest(now, str(store), code_version, logs, files)
        _write(folder / MANIFEST, [manifest.to_json()])
        _sync_folder(folder)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"cannot write the backup {folder}: {error}") from error
    return manifest


def verified(folder: Path) -> Manifest:
    """The manifest of a backup all of whose files are as they were written.

    Raises
    ------
    BackupError
        For the first file that is missing or differs.
    """
    manifest = Manifest.read(folder)
    for file in manifest.files:
        _require_within(file.path)
        path = folder / file.path
        try:
            refuse_link(path)
            with path.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}; the backup is not whole") from error
        if digest != file.sha256:
            raise BackupError(f"{path} is not what was written (checksum differs); use another backup")
    return manifest


def copy_back(
    folder: Path, manifest: Manifest, store: Path, checkpoints: Path, prepare: Callable[[Path], None]
) -> None:
    """Put a verified backup in the place of a store; the database comes last, in one step.

    Whatever fails before that leaves the store that is there as it was.

    Parameters
    ----------
    folder, manifest
        The backup.
    store, checkpoints
        The database, and the folder of its checkpoint files.
    prepare
        Given the copied database before it gets its place; it raises where that cannot be used.

    Raises
    ------
    BackupError
        When it cannot be written.
    """
    new, folder_new = (path.with_name(path.name + ".restoring") for path in (store, checkpoints))
    folder_old = checkpoints.with_name(checkpoints.name + ".replaced")
    try:
        _put_back(store, checkpoints, folder_old)  # what an earlier one that was killed has left
        _remove_copies(new, folder_new)
        _require_room(manifest, store)
        make_private_folder(folder_new)
        for file in manifest.files:
            target = new if file.path == DATABASE else folder_new / Path(file.path).name
            copied = _copy_file(folder / file.path, target)
            if copied[1] != file.sha256:
                raise BackupError(f"{target} could not be written as it was in the backup: check the disk")
        _sync_folder(folder_new)
        prepare(new)
        if checkpoints.exists():
            checkpoints.rename(folder_old)
        else:
            make_private_folder(folder_old)
        folder_new.rename(checkpoints)
        for end in (*_BESIDE, ".witness"):  # of the store that was there: not of this one
            with suppress(FileNotFoundError):
                store.with_name(store.name + end).rename(folder_old / (_ASIDE + end))
        new.replace(store)
        _sync_folder(store.parent)
        shutil.rmtree(folder_old, ignore_errors=True)
    except OSError as error:
        raise BackupError(f"cannot restore to {store}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            _put_back(store, checkpoints, folder_old)
            _remove_copies(new, folder_new)


def _put_back(store: Path, checkpoints: Path, folder_old: Path) -> None:
    """Undo a swap of folders whose database has not come; where it has, its new folder stays."""
    if not folder_old.exists():
        return
    if store.with_name(store.name + ".restoring").exists() or not checkpoints.exists():
        for path in folder_old.glob(_ASIDE + "*"):
            path.rename(store.with_name(store.name + path.name.removeprefix(_ASIDE)))
        if checkpoints.exists():
            shutil.rmtree(checkpoints)
        folder_old.rename(checkpoints)
    else:
        shutil.rmtree(folder_old)


def _remove_copies(new: Path, folder_new: Path) -> None:
    for path in (new, *(new.with_name(new.name + end) for end in _BESIDE)):
        path.unlink(missing_ok=True)
    if folder_new.is_symlink():
        folder_new.unlink()
    elif folder_new.exists():
        shutil.rmtree(folder_new)


def _require_room(manifest: Manifest, store: Path) -> None:
    needed, free = sum(file.size for file in manifest.files), shutil.disk_usage(store.parent).free
    if needed > free:
        raise BackupError(
            f"{store.parent} has {free / _MIB:,.0f} MiB free and the backup takes {needed / _MIB:,.0f} MiB: "
            "make room; the store that is there is as it was"
        )


def _claim(folder: Path) -> None:
    try:
        make_private_folder(folder)
        if any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty: name a folder that does not exist yet")
        make_private_folder(folder / CHECKPOINTS)
    except OSError as error:
        raise BackupError(f"cannot write the backup {folder}: {error.strerror or error}") from error


def _copied(store: Path, checkpoints: Path, folder: Path) -> tuple[list[BackedUpLog], list[BackedUpFile]]:
    for _ in range(_TRIES):
        with ExitStack() as stack:
            source = stack.enter_context(_reading(store))
            before = _registered(source)
            opened = _open_all(stack, checkpoints)
            missing = _needed(source) - opened.keys()
            with _reading(store) as later:
                if _registered(later) != before:
                    continue  # a checkpoint came in between, and others may have been deleted for it
            if missing:
                raise BackupError(
                    f"checkpoint {checkpoints / min(missing)} is missing: nothing was backed up"
                )
            logs = _logs(source)
            size, sha256 = _copy_database(source, folder / DATABASE)
            files = [BackedUpFile(DATABASE, size, sha256)]
            for name, descriptor in opened.items():
                size, sha256 = _copy_file(os.dup(descriptor), folder / CHECKPOINTS / name)
                files.append(BackedUpFile(f"{CHECKPOINTS}/{name}", size, sha256))
            _sync_folder(folder / CHECKPOINTS)
            return logs, files
    raise BackupError("checkpoints are taken faster than they can be opened: raise checkpoint.every")


@contextmanager
def _reading(store: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the database as of now, whatever is written meanwhile."""
    with closing(sqlite3.connect(store, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM meta").fetchone()
        yield connection


_MEMBERS = """
    SELECT m.task_id, m.topic, m.partition, m.incarnation, m.position, (
        SELECT c.positions FROM checkpoints AS c WHERE c.task_id = m.task_id ORDER BY c.seq DESC LIMIT 1
    )
    FROM members AS m JOIN tasks AS t ON t.id = m.task_id
    WHERE t.ended_at IS NULL ORDER BY m.task_id, m.place
"""
_SPANS = """
    SELECT seq, kind, topic, partition, first, last, data FROM journal
    WHERE task_id = ? AND kind IN ('batch', 'gap') ORDER BY seq
"""


def _logs(connection: sqlite3.Connection) -> list[BackedUpLog]:
    """How far each partition was read, in a store of this version or of an older one."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "members" not in tables:
        return [BackedUpLog(*row) for row in connection.execute(_reached_by(connection))]
    logs: list[BackedUpLog] = []
    for task_id, members in groupby(connection.execute(_MEMBERS).fetchall(), key=itemgetter(0)):
        rows = list(members)
        kept = json.loads(rows[0][5] or "[]")
        positions = [*kept, *(row[4] for row in rows[len(kept) :])]
        entries = []
        for seq, kind, topic, partition, first, last, data in connection.execute(_SPANS, (task_id,)):
            entries.append(JournalEntry(seq, kind, topic, partition, first, last, data=data or ""))
        for row, reached in zip(rows, reach(entries, positions), strict=True):
            _, topic, partition, incarnation, *_ = row
            logs.append(BackedUpLog(topic, partition, incarnation, reached))
    return sorted(logs, key=lambda log: (log.topic, log.partition))


_REACHED = """
    SELECT topic, partition, incarnation, max(
        position,
        coalesce((SELECT max(c.position) FROM checkpoints AS c WHERE c.task_id = t.id), 0),
        coalesce((
            SELECT max(j.last) + 1 FROM journal AS j WHERE j.task_id = t.id AND j.kind IN ('batch', 'gap')
        ), 0)
    )
    FROM tasks AS t WHERE ended_at IS NULL ORDER BY topic, partition
"""


def _reached_by(connection: sqlite3.Connection) -> str:
    """The query for a store of this version, or of an older one, which knows no ended logs."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(tasks)")}
    return _REACHED if "ended_at" in columns else _REACHED.replace("WHERE ended_at IS NULL", "")


def _registered(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT task_id, seq, file, sha256 FROM checkpoints ORDER BY 1, 2").fetchall()


def _needed(connection: sqlite3.Connection) -> set[str]:
    """The checkpoint files that the database names."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(checkpoints)")}
    names = {row[0] for row in connection.execute("SELECT file FROM checkpoints")}
    if "base" in columns:
        names |= {row[0] for row in connection.execute("SELECT base FROM checkpoints WHERE base <> ''")}
    return names


def _open_all(stack: ExitStack, checkpoints: Path) -> dict[str, int]:
    """Descriptors of all checkpoint files: what is open can still be read when it is deleted."""
    _raise_open_limit()
    opened: dict[str, int] = {}
    for path in sorted(checkpoints.glob("task*")):
        if path.suffix == ".tmp":
            continue
        try:
            opened[path.name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # deleted meanwhile; if it belongs to the database, all of it is tried again
        stack.callback(os.close, opened[path.name])
    return opened


def _raise_open_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _copy_database(source: sqlite3.Connection, path: Path) -> tuple[int, str]:
    os.close(open_private(path, os.O_RDWR | os.O_EXCL))
    with closing(sqlite3.connect(path)) as target:
        source.backup(target, pages=_PAGES_AT_ONCE, progress=lambda *_: time.sleep(_REST_S), sleep=_REST_S)
        target.execute("PRAGMA journal_mode=DELETE").fetchone()  # one file, without a log beside it
        if target.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise BackupError("the database is damaged: restore an older backup, or move it away")
    with path.open("rb") as copied:
        os.fsync(copied.fileno())
        return path.stat().st_size, hashlib.file_digest(copied, "sha256").hexdigest()


def _copy_file(source: Path | int, target: Path) -> tuple[int, str]:
    with open(source, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        return _write(target, iter(partial(file.read, _CHUNK), b""))


def _write(path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write a file of our own, synced piece by piece; its size and checksum."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as out:
        for piece in pieces:
            out.write(piece)
            out.flush()
            os.fsync(out.fileno())  # bit by bit, so that a commit never waits for all of it
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _require_within(path: str) -> None:
    parts = Path(path).parts
    if path != DATABASE and (len(parts) != 2 or parts[0] != CHECKPOINTS or parts[1] in ("..", ".")):
        raise BackupError(f"the manifest names {path!r}, which is no file of a backup")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
