"""The alert that has waited longest for somebody to be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from alerts.stages.importance import HEARTBEATS
from streamer.store.database import Database
from streamer.store.delivery_order import DEFERRED, READY
from streamer.store.delivery_rows import PENDING, TRYING, in_state
from streamer.store.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An alert on its way.

    Parameters
    ----------
    created_at
        When it was committed, wall-clock seconds.
    receiver
        Who waits for it; empty where that has not been decided yet.
    reason
        Why it could not be delivered so far, empty where nothing is known.
    """

    created_at: float
    receiver: str = ""
    reason: str = ""


def oldest_undelivered(database: Database, receivers: Sequence[str]) -> Undelivered | None:
    """The oldest alert that is not routed, or that one of these receivers will be sent by itself.

    Left out are heartbeats, which replace each other, and what is parked or waits behind that: it goes on
    only once somebody has done something, which is told apart.

    Raises
    ------
    StoreError
        When the store does not answer.
    """
    d, o = deliveries.c, outbox.c
    alerts = d.rank != HEARTBEATS
    found: list[Undelivered] = []
    with database.read() as connection:
        unrouted = select(o.created_at).where(o.routed == 0).order_by(o.n).limit(1)
        created_at = connection.execute(unrouted).scalar()
        if created_at is not None:
            found.append(Undelivered(created_at))
        for receiver in receivers:
            for which in (in_state(TRYING), in_state(PENDING) & d.ready.in_((READY, DEFERRED))):
                first = select(func.min(d.n)).where(d.receiver == receiver, which, alerts)
                query = (
                    select(o.created_at, d.error, d.held_by)
                    .join(outbox, o.n == d.outbox_n)
                    .where(d.n == first.scalar_subquery())
                )
                found += [
                    Undelivered(row.created_at, receiver, row.error or row.held_by or "")
                    for row in connection.execute(query)
                ]
    return min(found, key=lambda each: each.created_at, default=None)
