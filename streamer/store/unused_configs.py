"""Configurations in the store that nothing refers to any more."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, or_, select, union, update

from streamer.store import tables as t


def prune_configs(connection: Connection, now: float, kept_s: float) -> int:
    """Delete configurations that no task has needed for so long.

    A task needs those that it began with, that its checkpoints were taken under, and that its journal turns
    to. One that is taken up again counts as needed (see `Ledger.save_config`).

    Parameters
    ----------
    connection
        Inside a write transaction.
    now
        Wall-clock seconds.
    kept_s
        For how long an unneeded one is kept, in seconds.

    Returns
    -------
    int
        How many were deleted.
    """
    c, task, entry, kept = t.configs.c, t.tasks.c, t.journal.c, t.checkpoints.c
    needed = union(
        # `record` goes through what an ended one has left of its journal
        select(task.config_hash).where(
            or_(task.ended_at.is_(None), exists().where(entry.task_id == task.id))
        ),
        select(kept.config_hash),
        select(entry.data).where(entry.kind == "reload"),
    )
    connection.execute(
        update(t.configs).where(c.hash.in_(needed), c.unused_since.is_not(None)).values(unused_since=None)
    )
    connection.execute(
        update(t.configs).where(c.hash.not_in(needed), c.unused_since.is_(None)).values(unused_since=now)
    )
    return connection.execute(delete(t.configs).where(c.unused_since < now - kept_s)).rowcount
