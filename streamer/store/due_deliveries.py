"""Deliveries that could be sent now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, select

from alerts.stages.stage import AlertTransition
from streamer.store.delivery_rows import PENDING, in_state, transition_of
from streamer.store.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that could be sent now, as far as the store knows.

    Parameters
    ----------
    n
        Its row.
    transition
        What it delivers.
    """

    n: int
    transition: AlertTransition


_DUE = (
    select(
        *(deliveries.c.n, deliveries.c.rank, outbox.c.alert_id, outbox.c.number, outbox.c.rule),
        *(outbox.c.severity, outbox.c.transition, outbox.c.body, outbox.c.behind_s),
    )
    .join_from(deliveries, outbox, outbox.c.n == deliveries.c.outbox_n)
    .where(deliveries.c.n.in_(bindparam("numbers", expanding=True)), in_state(PENDING))
    .order_by(deliveries.c.rank, deliveries.c.n)
)


def due_deliveries(connection: Connection, numbers: Sequence[int]) -> list[DueDelivery]:
    """These rows, the most important first, where they are pending."""
    if not numbers:
        return []
    rows = connection.execute(_DUE, {"numbers": numbers})
    return [DueDelivery(row.n, replace(transition_of(row), rank=row.rank)) for row in rows]
