"""Which task of a log goes on, how a task ends, and where the next generation of its log begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, select, update

from streamer.messages.logs import Log, Positions
from streamer.messages.records import Partition
from streamer.store import tables as t
from streamer.store.orphaned_episodes import close_open
from streamer.store.standing_episodes import release_held
from streamer.store.task_rows import (
    TaskRow,
    base_incarnation,
    found_tasks,
    in_generation_of,
    newest_with,
    next_generation,
    reached,
)


def tasks_of(connection: Connection, key: Partition) -> list[TaskRow]:
    """All tasks of a log, the newest first, those of deleted topics of that name among them."""
    c = t.tasks.c
    query = select(t.tasks).where(c.topic == key.topic, c.partition == key.partition)
    return found_tasks(connection, query.order_by(c.id.desc()))


def taken_up(connection: Connection, key: Partition, known: Sequence[TaskRow]) -> TaskRow | None:
    """The newest task of a log, its epoch raised; None where it has none, or that has ended.

    Parameters
    ----------
    connection
        Inside a write transaction.
    key, known
        What the log is known by, and what `tasks_of` gives for it.
    """
    row = _newest_of(key, known)
    if row is None or row.ended:
        return None
    connection.execute(update(t.tasks).where(t.tasks.c.id == row.id).values(epoch=row.epoch + 1))
    return replace(row, epoch=row.epoch + 1)


def next_begin(
    connection: Connection, log: Log, starts: Positions, known: Sequence[TaskRow]
) -> tuple[Log, Positions]:
    """The next generation of a log that has no task, or whose task has ended, and where it begins.

    A member goes on where the newest task that it belonged to has come to, be it this log's or another's;
    one that no task has read begins where `starts` says.
    """
    before = newest_with(connection, log.members)
    positions = []
    for member, start in zip(log.members, starts, strict=True):
        row = before.get(member)
        positions.append(start if row is None else reached(connection, row)[_place(row, member)])
    ended = _newest_of(log.key, known)
    if ended is not None:
        log = in_generation_of(log, next_generation(ended.log.key.incarnation))
    return log, tuple(positions)


def others_with(connection: Connection, log: Log) -> list[TaskRow]:
    """Tasks that have not ended, of other logs which hold a partition of this one."""
    m, k = t.members.c, t.tasks.c
    query = select(t.tasks).join(t.members, m.task_id == k.id).distinct().order_by(k.id)
    found: dict[int, TaskRow] = {}
    for member in log.members:
        of = query.where(m.topic == member.topic, m.partition == member.partition, k.ended_at.is_(None))
        found |= {row.id: row for row in found_tasks(connection, of)}
    same = (log.key.topic, log.key.partition)
    return [row for row in found.values() if (row.log.key.topic, row.log.key.partition) != same]


def has_grown(connection: Connection, log: Log) -> bool:
    """Whether a log is new since its topics have more partitions: others of its join are read already."""
    c = t.tasks.c
    query = select(c.id).where(c.topic == log.key.topic, c.ended_at.is_(None))
    is_read = connection.execute(query.limit(1)).first() is not None
    return is_read and len(newest_with(connection, log.members)) < len(log.members)


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
        set_positions(connection, row, reached(connection, row))
    connection.execute(update(t.tasks).where(t.tasks.c.id == row.id).values(values))
    resolved = close_open(connection, row.id, now, why, held=held)
    if not held:
        release_held(connection, row.log.key)
    gone = (t.checkpoints, t.task_status) if keep_all else (t.checkpoints, t.task_status, t.journal)
    for table in gone:
        connection.execute(delete(table).where(table.c.task_id == row.id))
    return resolved


def set_positions(connection: Connection, row: TaskRow, positions: Positions) -> None:
    """Set where the members of a task begin, or how far they came."""
    m = t.members.c
    for place, position in enumerate(positions):
        of = (m.task_id == row.id, m.place == place)
        connection.execute(update(t.members).where(*of).values(position=position))


def member_rows(log: Log, positions: Positions, first: int = 0) -> list[dict[str, Any]]:
    """Rows of the table `members`, without their task, from a place on."""
    members = list(zip(log.members, positions, strict=True))
    return [
        {**member._asdict(), "place": place, "position": position}
        for place, (member, position) in enumerate(members)
        if place >= first
    ]


def _place(row: TaskRow, member: Partition) -> int:
    return row.source_log.members.index(member)


def _newest_of(key: Partition, known: Sequence[TaskRow]) -> TaskRow | None:
    """The newest task of exactly this log, not of a deleted topic of its name."""
    return next((row for row in known if _is_of(row, key)), None)


def _is_of(row: TaskRow, key: Partition) -> bool:
    incarnation = row.log.key.incarnation
    return key.incarnation in (incarnation, base_incarnation(incarnation))
