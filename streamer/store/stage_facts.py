"""Answers to the questions that stages ask of the store."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, exists, or_, select

from alerts.stages.view import EpisodeAtReceiver, WaitingDelivery
from streamer.store.deliveries import hold_text
from streamer.store.delivery_rows import DONE, PARKED, PENDING, TRYING, blocked
from streamer.store.tables import deliveries, outbox


def episodes_at_receivers(
    connection: Connection, alert_ids: Sequence[str]
) -> dict[tuple[str, str], EpisodeAtReceiver]:
    """What became of these episodes so far, by episode and receiver."""
    d, o = deliveries.c, outbox.c
    query = (
        select(d.alert_id, d.receiver, d.state, d.held_by, o.severity)
        .join(outbox, o.n == d.outbox_n)
        .where(d.alert_id.in_(sorted(set(alert_ids))))
        .order_by(d.n)
    )
    episodes: dict[tuple[str, str], EpisodeAtReceiver] = {}
    for row in connection.execute(query):
        key = row.alert_id, row.receiver
        before = episodes.get(key, EpisodeAtReceiver())
        episodes[key] = before.after(row.state, row.held_by, row.severity)
    return episodes


def sent_since(connection: Connection, receiver: str, since: float) -> list[float]:
    """When deliveries were tried after `since` that arrived, or may have; wall-clock seconds, in order."""
    c = deliveries.c
    arrived = or_(c.state == DONE, c.in_doubt == 1)
    query = select(c.tried_at).where(c.receiver == receiver, c.tried_at > since, arrived).order_by(c.tried_at)
    return [float(at) for at in connection.scalars(query)]


def last_of_rule(connection: Connection, receiver: str, rule: str, since: float) -> float | None:
    """When the newest alert of a rule that was tried after `since` at a receiver was raised."""
    d, o = deliveries.c, outbox.c
    query = (
        select(o.created_at)
        .join(deliveries, o.n == d.outbox_n)
        .where(d.receiver == receiver, d.tried_at > since, o.rule == rule)
        .order_by(o.n.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def is_holding(connection: Connection, receiver: str, stage: str, now: float) -> bool:
    """True when a delivery that is due at a receiver was held by this stage."""
    c = deliveries.c
    held = c.held_by.startswith(hold_text(stage, ""), autoescape=True)
    due = exists().where(c.receiver == receiver, c.state == PENDING, c.next_at <= now, held, ~blocked())
    return bool(connection.execute(select(due)).scalar_one())


def waiting_deliveries(connection: Connection, receiver: str, limit: int) -> list[WaitingDelivery]:
    """What waits at a receiver, oldest first."""
    d, o = deliveries.c, outbox.c
    earlier = deliveries.alias()
    heard = exists().where(
        earlier.c.alert_id == d.alert_id,
        earlier.c.receiver == d.receiver,
        earlier.c.number < d.number,
        earlier.c.state == DONE,
    )
    query = (
        select(
            *(d.n, d.alert_id, d.number, d.state, d.in_doubt),
            *(o.rule, o.severity, o.transition, o.venue, o.symbol),
            heard.label("heard"),
        )
        .join(outbox, o.n == d.outbox_n)
        .where(d.receiver == receiver, d.state.in_((PENDING, TRYING, PARKED)))
        .order_by(d.n)
        .limit(limit)
    )
    return [
        WaitingDelivery(
            n=row.n,
            alert_id=row.alert_id,
            number=row.number,
            rule=row.rule,
            severity=row.severity,
            transition=row.transition,
            venue=row.venue,
            symbol=row.symbol,
            parked=row.state == PARKED,
            in_doubt=bool(row.in_doubt) or row.state == TRYING,
            heard=bool(row.heard),
        )
        for row in connection.execute(query)
    ]
