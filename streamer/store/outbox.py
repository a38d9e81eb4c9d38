"""The outbox as the notify half reads it: transitions that no receiver has been chosen for yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update

from streamer.store.database import Database, insert_absent
from streamer.store.deliveries import PENDING
from streamer.store.tables import deliveries, outbox


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A transition in the outbox that is not routed.

    Parameters
    ----------
    n
        Its place in the outbox.
    alert_id, number
        The episode, and the transition's number in it.
    body
        The alert as stored, canonical JSON.
    """

    n: int
    alert_id: str
    number: int
    body: bytes


class StoreOutbox:
    """Reads the outbox in order, and writes down who gets what.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unrouted(self, limit: int) -> Sequence[Unrouted]:
        """The oldest transitions that are not routed, at most `limit`."""
        query = (
            select(outbox.c.n, outbox.c.alert_id, outbox.c.number, outbox.c.body)
            .where(outbox.c.routed == 0)
            .order_by(outbox.c.n)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Unrouted(*row) for row in connection.execute(query)]

    def unrouted_count(self) -> int:
        """How many transitions are not routed."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(outbox).where(outbox.c.routed == 0)
            return connection.execute(query).scalar_one()

    def told(self, alert_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """By episode: the receivers that earlier transitions of it went to."""
        found: dict[str, set[str]] = defaultdict(set)
        query = (
            select(deliveries.c.alert_id, deliveries.c.receiver)
            .where(deliveries.c.alert_id.in_(sorted(set(alert_ids))))
            .distinct()
        )
        with self._database.read() as connection:
            for alert_id, receiver in connection.execute(query):
                found[alert_id].add(receiver)
        return {alert_id: frozenset(receivers) for alert_id, receivers in found.items()}

    def route(self, choices: Sequence[tuple[Unrouted, Sequence[str]]]) -> None:
        """Owe each transition to its receivers, all in one transaction."""
        rows = [
            {
                "outbox_n": row.n,
                "alert_id": row.alert_id,
                "number": row.number,
                "receiver": receiver,
                "state": PENDING,
            }
            for row, receivers in choices
            for receiver in receivers
        ]
        routed = outbox.c.n.in_([row.n for row, _ in choices])
        with self._database.write() as connection:
            insert_absent(connection, deliveries, rows)
            connection.execute(update(outbox).where(routed).values(routed=1))
