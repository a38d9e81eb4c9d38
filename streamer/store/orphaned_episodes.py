"""Resolves the open episodes of a task that is never folded again; nothing else would."""

from __future__ import annotations

import json

from sqlalchemy import Connection, func, insert, select

from alerts.alert import Alert
from alerts.one_shot import DRIFT
from streamer.store import tables as t


def close_open(connection: Connection, task_id: int, now: float, why: str, *, held: bool = False) -> int:
    """Write a ``resolved`` for each open episode of a task.

    Parameters
    ----------
    connection
        Inside the write transaction that ends the task.
    task_id
        The task; it must never be folded again.
    now
        Wall-clock seconds.
    why
        The reason, for people.
    held
        Send them only once `streamer.store.standing_episodes.tell_standing` says so.

    Returns
    -------
    int
        How many there were.
    """
    c = t.outbox.c
    of_task = (c.task_id == task_id, c.origin == "detect", c.rule != DRIFT)
    last = (
        select(c.alert_id, func.max(c.number).label("number")).where(*of_task).group_by(c.alert_id).subquery()
    )
    is_last = (c.alert_id == last.c.alert_id) & (c.number == last.c.number)
    query = select(t.outbox).join(last, is_last).where(*of_task, c.transition != "resolved").order_by(c.n)
    rows = connection.execute(query).mappings().all()
    at_ns = _newest_ns(connection, task_id) if rows else None
    k = t.tasks.c
    log = connection.execute(select(k.topic, k.partition).where(k.id == task_id)).mappings().one()
    for row in rows:
        before = Alert.from_json(row["body"])
        alert = before.resolved(why, at_ns)
        kept = {name: value for name, value in row.items() if name not in ("n", "routed")}
        changed = {
            "number": alert.number,
            "transition": "resolved",
            "ts_event_ns": alert.ts_event_ns,
            "severity": alert.severity,
            "body": alert.to_json(),
            "created_at": now,
            "routed": _routed(connection, row["alert_id"], held=held),
            "behind_s": None,  # it is news, however old the record is that was the last of its episode
        }
        connection.execute(insert(t.outbox).values({**kept, **changed}))
        decision = {"event": {"kind": "abandoned"}, "why": why}
        connection.execute(
            insert(t.decisions).values(
                alert_id=alert.id,
                number=alert.number,
                kind="transition",
                held_by=None,
                task_id=task_id,
                offset=None,
                index_=None,
                body=json.dumps(decision).encode(),
                **log,
            )
        )
    return len(rows)


def _routed(connection: Connection, alert_id: str, *, held: bool) -> int:
    """Where nobody heard of an episode, nobody hears of its end."""
    c = t.outbox.c
    heard = select(c.n).where(c.alert_id == alert_id, c.routed != t.SETTLED).limit(1)
    if connection.execute(heard).first() is None:
        return t.SETTLED
    return t.HELD if held else 0


def _newest_ns(connection: Connection, task_id: int) -> int | None:
    """The newest time that is known of a task's log, ns; None where its task has no status."""
    body = connection.scalar(select(t.task_status.c.body).where(t.task_status.c.task_id == task_id))
    return None if body is None else json.loads(body).get("watermark_ns")
