"""The outbox as notify reads it: transitions whose receivers are not chosen yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from streamer.store.database import Database, insert_absent
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
    rule, severity, transition
        As in the body.
    body
        The alert as stored, canonical JSON.
    """

    n: int
    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery that is to be kept.

    Parameters
    ----------
    row
        The transition.
    receiver
        Who gets it.
    state
        ``pending``, or what the stage that stopped it said.
    held_by
        Why it is held back, None where it is not.
    """

    row: Unrouted
    receiver: str
    state: str
    held_by: str | None = None


class StoreOutbox:
    """Reads the outbox in order, and keeps who gets what.

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
            select(
                *(outbox.c.n, outbox.c.alert_id, outbox.c.number),
                *(outbox.c.rule, outbox.c.severity, outbox.c.transition, outbox.c.body),
            )
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

    def route(
        self, rows: Sequence[Unrouted], decide: Callable[[Connection], Sequence[NewDelivery]]
    ) -> Sequence[NewDelivery]:
        """Keep who gets these transitions, all in one transaction.

        Parameters
        ----------
        rows
            From `unrouted`.
        decide
            Says which deliveries there are to be, in their order. It is called inside the transaction, so
            that the facts it reads hold until its answer is kept.

        Returns
        -------
        sequence of NewDelivery
            What `decide` said.
        """
        # may be lost with the machine, and is then done again: nothing is sent before a claim is on disk
        with self._database.write(synced=False) as connection:
            new = decide(connection)
            insert_absent(
                connection,
                deliveries,
                [
                    {
                        "outbox_n": each.row.n,
                        "alert_id": each.row.alert_id,
                        "number": each.row.number,
                        "receiver": each.receiver,
                        "state": each.state,
                        "held_by": each.held_by,
                    }
                    for each in new
                ],
            )
            routed = outbox.c.n.in_([row.n for row in rows])
            connection.execute(update(outbox).where(routed).values(routed=1))
        return new
