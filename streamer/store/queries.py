"""Queries for people: alerts and their reasons, dead letters, deliveries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, false, func, select, union

from alerts.one_shot import DRIFT
from alerts.service_alert import HEARTBEAT, SERVICE_ORIGIN
from streamer.errors import TapewatchError
from streamer.store import tables as t
from streamer.store.database import Database
from streamer.store.receiver_holds import held_by_of

_NUMBER = re.compile(r"-[0-9]+$")

NEAR_MISS = "near_miss"
"""The kind of a decision that raised no alert."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Selects alerts; None means any.

    Parameters
    ----------
    rule, symbol, severity, origin
        Exact values.
    since_ns
        Event time at or after this, ns.
    only_open
        True for episodes whose last transition is not their end.
    """

    rule: str | None = None
    symbol: str | None = None
    severity: str | None = None
    origin: str | None = None
    since_ns: int | None = None
    only_open: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """One transition with everything that the store has about it.

    Parameters
    ----------
    alert
        The body as it was sent.
    decision
        Event, features, scores, rule and versions; empty for a service alert.
    deliveries
        One row per receiver: state, attempts, error, what a stage said (`held_by`), and the beginning of
        what the receiver answered to the last attempt that failed (`answer`).
    behind_s
        How far behind the newest record of its log it was found, in seconds; None where that is unknown.
    """

    alert: Mapping[str, Any]
    decision: Mapping[str, Any]
    deliveries: Sequence[Mapping[str, Any]]
    behind_s: float | None = None


def alerts(database: Database, wanted: AlertFilter, limit: int | None) -> list[dict[str, Any]]:
    """Bodies of the newest `limit` transitions, oldest first; heartbeats only if their rule is selected."""
    return [body for body, _ in alerts_and_lag(database, wanted, limit)]


def alerts_and_lag(
    database: Database, wanted: AlertFilter, limit: int | None
) -> list[tuple[dict[str, Any], float | None]]:
    """As `alerts`, with how far behind the newest record of its log each was found, in seconds, if known."""
    query = _filtered(select(t.outbox.c.body, t.outbox.c.behind_s), wanted).order_by(t.outbox.c.n.desc())
    if limit is not None:
        query = query.limit(limit)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [(json.loads(body), behind_s) for body, behind_s in reversed(rows)]


def delivery_counts(database: Database) -> list[dict[str, Any]]:
    """How many deliveries each receiver has in each state, with an error and an answer of those not done."""
    c = t.deliveries.c
    query = (
        select(
            c.receiver,
            c.state,
            func.count().label("count"),
            func.max(c.error).label("error"),
            func.max(c.answer).label("answer"),
        )
        .group_by(c.receiver, c.state)
        .order_by(c.receiver, c.state)
    )
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def find_alert_id(database: Database, prefix: str) -> str:
    """The id of the alert or near miss that begins with `prefix`.

    Parameters
    ----------
    database
        The open store.
    prefix
        As messages and tables show it, or all of it; what logs append, the transition's number, is left out.

    Raises
    ------
    TapewatchError
        When there is none, or more than one.
    """
    wanted = _NUMBER.sub("", prefix.strip().lower())
    o, d = t.outbox.c.alert_id, t.decisions.c.alert_id
    near = t.decisions.c.kind == NEAR_MISS
    query = union(
        select(o).where(o.startswith(wanted, autoescape=True)),
        select(d).where(near, d.startswith(wanted, autoescape=True)),
    ).limit(3)
    with database.read() as connection:
        ids = connection.execute(query).scalars().all()
    if not ids:
        raise TapewatchError(
            f"no alert and no near miss {prefix!r} in {database.where}; `tapewatch alerts` lists alerts, "
            "with --near-misses what was held back"
        )
    if len(ids) > 1:
        raise TapewatchError(
            f"{prefix!r} is the beginning of several alerts ({', '.join(ids)}): give more of it"
        )
    return str(ids[0])


def explain(database: Database, alert_id: str) -> list[Explained]:
    """All transitions of one alert, in order."""
    o, d, v = t.outbox.c, t.decisions.c, t.deliveries.c
    transitions = select(o.number, o.body, o.behind_s).where(o.alert_id == alert_id).order_by(o.number)
    decisions = select(d.number, d.body).where(d.alert_id == alert_id, d.kind == "transition")
    deliveries = (
        select(v.number, v.receiver, v.state, v.attempts, v.error, v.held_by, v.answer)
        .where(v.alert_id == alert_id)
        .order_by(v.number, v.receiver)
    )
    with database.read() as connection:
        why = {row.number: json.loads(row.body) for row in connection.execute(decisions)}
        held = held_by_of(connection, alert_id)
        sent: dict[int, list[Mapping[str, Any]]] = {}
        for row in connection.execute(deliveries).mappings():
            held_by = row["held_by"] or held.get((row["number"], row["receiver"]))
            sent.setdefault(row["number"], []).append({**row, "held_by": held_by})
        return [
            Explained(json.loads(row.body), why.get(row.number, {}), sent.get(row.number, ()), row.behind_s)
            for row in connection.execute(transitions)
        ]


def dead_letters(
    database: Database, reason: str | None, limit: int | None, ids: Sequence[int] = ()
) -> list[Row[Any]]:
    """The newest `limit` dead letters that are kept one by one, oldest first."""
    c = t.dead_letters.c
    query = select(t.dead_letters).order_by(c.n.desc())
    if reason is not None:
        query = query.where(c.reason == reason)
    if ids:
        query = query.where(c.n.in_(ids))
    if limit is not None:
        query = query.limit(limit)
    with database.read() as connection:
        return list(reversed(connection.execute(query).all()))


def floods(database: Database, reason: str | None, limit: int | None = None) -> list[Row[Any]]:
    """Dead letters that are only counted: a row for each reason, minute and log; the newest `limit`.

    Topic and partition are those of the first of them.
    """
    c, m = t.dead_letter_floods.c, t.members.c
    query = (
        select(t.dead_letter_floods, m.topic, m.partition)
        .join(t.members, and_(m.task_id == c.task_id, m.place == c.first_member))
        .order_by(c.minute.desc(), c.task_id.desc(), c.reason.desc())
    )
    if reason is not None:
        query = query.where(c.reason == reason)
    if limit is not None:
        query = query.limit(limit)
    with database.read() as connection:
        return list(reversed(connection.execute(query).all()))


@dataclass(frozen=True, slots=True)
class DeadLetterTotal:
    """How many dead letters a topic has for one reason.

    Parameters
    ----------
    topic, reason
        Which.
    kept, counted
        Those that are kept one by one, and those that are only counted.
    """

    topic: str
    reason: str
    kept: int
    counted: int


def dead_letter_totals(
    database: Database, reason: str | None, ids: Sequence[int] = ()
) -> list[DeadLetterTotal]:
    """How many dead letters there are by topic and reason, most first."""
    c, f, m = t.dead_letters.c, t.dead_letter_floods.c, t.members.c
    kept = select(c.topic, c.reason, func.count()).group_by(c.topic, c.reason)
    counted = (
        select(m.topic, f.reason, func.sum(f.count))
        .join(t.members, and_(m.task_id == f.task_id, m.place == f.first_member))
        .group_by(m.topic, f.reason)
    )
    if reason is not None:
        kept, counted = kept.where(c.reason == reason), counted.where(f.reason == reason)
    if ids:
        kept, counted = kept.where(c.n.in_(ids)), counted.where(false())
    totals: dict[tuple[str, str], list[int]] = {}
    with database.read() as connection:
        for place, query in enumerate((kept, counted)):
            for topic, why, count in connection.execute(query):
                totals.setdefault((topic, why), [0, 0])[place] = int(count)
    found = [DeadLetterTotal(*key, *counts) for key, counts in totals.items()]
    return sorted(found, key=lambda each: (-each.kept - each.counted, each.topic, each.reason))


def unused(database: Database) -> dict[str, int]:
    """How many messages there were of each known kind that is not used, by name."""
    c = t.ignored.c
    query = select(c.name, func.sum(c.count)).group_by(c.name).order_by(c.name)
    with database.read() as connection:
        return {name: int(count) for name, count in connection.execute(query)}


def task_statuses(database: Database) -> list[dict[str, Any]]:
    """The last status of each task, with its topic and partition."""
    k, s = t.tasks.c, t.task_status.c
    query = select(k.topic, k.partition, s.body).join(t.task_status, s.task_id == k.id).order_by(k.id)
    with database.read() as connection:
        return [
            {"topic": row.topic, "partition": row.partition, **json.loads(row.body)}
            for row in connection.execute(query)
        ]


def rules_seen(database: Database) -> list[str]:
    """Every rule that has raised an alert in this store, by name."""
    with database.read() as connection:
        return list(connection.scalars(select(t.outbox.c.rule).distinct().order_by(t.outbox.c.rule)))


def instruments_seen(database: Database) -> Sequence[tuple[str | None, str | None]]:
    """Venue and symbol of every instrument that alerts have been about, each pair once."""
    c = t.outbox.c
    with database.read() as connection:
        return [(venue, symbol) for venue, symbol in connection.execute(select(c.venue, c.symbol).distinct())]


def _filtered(query: Select[Any], wanted: AlertFilter) -> Select[Any]:
    c = t.outbox.c
    if wanted.rule is None:
        query = query.where(c.rule != HEARTBEAT)
    for column, value in (
        (c.rule, wanted.rule),
        (c.symbol, wanted.symbol),
        (c.severity, wanted.severity),
        (c.origin, wanted.origin),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since_ns is not None:
        query = query.where(c.ts_event_ns >= wanted.since_ns)
    if wanted.only_open:
        last, later = t.outbox.alias("last"), t.outbox.alias("later")
        after = select(later.c.n).where(later.c.alert_id == last.c.alert_id, later.c.number > last.c.number)
        # an episode may come back after its end: open is what its last transition says
        over = select(last.c.n).where(
            last.c.alert_id == c.alert_id, last.c.transition == "resolved", ~after.exists()
        )
        # alerts about the service and drifts fire once and are never resolved
        query = query.where(c.origin != SERVICE_ORIGIN, c.rule != DRIFT, ~over.exists())
    return query
