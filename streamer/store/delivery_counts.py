"""How many deliveries there are in which state, and what is left to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from streamer.store.database import Database
from streamer.store.delivery_order import BEHIND, next_deferred
from streamer.store.delivery_rows import PARKED, PENDING, TRYING, in_state, is_open
from streamer.store.tables import deliveries, outbox


class DeliveryCounts:
    """What is left to do, and how much there is.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_due(self, receiver: str) -> float | None:
        """When the next delivery that waits for its time is due, None where none does."""
        with self._database.read() as connection:
            return next_deferred(connection, receiver)

    def unfinished(self, receivers: Sequence[str]) -> int:
        """How many episodes have a delivery to these receivers that is being tried or waits for its time.

        Not counted is what waits behind a parked delivery: it is sent only after a person retries that.
        """
        query = select(func.count()).where(_is_unfinished(receivers))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def finished(self, receivers: Sequence[str]) -> bool:
        """True when nothing to these receivers is `unfinished`."""
        with self._database.read() as connection:
            return not connection.execute(select(exists().where(_is_unfinished(receivers)))).scalar_one()

    def told(self, alert_id: str) -> bool:
        """Whether an alert is routed, and none of its deliveries waits to be sent or tried again."""
        d = deliveries.c
        waiting = exists().where(d.alert_id == alert_id, d.state.in_((PENDING, TRYING)))
        query = select(outbox.c.routed, waiting).where(outbox.c.alert_id == alert_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return bool(rows) and all(routed and not waits for routed, waits in rows)

    def waiting(self, receiver: str) -> Mapping[str, int]:
        """How many deliveries to a receiver are ``pending`` or being tried, and how many ``parked``."""
        c = deliveries.c
        query = select(c.state, func.count()).where(c.receiver == receiver, is_open())
        with self._database.read() as connection:
            counts = {state: int(count) for state, count in connection.execute(query.group_by(c.state))}
        pending = counts.get(PENDING, 0) + counts.get(TRYING, 0)
        return {PENDING: pending, PARKED: counts.get(PARKED, 0)}

    def summary(self) -> Mapping[str, Mapping[str, int]]:
        """How many deliveries each receiver has in each state; receivers and states by name."""
        counts: dict[str, dict[str, int]] = defaultdict(dict)
        query = (
            select(deliveries.c.receiver, deliveries.c.state, func.count())
            .group_by(deliveries.c.receiver, deliveries.c.state)
            .order_by(deliveries.c.receiver, deliveries.c.state)
        )
        with self._database.read() as connection:
            for receiver, state, count in connection.execute(query):
                counts[receiver][state] = count
        return dict(counts)


def _is_unfinished(receivers: Sequence[str]) -> ColumnElement[bool]:
    c = deliveries.c
    waiting = and_(in_state(PENDING), c.ready != BEHIND)
    return and_(c.receiver.in_(receivers), is_open(), or_(in_state(TRYING), waiting))
