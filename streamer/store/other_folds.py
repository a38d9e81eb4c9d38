"""Refuses a pending journal that code of another fold version has written: only that code can follow it."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from streamer.errors import TapewatchError
from streamer.messages.fold_version import CodeVersion, own_version
from streamer.store import tables as t


def require_own_fold(log: str, stored: str) -> None:
    """Refuse the pending journal of a log by who wrote it; the package's version does not matter.

    Parameters
    ----------
    log
        The log's name for people.
    stored
        What its task has as `code_version`.

    Raises
    ------
    TapewatchError
        When it was written by another fold version, or by one that cannot be read.

    Examples
    --------
    >>> from streamer.messages.fold_version import code_version
    >>> require_own_fold("trades[0]", code_version())
    """
    writer, own = CodeVersion.parse(stored), own_version()
    if writer and writer.fold == own.fold:
        return
    if writer is None:
        by, finisher = f"{stored!r}, which names no fold version", "the version that wrote it"
    else:
        by, finisher = str(writer), f"that version, or another with fold version {writer.fold},"
    raise TapewatchError(
        f"the journal of {log} was written by {by}; this is {own}: let {finisher} stop cleanly (SIGTERM) "
        "on this store first, or pass --accept-rederivation to `run` (or --models-anew: models warm up anew)"
    )


def require_drained(connection: Connection) -> None:
    """Refuse a store in which another fold version has left a journal behind the newest checkpoint.

    It reads what stores of all versions have, so it can be asked before a store is migrated.

    Raises
    ------
    TapewatchError
        For the first such log.
    """
    task, entry, kept = t.tasks.c, t.journal.c, t.checkpoints.c
    newest = select(func.max(task.id)).group_by(task.topic, task.partition)
    checkpoint = select(func.coalesce(func.max(kept.seq), 0)).where(kept.task_id == task.id)
    reached = checkpoint.correlate(t.tasks).scalar_subquery()
    behind = select(entry.seq).where(entry.task_id == task.id, entry.seq > reached).correlate(t.tasks)
    query = select(task.topic, task.partition, task.code_version).where(task.id.in_(newest), behind.exists())
    for topic, partition, stored in connection.execute(query.order_by(task.id)):
        require_own_fold(f"{topic}[{partition}]", stored)
