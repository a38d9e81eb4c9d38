"""The outbox as the notify half reads it: transitions that no receiver has been chosen for yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update

from streamer.store.database import Database, insert_absent
from streamer.store.deliveries import PENDING
from streamer.store.held import Histories
from streamer.store.mutes import muted_rules
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

    def route(
        self, choices: Sequence[tuple[Unrouted, Sequence[str]]], now: float
    ) -> Mapping[tuple[str, str], int]:
        """Owe each transition to its receivers, all in one transaction, but for what is held back.

        Parameters
        ----------
        choices
            Transitions, each with its receivers.
        now
            Wall-clock seconds: which mutes are in force.

        Returns
        -------
        Mapping
            How many were held back, by receiver and state (muted, summarised).
        """
        held: dict[tuple[str, str], int] = defaultdict(int)
        # lost with the machine it is done again: nothing is sent before its claim, which is on disk
        with self._database.write(synced=False) as connection:
            muted = muted_rules(connection, now)
            history = Histories(connection, [row.alert_id for row, _ in choices])
            for row, receivers in choices:
                for receiver in receivers:
                    held_back = history.holds_back(row, receiver, muted.get(row.rule))
                    state, held_by = held_back or (PENDING, None)
                    values = {
                        "outbox_n": row.n,
                        "alert_id": row.alert_id,
                        "number": row.number,
                        "receiver": receiver,
                        "state": state,
                        "held_by": held_by,
                    }
                    if insert_absent(connection, deliveries, [values]) and held_back:
                        held[receiver, state] += 1
            routed = outbox.c.n.in_([row.n for row, _ in choices])
            connection.execute(update(outbox).where(routed).values(routed=1))
        return held
