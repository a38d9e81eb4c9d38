"""Episodes in the store that are over, that nobody is owed anything of, and that are old."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from alerts.one_shot import DRIFT
from alerts.service_alert import SERVICE_ORIGIN
from streamer.store import tables as t
from streamer.store.chunks import chunks
from streamer.store.database import Database
from streamer.store.delivery_rows import is_open

_EPISODES_AT_ONCE = 10
_LOOKED_AT_ONCE = 2_000
_AT_ONCE = 50


class OldEpisodes:
    """Deletes what the store holds of old episodes; each transaction is a short one.

    Parameters
    ----------
    database
        The open store.
    now
        Wall-clock seconds.
    """

    def __init__(self, database: Database, now: float) -> None:
        self._database = database
        self._now = now

    def gone(self, seconds: float, *, dry_run: bool) -> Iterator[Mapping[str, int]]:
        """Delete episodes whose last transition is older than this, with all that belongs to them."""
        for ids in self._old(seconds, 0):
            if dry_run:
                with self._database.read() as connection:
                    counted = _counted(connection, ids)
                yield counted
                continue
            for start in range(0, len(ids), _EPISODES_AT_ONCE):
                some = ids[start : start + _EPISODES_AT_ONCE]
                with self._database.read() as connection:
                    marks = _settled_by(connection, some)
                with self._database.write(synced=False) as connection:
                    counted = _delete(connection, list(connection.scalars(_over(some))), marks)
                yield counted

    def without(self, table: Table, seconds: float, *, dry_run: bool) -> Iterator[Mapping[str, int]]:
        """Delete the decisions, or the deliveries, of episodes whose last transition is older than this."""
        c = table.c
        first = self._first_with(table)
        if first is None:
            return
        for ids in self._old(seconds, first):
            rows = _rows(table, ids)
            with self._database.read() as connection:
                numbers = connection.scalars(select(c.n).where(rows).order_by(c.n)).all()
            for start in range(0, len(numbers), _AT_ONCE):
                some = numbers[start : start + _AT_ONCE]
                gone = len(some)
                if not dry_run:
                    closed = ~is_open() if table is t.deliveries else c.n > 0
                    with self._database.write(synced=False) as connection:
                        gone = connection.execute(delete(table).where(c.n.in_(some), closed)).rowcount
                yield {table.name: gone}

    def _first_with(self, table: Table) -> int | None:
        """The first row of the outbox that has any of the table's rows."""
        o, v, d = t.outbox.c, t.deliveries.c, t.decisions.c
        if table is t.deliveries:
            query = select(func.min(v.outbox_n))
        else:
            oldest = select(func.min(d.n)).where(d.kind == "transition").scalar_subquery()
            query = select(o.n).join(t.decisions, (d.alert_id == o.alert_id) & (d.number == o.number))
            query = query.where(d.n == oldest)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else int(found)

    def _old(self, seconds: float, first: int) -> Iterator[Sequence[str]]:
        """Ids of old episodes that are over, some at a time, from a row of the outbox on."""
        o = t.outbox.c
        before = self._now - seconds
        old = o.created_at < before
        ahead = self._old_though_ahead(before)  # before the rows that say so are gone
        yield from self._over_among(old, old, first)
        if ahead:
            stamped = and_(o.created_at > self._now, o.n <= ahead)
            yield from self._over_among(stamped, or_(old, stamped), first)

    def _over_among(
        self, rows: ColumnElement[bool], old: ColumnElement[bool], first: int
    ) -> Iterator[Sequence[str]]:
        """Ids of episodes that have one of these rows, are over, and have none that is not old."""
        o = t.outbox.c
        query = select(o.created_at, o.n, o.alert_id).where(rows, o.n >= first)
        query = query.order_by(o.created_at, o.n).limit(_LOOKED_AT_ONCE)  # by the index of their age
        with self._database.read() as connection:
            looked_at = connection.execute(query).all()
        while looked_at:
            found: list[str] = []
            with self._database.read() as connection:
                for some in chunks(sorted({row.alert_id for row in looked_at})):
                    found += connection.scalars(_over(some).having(func.min(case((old, 1), else_=0)) == 1))
            if found:
                yield found
            at, n, _ = looked_at[-1]
            behind = and_(o.created_at >= at, or_(o.created_at > at, o.n > n))
            with self._database.read() as connection:
                looked_at = connection.execute(query.where(behind)).all()

    def _old_though_ahead(self, before: float) -> int:
        """Up to which row of the outbox what was written by a clock that ran ahead is old; 0 for none.

        A row that came later and is old by a clock that ran right says so. One that is older than a row
        before it, of those not ahead, or than what is read, was written while the clock was behind, and says
        nothing.
        """
        o = t.outbox.c
        with self._database.read() as connection:
            if not connection.execute(select(o.n).where(o.created_at > self._now).limit(1)).first():
                return 0
            young = select(func.min(o.n)).where(o.created_at >= before, o.created_at <= self._now)
            first_young = connection.execute(young).scalar()
            began = select(func.min(t.tasks.c.started_at)).where(t.tasks.c.started_at <= self._now)
            by_a_right_clock = select(o.n).where(
                o.created_at < before, o.created_at >= func.coalesce(began.scalar_subquery(), 0.0)
            )
            if first_young is not None:
                by_a_right_clock = by_a_right_clock.where(o.n < first_young)
            newest = by_a_right_clock.order_by(o.created_at.desc(), o.n.desc()).limit(1)
            return int(connection.execute(newest).scalar() or 0)


def _over(ids: Sequence[str]) -> Select[tuple[str]]:
    """Those of these episodes that are over, and of which nothing is owed."""
    o, d = t.outbox.c, t.deliveries.c
    # an episode may come back after its end: open is what its last transition says. Alerts about the service
    # and drifts fire once and are never resolved
    last = func.max(o.number)
    ended = func.max(case((o.transition == "resolved", o.number), else_=-1))
    once = func.max(case((or_(o.origin == SERVICE_ORIGIN, o.rule == DRIFT), 1), else_=0))
    owed = exists().where(d.alert_id == o.alert_id, is_open()).correlate(t.outbox)
    return (
        select(o.alert_id)
        .where(o.alert_id.in_(ids), ~owed)
        .group_by(o.alert_id)
        .having(or_(ended == last, once == 1), func.min(o.routed) > 0, func.max(o.routed) < t.HELD)
    )


_Mark = tuple[int, str | None, int | None]


def _settled_by(connection: Connection, ids: Sequence[str]) -> Mapping[_Mark, int]:
    """Up to which offset alerts may be gone then, by task, topic and partition.

    Derived again, they are not sent again. What a timer caused names no partition.
    """
    o = t.outbox.c
    query = select(o.task_id, o.body).where(
        o.alert_id.in_(ids), o.task_id.is_not(None), o.origin != SERVICE_ORIGIN
    )
    marks: dict[_Mark, int] = {}
    for task_id, body in connection.execute(query):
        source = json.loads(body).get("source", {})
        offset = source.get("offset")
        mark = (
            (task_id, source["topic"], source["partition"]) if offset is not None else (task_id, None, None)
        )
        beyond = 1 if offset is None else int(offset) + 1
        marks[mark] = max(beyond, marks.get(mark, 0))
    return marks


def _settle(connection: Connection, mark: _Mark, beyond: int) -> None:
    m, (task_id, topic, partition) = t.members.c, mark
    if topic is None:
        of = m.place == 0
    else:  # of a partition that was made anew it is not known which one of the two it was
        twin = t.members.alias("twin")
        others = select(twin.c.place).where(
            twin.c.task_id == m.task_id,
            twin.c.topic == m.topic,
            twin.c.partition == m.partition,
            twin.c.place != m.place,
        )
        of = and_(m.topic == topic, m.partition == partition, ~others.exists())
    connection.execute(
        update(t.members).where(m.task_id == task_id, of, m.settled < beyond).values(settled=beyond)
    )


def _delete(connection: Connection, ids: Sequence[str], settled: Mapping[_Mark, int]) -> Mapping[str, int]:
    if not ids:
        return {}
    for mark, beyond in settled.items():
        _settle(connection, mark, beyond)
    connection.execute(delete(t.delivery_steps).where(t.delivery_steps.c.alert_id.in_(ids)))
    counts = {}
    for name, table in (("deliveries", t.deliveries), ("decisions", t.decisions), ("alerts", t.outbox)):
        counts[name] = connection.execute(delete(table).where(_rows(table, ids))).rowcount
    return counts


def _rows(table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """What a table holds of these episodes; a near miss is none."""
    of_them: ColumnElement[bool] = table.c.alert_id.in_(ids)
    return of_them if table is not t.decisions else and_(of_them, table.c.kind == "transition")


def _counted(connection: Connection, ids: Sequence[str]) -> Mapping[str, int]:
    return {
        name: int(
            connection.execute(select(func.count()).select_from(table).where(_rows(table, ids))).scalar_one()
        )
        for name, table in (("alerts", t.outbox), ("decisions", t.decisions), ("deliveries", t.deliveries))
    }
