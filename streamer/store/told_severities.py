"""How severe a receiver was told that an episode is."""

from __future__ import annotations

from sqlalchemy import select

from alerts.receivers.receiver import Delivery
from alerts.severity import severity_rank
from alerts.stages.view import MUTED, SENT_STATES
from streamer.store import tables as t
from streamer.store.database import Database

_ARRIVED = "done"
_UNTOLD = frozenset({*SENT_STATES, MUTED, "superseded"} - {_ARRIVED})


def told_severity(database: Database, delivery: Delivery) -> str | None:
    """The highest severity of the episode's earlier transitions that its receiver got, None for none of them.

    One that was named in a summary counts as told.
    """
    if delivery.number == 0:
        return None
    d, o = t.deliveries.c, t.outbox.c
    query = (
        select(o.severity)
        .join_from(t.deliveries, t.outbox, o.n == d.outbox_n)
        .where(
            d.alert_id == delivery.alert_id,
            d.receiver == delivery.receiver,
            d.number < delivery.number,
            d.state.not_in(_UNTOLD),
        )
        .distinct()
    )
    with database.read() as connection:
        told = connection.scalars(query).all()
    return max(told, key=severity_rank, default=None)
