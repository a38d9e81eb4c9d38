"""How many deliveries there are in which state, and what is left to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, exists, func, select

from streamer.store.database import Database
from streamer.store.delivery_order import DEFERRED, READY, next_deferred
from streamer.store.delivery_rows import PARKED, PENDING, TRYING, in_state
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
        with self._database.read() as connection:
            counts = [select(func.count()).where(which) for which in _unfinished(receivers)]
            return sum(connection.execute(count).scalar_one() for count in counts)

    def finished(self, receivers: Sequence[str]) -> bool:
        """True when nothing to these receivers is `unfinished`."""
        with self._database.read() as connection:
            found = [select(exists().where(which)) for which in _unfinished(receivers)]
            return not any(connection.execute(exist).scalar_one() for exist in found)

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
        of_receiver = deliveries.c.receiver == receiver
        with self._database.read() as connection:
            counts = {
                state: connection.execute(
                    select(func.count()).where(of_receiver, in_state(state))
                ).scalar_one()
                for state in (PENDING, TRYING, PARKED)
            }
        return {PENDING: counts[PENDING] + counts[TRYING], PARKED: counts[PARKED]}

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


def _unfinished(receivers: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    """Selects what is being tried, and what waits behind none of its episode: each by an index of its own."""
    c = deliveries.c
    to = c.receiver.in_(receivers)
    return and_(to, in_state(TRYING)), and_(to, in_state(PENDING), c.ready.in_((READY, DEFERRED)))
