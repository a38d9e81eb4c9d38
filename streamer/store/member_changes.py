"""Members of a joined log that are new, were made anew, are gone, or are back."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from streamer.messages.logs import Log, Positions
from streamer.messages.records import Partition
from streamer.store import tables as t
from streamer.store.log_alerts import ReplacedLog
from streamer.store.task_generations import member_rows
from streamer.store.task_rows import TaskRow, found_tasks, in_generation_of, reached


def add_members(
    connection: Connection, row: TaskRow, log: Log, starts: Positions
) -> tuple[TaskRow, list[ReplacedLog]]:
    """Give a task the members that its log has now and that it does not know, each at a place of its own.

    Places that are taken stay: they say how the members were merged. One that was made anew is another
    member, and what it was before is not there any more.

    Parameters
    ----------
    connection
        Inside a write transaction.
    row
        The task.
    log, starts
        Its log as it is now, and where its members begin that are new.

    Returns
    -------
    tuple
        The task, and the members that were made anew.
    """
    known = row.source_log.members
    new = [(member, start) for member, start in zip(log.members, starts, strict=True) if member not in known]
    back = [place for place in row.gone if known[place] in log.members]
    if not new and not back:
        return row, []
    for place in back:
        set_gone(connection, row, place, None)
    members = tuple(member for member, _ in new)
    fresh = in_generation_of(Log(log.key, members), row.log.key.incarnation)
    grown = Log(row.log.key, (*row.log.members, *fresh.members))
    positions = (*row.positions, *(start for _, start in new))
    for member_row in member_rows(grown, positions, len(known)):
        connection.execute(insert(t.members).values(task_id=row.id, **member_row))
    come_to = reached(connection, row)
    replaced: list[ReplacedLog] = []
    for member, _ in new:
        for place, old in enumerate(known):
            if _is_another(old, member) and place not in row.gone and old not in log.members:
                set_gone(connection, row, place, 0.0)
                replaced.append(ReplacedLog(old, member, come_to[place], str(log)))
    (found,) = found_tasks(connection, select(t.tasks).where(t.tasks.c.id == row.id))
    return found, replaced


def set_gone(connection: Connection, row: TaskRow, place: int, gone_at: float | None) -> None:
    """Note that a member is not there any more, since when, or that it is back."""
    m = t.members.c
    of = update(t.members).where(m.task_id == row.id, m.place == place)
    connection.execute(of.values(gone_at=gone_at))


def _is_another(old: Partition, new: Partition) -> bool:
    return (old.topic, old.partition) == (new.topic, new.partition) and old != new
