"""Pages of the store's file that nothing uses any more: how many there are, and how they are given back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from streamer.store.database import Database, StoreError

_KEPT_FREE = 0.1  # of the file, for what is written next
_KEPT_AT_LEAST = 256  # pages
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FilePages:
    """The pages of a store's file.

    Parameters
    ----------
    size
        Bytes of a page.
    count, free
        How many there are, and how many of them nothing uses.
    shrinks
        Whether free pages can be given back bit by bit; False for a file that an older version has made.
    """

    size: int
    count: int
    free: int
    shrinks: bool

    @property
    def spare(self) -> int:
        """Free pages beyond those that are kept for what is written next."""
        return max(self.free - max(int(self.count * _KEPT_FREE), _KEPT_AT_LEAST), 0)


def file_pages(database: Database) -> FilePages:
    """The pages of a store's file now.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> store = open_store(MEMORY)
    >>> pages = file_pages(store)
    >>> pages.free, pages.spare, pages.shrinks
    (0, 0, True)
    >>> store.close()
    """
    with database.read() as connection:
        size, count, free, mode = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
            for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
        )
    return FilePages(size, count, free, mode != 0)


def give_back(database: Database, pages: int) -> None:
    """Give back so many free pages, in one short transaction; does nothing where the file does not shrink."""
    with database.write(synced=False) as connection:
        for _ in range(pages):  # sqlite3 takes one step of it, which is one page
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")


def flush_log(database: Database) -> bool:
    """Carry what is in the write-ahead log over into the file; False where a reader keeps some of it."""
    try:
        with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            ((busy, pages, carried),) = cursor.fetchall()
            return not busy and pages == carried
    except (sqlite3.Error, DBAPIError) as error:
        raise StoreError(
            f"store {database.where}: its write-ahead log cannot be carried over: {error}"
        ) from error


def rewrite(database: Database) -> None:
    """Write the file anew without free pages; from then on it shrinks. Nobody can write meanwhile.

    It takes twice as much room again as the file has, beside it, and seconds for each GB.

    Raises
    ------
    StoreError
        When there is no room for it, or it cannot be written; the file is as it was.
    """
    with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        try:
            with _temporary_beside(database, cursor):
                cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"store {database.where}: it could not be written anew, and is as it was: {error}. It needs "
                f"twice the size of the file, {2 * _file_bytes(database) / _MIB:,.0f} MiB, free beside it"
            ) from error


@contextmanager
def _temporary_beside(database: Database, cursor: DBAPICursor) -> Iterator[None]:
    """SQLite makes its temporary file beside the store, where there is room for it, and not in memory."""
    folder = "" if database.path is None else str(database.path.absolute().parent)
    quoted = folder.replace("'", "''")
    cursor.execute(f"PRAGMA temp_store_directory = '{quoted}'")
    cursor.execute("PRAGMA temp_store=FILE")
    try:
        yield
    finally:
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute("PRAGMA temp_store_directory = ''")


def _file_bytes(database: Database) -> int:
    return 0 if database.path is None else database.path.stat().st_size
