"""Tells what stands where a log that is folded again has come to where it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sqlalchemy import Connection, delete, insert, select, text, update

from alerts.one_shot import DRIFT
from streamer.messages.records import Partition
from streamer.store import tables as t
from streamer.store.chunks import chunks
from streamer.store.task_rows import TaskRow, base_incarnation

_UNTOLD = text("outbox.routed > 1")  # as in the index


def tell_standing(connection: Connection, row: TaskRow) -> None:
    """Send the newest transition of each open episode nobody heard of, and the ends that were held back.

    Until then the episodes of the log's earlier generation stand for those: a standing alert is never said
    to be over before it is told under its new id. Does nothing the second time.

    Parameters
    ----------
    connection
        Inside a write transaction.
    row
        The log's task.
    """
    c = t.outbox.c
    for n in _standing(connection, row.id):
        # it is news, however old the record is
        connection.execute(update(t.outbox).where(c.n == n).values(routed=0, behind_s=None))
    release_held(connection, row.log.key)


def release_held(connection: Connection, partition: Partition) -> None:
    """Send the ends of episodes of a log's earlier generations that were held back, behind all there is.

    They are written once more: the outbox is read in its order, and what stands was told after they were.
    """
    k, c = t.tasks.c, t.outbox.c
    query = select(k.id, k.incarnation).where(k.topic == partition.topic, k.partition == partition.partition)
    base = base_incarnation(partition.incarnation)
    ids = [each.id for each in connection.execute(query) if base_incarnation(each.incarnation) == base]
    held = (c.task_id.in_(ids), _UNTOLD, c.routed == t.HELD)
    rows = connection.execute(select(t.outbox).where(*held).order_by(c.n)).mappings().all()
    if rows:
        connection.execute(delete(t.outbox).where(*held))
        connection.execute(
            insert(t.outbox),
            [{**{key: row[key] for key in row if key != "n"}, "routed": 0} for row in rows],
        )


def _standing(connection: Connection, task_id: int) -> Iterator[int]:
    c = t.outbox.c
    query = select(c.alert_id).distinct().where(c.task_id == task_id, _UNTOLD, c.rule != DRIFT)
    for ids in chunks(list(connection.scalars(query))):
        rows = connection.execute(
            select(c.n, c.alert_id, c.transition, c.routed)
            .where(c.alert_id.in_(ids))
            .order_by(c.alert_id, c.number)
        ).all()
        for _, transitions in groupby(rows, lambda each: each.alert_id):
            episode = list(transitions)
            untold = all(each.routed == t.SETTLED for each in episode)
            if untold and episode[-1].transition != "resolved":
                yield episode[-1].n
