"""Which task of a log goes on, how a task ends, and where the next generation of its log begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, select, update

from streamer.messages.records import Partition
from streamer.store import tables as t
from streamer.store.orphaned_episodes import close_open
from streamer.store.standing_episodes import release_held
from streamer.store.task_rows import TaskRow, base_incarnation, next_generation, reached


def tasks_of(connection: Connection, partition: Partition) -> list[TaskRow]:
    """All tasks of a topic's partition, the newest first, those of deleted topics of that name among them."""
    c = t.tasks.c
    query = select(t.tasks).where(c.topic == partition.topic, c.partition == partition.partition)
    return [TaskRow.of(row) for row in connection.execute(query.order_by(c.id.desc())).mappings()]


def taken_up(connection: Connection, partition: Partition, known: Sequence[TaskRow]) -> TaskRow | None:
    """The newest task of a log, its epoch raised; None where it has none, or that has ended.

    Parameters
    ----------
    connection
        Inside a write transaction.
    partition, known
        The log, and what `tasks_of` gives for it.
    """
    row = _newest_of(partition, known)
    if row is None or row.ended:
        return None
    connection.execute(update(t.tasks).where(t.tasks.c.id == row.id).values(epoch=row.epoch + 1))
    return replace(row, epoch=row.epoch + 1)


def next_begin(
    connection: Connection, partition: Partition, known: Sequence[TaskRow]
) -> tuple[Partition, int] | None:
    """The next generation of a log whose task has ended, and its first offset; None without such a task."""
    ended = _newest_of(partition, known)
    if ended is None:
        return None
    incarnation = next_generation(ended.partition.incarnation)
    return partition._replace(incarnation=incarnation), reached(connection, ended)


def is_current(connection: Connection, row: TaskRow) -> bool:
    """Whether a task has neither ended nor been taken over since its row was read."""
    c = t.tasks.c
    query = select(c.id).where(c.id == row.id, c.ended_at.is_(None), c.epoch == row.epoch)
    return connection.execute(query.with_for_update()).first() is not None


def end_task(  # noqa: PLR0913 - each is a fact of its own
    connection: Connection, row: TaskRow, why: str, now: float, *, keep_all: bool, held: bool = False
) -> int:
    """End a task: it is never folded again, and its open episodes are resolved.

    What it has consumed is not lost: without its journal, the row's position says how far that went.

    Parameters
    ----------
    connection, row
        Inside a write transaction, and the task.
    why, now
        The reason, for people, and wall-clock seconds.
    keep_all
        Keep its journal.
    held
        Its log is folded again: the ends of its episodes are sent once that has come to where it was.

    Returns
    -------
    int
        How many episodes were resolved.
    """
    values: dict[str, Any] = {"epoch": row.epoch + 1, "ended_at": now, "ended_why": why}
    if not keep_all:
        values["position"] = reached(connection, row)
    connection.execute(update(t.tasks).where(t.tasks.c.id == row.id).values(values))
    resolved = close_open(connection, row.id, now, why, held=held)
    if not held:
        release_held(connection, row.partition)
    gone = (t.checkpoints, t.task_status) if keep_all else (t.checkpoints, t.task_status, t.journal)
    for table in gone:
        connection.execute(delete(table).where(table.c.task_id == row.id))
    return resolved


def _newest_of(partition: Partition, known: Sequence[TaskRow]) -> TaskRow | None:
    """The newest task of exactly this log, not of a deleted topic of its name."""
    return next((row for row in known if _is_of(row, partition)), None)


def _is_of(row: TaskRow, partition: Partition) -> bool:
    incarnation = row.partition.incarnation
    return partition.incarnation in (incarnation, base_incarnation(incarnation))
