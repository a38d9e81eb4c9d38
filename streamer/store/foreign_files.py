"""Tells files that are no store before anything is done to them, or put beside them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from streamer.store.tables import meta

OF_ANOTHER_PROGRAM = "it is a database of another program; name another file in `store`"


def why_foreign(path: Path) -> str | None:
    """Why a file is no store, None where it may be one, such as one that is empty, damaged or not there.

    Nothing is changed. SQLite reads the file, since closing it would give up the locks that this process has
    on it.

    Examples
    --------
    >>> why_foreign(Path("there-is-no-such-file.db")) is None
    True
    """
    try:
        if path.is_dir():
            return "it is a folder; name a file in it"
        if path.exists() and not path.is_file():
            return "it is no regular file; name another one in `store`"
        if path.exists() and _is_of_another_program(path):
            return OF_ANOTHER_PROGRAM
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return f"the file is not a store; name another file in `store` ({error})"
    except OSError:  # SQLite says why
        return None
    return None


def _is_of_another_program(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    with closing(sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as connection:
        if connection.execute("SELECT name FROM sqlite_master").fetchone() is None:
            return False
        if log.exists() and log.stat().st_size:  # the file may be half of before and half of after
            return False
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (meta.name,)).fetchall()
        return {name for (name,) in columns} != set(meta.columns.keys())
