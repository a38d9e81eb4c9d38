"""The store's connection: SQLite in a file, or in memory for a replay."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool, StaticPool

from detectors.work_watch import is_watched, work_watch
from streamer.errors import TapewatchError, UsageError
from streamer.store.foreign_files import why_foreign
from streamer.store.lock import StoreHeldError, only_daemon_of
from streamer.store.migrations import is_older, migrate
from streamer.store.other_folds import require_drained
from streamer.store.own_log import require_own_log, require_restored
from streamer.store.private_files import LinkError, make_private, open_private, refuse_link, warn_if_open

log = structlog.get_logger(__name__)

MEMORY = "sqlite://"
"""The address of a store in memory, which ends with the process."""

_BUSY_TIMEOUT_S = 10  # transactions take milliseconds; longer means that another program holds the file
_IMMEDIATE = "tapewatch_immediate"
_SYNCED = "tapewatch_synced"
_SQLITE_PREFIX = "sqlite:///"
_FILES_WITHIN_S = 5.0  # whoever asks for a page is not kept waiting longer where no file can be opened
_FILES_AGAIN_S = 0.2
_TOLD_EVERY_S = 60.0
_NO_DATABASE = "not a database"


class StoreError(TapewatchError):
    """The store cannot be used; the message says what to do."""


class OutOfFilesError(StoreError):
    """No file could be opened, since too many are; it passes, and is no reason to end."""


def lacks_files(error: BaseException) -> bool:
    """Whether an error is only that too many files are open, here or on the whole machine.

    Examples
    --------
    >>> lacks_files(OSError(errno.EMFILE, "Too many open files")), lacks_files(OSError(errno.ENOENT, "no"))
    (True, False)
    """
    if isinstance(error, OutOfFilesError):
        return True
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


class WrongStoreError(StoreError, UsageError):
    """What the configuration names as the store can be none."""


class Database:
    """Short transactions on the store, from any thread.

    Parameters
    ----------
    engine
        A SQLAlchemy engine on a store whose tables exist.
    where
        The store's name for people: its path, or "in memory".
    exclusive
        True where all threads share one connection, so that reads are serialised too.
    """

    def __init__(self, engine: Engine, where: str, *, exclusive: bool) -> None:
        self.engine = engine
        self.where = where
        self._writing = threading.RLock()
        self._reading: AbstractContextManager[object] = self._writing if exclusive else nullcontext()
        self._file: tuple[int, int] | None = None
        self._told_at = -_TOLD_EVERY_S
        self._log: tuple[int, int] | None = None
        self._count: Callable[[Connection], int] | None = None
        self._counted: Callable[[int], None] = lambda _: None

    @property
    def path(self) -> Path | None:
        """The store's file, None where it is in memory."""
        name = self.engine.url.database
        return Path(name) if name else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction that sees one state of the store.

        Raises
        ------
        StoreError
            When the store does not answer. `OutOfFilesError` where it is only that too many files are open;
            detection waits for one.
        """
        asking, reading = work_watch().asking(), self._reading
        with asking, reading, self._translated(), self._connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, synced: bool = True) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start, and is on disk when it ends.

        Parameters
        ----------
        synced
            False where nothing outside depends on it before the next transaction that is synced. It
            survives the end of this process at once, but a loss of power only together with that next
            one. Transactions are kept or lost in their order, never one without those before it.

        Raises
        ------
        StoreError
            When the store is locked, full, read-only, damaged, or was moved; the transaction is rolled back.
        """
        self._require_file()
        with work_watch().asking(), self._writing, self._translated(), self._connect() as connection:
            immediate = connection.execution_options(**{_IMMEDIATE: True, _SYNCED: synced})
            count = None
            with immediate.begin():
                yield immediate
                if synced and self._count is not None:
                    count = self._count(immediate)
            if count is not None:
                self._counted(count)
        if self.path is not None and (self._file is None or self._log is None):
            self._file, self._log = _identity(self.path), _identity(_log_of(self.path))

    def count_commits(self, count: Callable[[Connection], int], counted: Callable[[int], None]) -> None:
        """Count each commit that is synced.

        Parameters
        ----------
        count
            Called at the end of each such transaction, inside it; returns the new count.
        counted
            Told the count once the transaction is on disk.
        """
        self._count, self._counted = count, counted

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _require_file(self) -> None:
        # SQLite goes on writing to a deleted file, and everything is lost at the end
        if self.path is None or self._file is None:
            return
        if _identity(self.path) != self._file:
            raise StoreError(
                f"store {self.where}: it was deleted, moved or replaced while in use; put it back with the "
                "files beside it, or start again with a new one"
            )
        log = _log_of(self.path)
        if self._log is not None and _identity(log) != self._log:
            raise StoreError(
                f"store {self.where}: its write-ahead log {log.name} was deleted or replaced while in use; "
                "nothing more is written. Start again: the next start tells whether commits are lost"
            )

    def _connect(self) -> Connection:
        until = time.monotonic() + _FILES_WITHIN_S
        while True:
            try:
                return self.engine.connect()
            except DBAPIError as error:
                if not self._lacks_files(error):
                    raise
                if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
                    self._told_at = time.monotonic()
                    log.warning("too many files are open, the store waits for one", store=self.where)
                if not is_watched() and time.monotonic() >= until:
                    raise OutOfFilesError(f"store {self.where}: too many files are open") from error
            work_watch().mark()
            time.sleep(_FILES_AGAIN_S)

    def _lacks_files(self, error: DBAPIError) -> bool:
        """Whether a store that was open before only cannot be opened once more."""
        if self.path is None or self._file is None or "unable to open" not in str(error.orig):
            return False
        may = os.R_OK | os.W_OK
        return os.access(self.path, may) and os.access(self.path.parent, may | os.X_OK)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StoreError(f"store {self.where}: {_explain(error)}") from error


def open_store(
    url: str, *, create: bool = True, locked: bool = False, accept_rederivation: bool = False
) -> Database:
    """Open the store; create or migrate it where needed.

    An older store is migrated only where its own version has nothing left to do: no daemon runs on it, and
    no journal waits that only that version can follow. It could not open the store any more.

    Parameters
    ----------
    url
        A path such as ``tapewatch.db``, ``sqlite:///tapewatch.db``, or `MEMORY`.
    create
        False to refuse a file that does not exist, for commands that only read.
    locked
        True for the daemon, which holds the store's lock (`only_daemon_of`).
    accept_rederivation
        Migrate although another fold version has left a journal; see `streamer.pipeline.recovery.Recovery`.

    Raises
    ------
    StoreError
        When it cannot be opened, is no store, was written by a newer version, or by an older one that is
        still needed; it is left as it was.

    Examples
    --------
    >>> store = open_store(MEMORY)
    >>> with store.read() as connection:
    ...     connection.exec_driver_sql("SELECT key FROM meta").scalar()
    'schema_version'
    >>> store.close()
    """
    path = store_path(url) if create else _path(url)
    if path is not None and not create and not path.exists():
        raise StoreError(f"store {path}: there is no such file; run tapewatch first, or check `store`")
    if path is not None:
        require_no_other_file(path)
        require_whole(path)
        _secure(path, locked)
    engine = _engine(path)
    where = "in memory" if path is None else str(path)
    database = Database(engine, where, exclusive=path is None)
    try:
        with ExitStack() as until_committed, database.write() as connection:
            if path is not None and is_older(connection):
                if not locked:
                    until_committed.enter_context(_no_daemon_on(path))
                if not accept_rederivation:
                    require_drained(connection)
            migrate(connection)
    except StoreError as error:
        database.close()
        if _NO_DATABASE in str(error):
            raise WrongStoreError(*error.lines) from error
        raise
    except TapewatchError as error:
        database.close()
        kind = WrongStoreError if isinstance(error, UsageError) else StoreError
        raise kind(f"store {where}: {error}") from error
    return database


def store_path(url: str) -> Path | None:
    """The store's file, whose folder is there; None for `MEMORY`.

    Raises
    ------
    StoreError
        When it names no file, or one in a folder that does not exist.

    Examples
    --------
    >>> store_path("sqlite:///tapewatch.db")
    PosixPath('tapewatch.db')
    """
    path = _path(url)
    if path is not None and not path.parent.is_dir():
        raise WrongStoreError(f"store {path}: there is no folder {path.parent}; make it, or check `store`")
    return path


def require_no_other_file(path: Path) -> None:
    """Raise `WrongStoreError` where a file is there that is no store; nothing is changed or put beside it.

    Raises
    ------
    StoreError
        Also where it is a symbolic link, or one is beside it.
    """
    refuse_links(path)
    foreign = why_foreign(path)
    if foreign is not None:
        raise WrongStoreError(f"store {path}: {foreign}")


def require_whole(path: Path) -> None:
    """Raise `StoreError` where a restore was cut short, or another store's write-ahead log is beside it."""
    try:
        require_restored(path)
        require_own_log(path)
    except TapewatchError as error:
        raise StoreError(f"store {path}: {error}") from error


def insert_of(connection: Connection, table: Table) -> Any:
    """The dialect's own insert, which has ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # slow to import

        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_absent(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose unique keys are not in the table yet.

    Returns
    -------
    int
        How many were new.
    """
    if not rows:
        return 0
    statement = insert_of(connection, table).on_conflict_do_nothing()
    return connection.execute(statement, [dict(row) for row in rows]).rowcount


def refuse_links(path: Path) -> None:
    """Raise `StoreError` where the store, a file beside it or its checkpoints' folder is a symbolic link."""
    try:
        for file in (path, *_beside(path), path.with_name(path.name + ".checkpoints")):
            refuse_link(file)
    except LinkError as error:
        raise StoreError(f"store {path}: {error}") from error


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")]


def _secure(path: Path, held: bool) -> None:
    """Make the file its owner's alone, and refuse links; SQLite makes those beside it like it."""
    refuse_links(path)
    try:
        if not path.exists():
            os.close(open_private(path, os.O_RDWR | os.O_EXCL))
    except FileExistsError:
        return  # another process makes it at the same time
    except LinkError as error:
        raise StoreError(f"store {path}: {error}") from error
    except OSError:
        return  # SQLite says why
    if held:
        for file in (path, *_beside(path), path.with_name(path.name + ".checkpoints")):
            make_private(file)
        warn_if_open(path.parent)


@contextmanager
def _no_daemon_on(store: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(only_daemon_of(store))
        except StoreHeldError as error:
            raise TapewatchError("a daemon of an older version is running on it; stop it first") from error
        yield


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _path(url: str) -> Path | None:
    if url == MEMORY:
        return None
    if url.startswith(_SQLITE_PREFIX):
        url = url.removeprefix(_SQLITE_PREFIX)
    elif "://" in url:
        scheme = url.partition("://")[0]
        raise WrongStoreError(f"store: {scheme} is not supported in this version; give a path for SQLite")
    if not url or url == ":memory:":
        raise WrongStoreError("store: give the path of a file")
    return Path(url)


def _engine(path: Path | None) -> Engine:
    arguments = {"check_same_thread": False, "timeout": _BUSY_TIMEOUT_S}
    if path is None:
        engine = create_engine(MEMORY, poolclass=StaticPool, connect_args=arguments)
    else:
        # a thread holds a connection only within a transaction, so none has to wait for one
        engine = create_engine(
            _SQLITE_PREFIX + str(path), poolclass=QueuePool, max_overflow=-1, connect_args=arguments
        )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `_begin` starts transactions, not the driver
    is_new = connection.execute("PRAGMA page_count").fetchone() == (0,)
    # the first is kept by a store that has nothing yet; for any other it would take the write lock
    pragmas = ["auto_vacuum=INCREMENTAL"] if is_new else []
    for pragma in (*pragmas, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_IMMEDIATE, False):
        connection.exec_driver_sql("BEGIN")
        return
    wanted = "FULL" if options[_SYNCED] else "NORMAL"
    if connection.info.get(_SYNCED, "FULL") != wanted:  # set by `_prepare` or the last transaction
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info[_SYNCED] = wanted
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _explain(error: DBAPIError) -> str:
    text = str(error.orig)
    known = {
        "unable to open": "it cannot be opened; check that the folder is there and may be written to",
        "readonly": "it may not be written to; check the permissions of the file and its folder",
        "attempt to write a readonly": "it may not be written to; check the permissions of the file",
        "locked": "another program holds it; stop that one, or name another file in `store`",
        _NO_DATABASE: "the file is not a store; name another file in `store`",
        "malformed": "it is damaged; restore a copy, or move it away to start afresh",
        "disk is full": "the disk is full; make room and start again",
        "disk I/O error": "the disk failed to read or write; check the disk, then start again",
    }
    for sign, advice in known.items():
        if sign in text:
            return f"{advice} ({text})"
    return text
