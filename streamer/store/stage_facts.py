"""Answers to the questions that stages ask of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    LargeBinary,
    Row,
    case,
    exists,
    func,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from alerts.severity import SEVERITIES
from alerts.stages.view import EpisodeAtReceiver, Sent, WaitingDelivery
from alerts.subjects import subject_of
from streamer.store.chunks import chunks
from streamer.store.delivery_order import DEFERRED, READY
from streamer.store.delivery_rows import DONE, PARKED, PENDING, TRYING, in_state, is_open
from streamer.store.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class EpisodeDelivery:
    """A delivery of an episode, as routing sees those before it.

    Parameters
    ----------
    n
        Its row.
    alert_id, number, receiver
        The episode, the transition's number in it, and the receiver.
    state, held_by
        What became of it, and why.
    in_doubt
        True when it may have arrived.
    attempts
        How often it has been tried.
    rank
        How important it is.
    severity, transition
        As in the alert.
    """

    n: int
    alert_id: str
    number: int
    receiver: str
    state: str
    held_by: str | None
    in_doubt: bool
    attempts: int
    rank: int
    severity: str
    transition: str


def episode_deliveries(connection: Connection, alert_ids: Sequence[str]) -> list[EpisodeDelivery]:
    """The deliveries of these episodes so far, each receiver's in their order."""
    d, o = deliveries.c, outbox.c
    query = (
        select(
            *(d.n, d.alert_id, d.number, d.receiver, d.state, d.held_by, d.in_doubt, d.attempts, d.rank),
            *(o.severity, o.transition),
        )
        .join(outbox, o.n == d.outbox_n)
        .order_by(d.alert_id, d.number)
    )
    return [
        EpisodeDelivery(**row)
        for some in chunks(sorted(set(alert_ids)))
        for row in connection.execute(query.where(d.alert_id.in_(some))).mappings()
    ]


def episodes_at_receivers(rows: Iterable[EpisodeDelivery]) -> dict[tuple[str, str], EpisodeAtReceiver]:
    """What became of episodes so far, by episode and receiver."""
    episodes: dict[tuple[str, str], EpisodeAtReceiver] = {}
    for row in rows:
        key = row.alert_id, row.receiver
        before = episodes.get(key, EpisodeAtReceiver())
        episodes[key] = before.after(row.state, row.held_by, row.severity, row.transition)
    return episodes


def sent_since(connection: Connection, receiver: str, since: float) -> list[Sent]:
    """Deliveries tried after `since` that arrived, or may have; in order, wall-clock seconds."""
    d, o = deliveries.c, outbox.c
    arrived = or_(d.state == DONE, d.in_doubt == 1)
    query = (
        select(func.coalesce(d.done_at, d.tried_at).label("at"), d.rank, o.rule, o.venue, o.symbol)
        .join(outbox, o.n == d.outbox_n)
        .where(d.receiver == receiver, d.tried_at > since, arrived)
        .order_by(d.tried_at)
    )
    return [
        Sent(float(row.at), row.rank, row.rule, subject_of(row.venue, row.symbol, row.rule))
        for row in connection.execute(query)
    ]


def waiting_deliveries(  # noqa: PLR0913 - those of `StageView.waiting`
    connection: Connection,
    receiver: str,
    limit: int,
    *,
    ranks: Collection[int] | None = None,
    episodes: Collection[str] | None = None,
    bodies: bool = False,
    newest: bool = False,
) -> list[WaitingDelivery]:
    """What waits at a receiver, oldest first; see `alerts.stages.view.StageView.waiting`."""
    d, o = deliveries.c, outbox.c
    earlier = deliveries.alias()
    heard = exists().where(
        earlier.c.alert_id == d.alert_id,
        earlier.c.receiver == d.receiver,
        earlier.c.number < d.number,
        earlier.c.state == DONE,
    )
    body = case((o.severity.in_(_BELOW_CRITICAL), null()), else_=o.body) if bodies else null()
    query = (
        select(
            *(d.n, d.alert_id, d.number, d.state, d.in_doubt, d.rank, d.ready),
            *(o.rule, o.severity, o.transition, o.venue, o.symbol, o.created_at, o.behind_s),
            *(heard.label("heard"), type_coerce(body, LargeBinary).label("body")),
        )
        .join(outbox, o.n == d.outbox_n)
        .order_by(d.n.desc() if newest else d.n)
        .limit(limit)
    )
    if ranks is None:
        query = query.where(d.receiver == receiver, is_open())
    else:
        query = query.where(d.n.in_(_next_of_ranks(receiver, sorted(ranks), limit, newest)))
    queries = [query]
    if episodes is not None:
        queries = [query.where(d.alert_id.in_(some)) for some in chunks(sorted(episodes))]
    found = [_waiting(row) for each in queries for row in connection.execute(each)]
    found.sort(key=lambda each: each.n)
    return found[-limit:] if newest else found[:limit]


_BELOW_CRITICAL = SEVERITIES[:-1]


def _next_of_ranks(receiver: str, ranks: Sequence[int], limit: int, newest: bool) -> CompoundSelect[int]:
    """The oldest, or newest, of each rank that wait behind none of their episode: seeks in an index."""
    d = deliveries.c
    selects = [
        select(
            select(d.n)
            .where(d.receiver == receiver, in_state(PENDING), d.ready == ready, d.rank == rank)
            .order_by(d.n.desc() if newest else d.n)
            .limit(limit)
            .subquery()
        )
        for rank in ranks
        for ready in (READY, DEFERRED)
    ]
    return union_all(*selects)


def _waiting(row: Row[*tuple[Any, ...]]) -> WaitingDelivery:
    return WaitingDelivery(
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
        rank=row.rank,
        since=row.created_at,
        due=row.state == PENDING and row.ready == READY,
        behind_s=row.behind_s,
        body=row.body,
    )
