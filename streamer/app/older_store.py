"""Notices at a start that the store has lost commits: by a deleted log, or an older copy in its place."""

from __future__ import annotations

import structlog

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
            why = "another store was in its place before, with what that had read and sent"
        log.error("the store has lost commits", store=database.where, problem=why)
        with database.write() as connection:
            doubt_what_waits(connection)
            set_older(connection, why_older(connection) or why)
    witness.begin()
    return witness
