"""Notices at a start that the store has lost commits: by a deleted log, or an older copy in its place."""

from __future__ import annotations

import structlog

from streamer.errors import TapewatchError
from streamer.store.database import Database
from streamer.store.doubts import doubt_what_waits, set_older, why_older
from streamer.store.witness import Witness

log = structlog.get_logger()


def witness_of(database: Database) -> Witness:
    """Witness the commits of a store from now on; what it has lost since it was last witnessed is kept.

    What waits to be sent may have been sent, so it counts as in doubt at once. The alert comes with the first
    logs that are read, since only then is known where they go on.
    """
    witness = Witness(database)
    lost = witness.lost
    if lost is not None:
        if lost.same:
            why = f"its last {lost.missing:,} commits are gone (an older copy, or a lost write-ahead log)"
        else:
            why = (
                "another store was in its place before, with what that had read and sent, or its own "
                "write-ahead log was lost before any of that was in the file"
            )
        _require_sound(database)
        log.error("the store has lost commits", store=database.where, problem=why)
        with database.write() as connection:
            doubt_what_waits(connection)
            set_older(connection, why_older(connection) or why)
    witness.begin()
    return witness


def _require_sound(database: Database) -> None:
    """What replaced files in an unknown way may have mixed them."""
    with database.read() as connection:
        found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    if found != "ok":
        raise TapewatchError(
            f"store {database.where}: it has lost commits and is damaged ({found}): restore a backup "
            "(`tapewatch restore`), or move the store away with the files beside it"
        )
