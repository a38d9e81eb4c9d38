"""Deliveries in the store: one row per transition and receiver."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, insert, or_, select, update

from alerts.receivers.receiver import Delivery
from streamer.store.database import Database
from streamer.store.service_alerts import parked, raise_service_alert
from streamer.store.summaries import replaceable, summary
from streamer.store.tables import deliveries, delivery_steps, outbox

PENDING, TRYING, DONE, PARKED = "pending", "trying", "done", "parked"
MUTED, SUMMARISED = "muted", "summarised"
HELD_BACK = (MUTED, SUMMARISED)
"""States of what is never sent as itself, by somebody's wish or by a cap; `held_by` says why."""

_REASON_LENGTH = 200  # characters; reasons are names, and a table is no place for a page of HTML
_FEWEST_SUMMARISED = 2  # one that waits may as well go out itself
_CHUNK = 500  # rows a statement; SQLite bounds how many values one may have
_earlier = deliveries.alias("earlier")


class StoreDeliveries:
    """Deliveries of a `Database`; every call is one short transaction.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def recover(self) -> int:
        """Take back what a process that is gone was trying; all of it is in doubt.

        Returns
        -------
        int
            How many there were.
        """
        with self._database.write() as connection:
            return connection.execute(
                update(deliveries)
                .where(deliveries.c.state == TRYING)
                .values(state=PENDING, in_doubt=1, next_at=0.0)
            ).rowcount

    def claim(self, receiver: str, limit: int, now: float) -> Sequence[Delivery]:
        """Due deliveries whose episode's earlier transitions are done there, oldest first.

        They are marked as being tried before this returns, so that after a crash they come back in doubt.
        """
        query = (
            _select_open(receiver, deliveries.c.n).where(deliveries.c.next_at <= now).order_by(deliveries.c.n)
        )
        with self._database.read() as connection:
            numbers = connection.scalars(query.limit(limit)).all()
        if not numbers:
            return ()
        with self._database.write() as connection:
            chosen = deliveries.c.n.in_(numbers)
            connection.execute(
                update(deliveries)
                .where(chosen)
                .values(state=TRYING, tried_at=now, attempts=deliveries.c.attempts + 1)
            )
            return _claimed(connection, receiver, chosen)

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        """When deliveries were tried that arrived, or may have, from this time on."""
        c = deliveries.c
        arrived = or_(c.state == DONE, c.in_doubt == 1)
        query = select(c.tried_at).where(c.receiver == receiver, c.tried_at >= since, arrived)
        with self._database.read() as connection:
            return [float(at) for at in connection.scalars(query)]

    def summarise(self, receiver: str, cap: int, now: float) -> tuple[Delivery, int] | None:
        """Replace all that waits there by one delivery that counts and names it.

        Returns
        -------
        (Delivery, int) or None
            The one, claimed already, and how many it stands for; None, with nothing changed, where those
            would be fewer than two.
        """
        # only this receiver's thread takes away from what is pending, so what is read here is still there
        with self._database.read() as connection:
            waiting = replaceable(connection, receiver)
        if len(waiting) < _FEWEST_SUMMARISED:
            return None
        alert = summary(receiver, cap, waiting, now)
        with self._database.write() as connection:
            raise_service_alert(connection, alert, now, routed=True)
            n = connection.execute(select(outbox.c.n).where(outbox.c.alert_id == alert.id)).scalar_one()
            own = {"alert_id": alert.id, "number": 0, "receiver": receiver, "state": TRYING}
            connection.execute(insert(deliveries).values(outbox_n=n, attempts=1, tried_at=now, **own))
            key = f"{alert.id}-{alert.number}"
            for start in range(0, len(waiting), _CHUNK):
                some = [row.n for row in waiting[start : start + _CHUNK]]
                connection.execute(
                    update(deliveries)
                    .where(deliveries.c.n.in_(some))
                    .values(state=SUMMARISED, held_by=key, error=None)
                )
            (claimed,) = _claimed(connection, receiver, deliveries.c.outbox_n == n)
        return claimed, len(waiting)

    def next_due(self, receiver: str) -> float | None:
        """When `claim` will next find something, None where it will not until more comes."""
        with self._database.read() as connection:
            return connection.execute(_select_open(receiver, func.min(deliveries.c.next_at))).scalar()

    def unfinished(self, receivers: Sequence[str]) -> int:
        """How many deliveries to these receivers are being tried or waiting for their time.

        What waits behind a parked delivery is not counted: it will not move by itself.
        """
        with self._database.read() as connection:
            waiting = and_(deliveries.c.state == PENDING, ~_blocked())
            query = select(func.count()).where(
                deliveries.c.receiver.in_(receivers), or_(deliveries.c.state == TRYING, waiting)
            )
            return connection.execute(query).scalar_one()

    def record_step(self, delivery: Delivery, step: str, result: str) -> None:
        """Remember that a step is done; a step done again replaces what it brought before."""
        key = {"alert_id": delivery.alert_id, "number": delivery.number, "receiver": delivery.receiver}
        with self._database.write() as connection:
            table = delivery_steps
            same = and_(*(table.c[name] == value for name, value in key.items()), table.c.step == step)
            if not connection.execute(update(table).where(same).values(result=result)).rowcount:
                connection.execute(table.insert().values(**key, step=step, result=result))

    def delivered(self, deliveries: Sequence[Delivery], now: float) -> None:
        """These have arrived."""
        values = {"state": DONE, "done_at": now, "in_doubt": 0, "error": None}
        self._set([(delivery, values) for delivery in deliveries])

    def retry(self, delivery: Delivery, at: float, reason: str, in_doubt: bool) -> None:
        """Try again, not before `at`. What was in doubt before stays in doubt."""
        doubt = int(in_doubt or delivery.in_doubt)
        values = {"state": PENDING, "next_at": at, "in_doubt": doubt, "error": reason[:_REASON_LENGTH]}
        self._set([(delivery, values)])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give claimed ones back that were not tried."""
        self._set([(delivery, {"state": PENDING, "attempts": delivery.attempts}) for delivery in deliveries])

    def park(self, delivery: Delivery, reason: str, now: float) -> None:
        """Set aside after a permanent error, and raise a service alert that other receivers get.

        One alert speaks for all that are parked at a receiver for one reason; there is another only
        when that had been cleared up.
        """
        reason = reason[:_REASON_LENGTH]
        same = and_(
            deliveries.c.receiver == delivery.receiver,
            deliveries.c.state == PARKED,
            deliveries.c.error == reason,
        )
        with self._database.write() as connection:
            known = connection.execute(select(exists().where(same))).scalar_one()
            connection.execute(
                update(deliveries)
                .where(_is(delivery))
                .values(state=PARKED, error=reason, in_doubt=int(delivery.in_doubt))
            )
            if not known:
                raise_service_alert(connection, parked(delivery, reason, now), now)

    def unpark(self, receiver: str | None = None) -> int:
        """Send parked deliveries again, of one receiver or of all.

        Returns
        -------
        int
            How many there were.
        """
        which = deliveries.c.state == PARKED
        if receiver is not None:
            which = and_(which, deliveries.c.receiver == receiver)
        with self._database.write() as connection:
            return connection.execute(
                update(deliveries).where(which).values(state=PENDING, next_at=0.0)
            ).rowcount

    def waiting(self, receiver: str) -> Mapping[str, int]:
        """How many deliveries to a receiver are ``pending`` or being tried, and how many ``parked``."""
        c = deliveries.c
        query = select(c.state, func.count()).where(
            c.receiver == receiver, c.state.in_((PENDING, TRYING, PARKED))
        )
        with self._database.read() as connection:
            found = {state: int(count) for state, count in connection.execute(query.group_by(c.state))}
        pending = found.get(PENDING, 0) + found.get(TRYING, 0)
        return {PENDING: pending, PARKED: found.get(PARKED, 0)}

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

    def _set(self, changes: Sequence[tuple[Delivery, Mapping[str, Any]]]) -> None:
        # lost with the machine they are being tried still, as their claim says, and so in doubt
        with self._database.write(synced=False) as connection:
            for delivery, values in changes:
                connection.execute(update(deliveries).where(_is(delivery)).values(**values))


def _claimed(connection: Connection, receiver: str, chosen: ColumnElement[bool]) -> list[Delivery]:
    rows = connection.execute(
        select(deliveries, outbox.c.body, outbox.c.created_at)
        .join(outbox, outbox.c.n == deliveries.c.outbox_n)
        .where(chosen)
        .order_by(deliveries.c.n)
    ).all()
    steps = _steps(connection, receiver, [row.alert_id for row in rows])
    return [_delivery(row, steps[row.alert_id]) for row in rows]


def _is(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        deliveries.c.alert_id == delivery.alert_id,
        deliveries.c.number == delivery.number,
        deliveries.c.receiver == delivery.receiver,
    )


def _blocked() -> ColumnElement[bool]:
    return exists().where(
        _earlier.c.alert_id == deliveries.c.alert_id,
        _earlier.c.receiver == deliveries.c.receiver,
        _earlier.c.number < deliveries.c.number,
        _earlier.c.state.not_in((DONE, *HELD_BACK)),
    )


def _select_open(receiver: str, *columns: Any) -> Select[Any]:
    return select(*columns).where(
        deliveries.c.receiver == receiver, deliveries.c.state == PENDING, ~_blocked()
    )


def _steps(
    connection: Connection, receiver: str, alert_ids: Sequence[str]
) -> Mapping[str, dict[int, dict[str, str]]]:
    found: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    query = (
        select(delivery_steps)
        .where(delivery_steps.c.receiver == receiver, delivery_steps.c.alert_id.in_(alert_ids))
        .order_by(delivery_steps.c.number)
    )
    for row in connection.execute(query):
        found[row.alert_id][row.number][row.step] = row.result
    return found


def _delivery(row: Row[Any], steps: Mapping[int, Mapping[str, str]]) -> Delivery:
    return Delivery(
        alert_id=row.alert_id,
        number=row.number,
        receiver=row.receiver,
        body=row.body,
        attempts=row.attempts - 1,  # without the one this claim is for
        in_doubt=bool(row.in_doubt),
        steps=dict(steps.get(row.number, {})),
        earlier=tuple(dict(done) for number, done in sorted(steps.items()) if number < row.number),
        created_at=row.created_at,
    )
