"""Deliveries in the store: one row per transition and receiver."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, insert, or_, select, update

from alerts.receivers.receiver import Delivery
from alerts.stages.stage import AlertTransition, Joined
from alerts.stages.view import SENT_STATES, SUMMARISED
from streamer.store.database import Database
from streamer.store.service_alerts import parked, raise_service_alert
from streamer.store.tables import deliveries, delivery_steps, outbox

PENDING, TRYING, DONE, PARKED = SENT_STATES
"""States of deliveries; any other was said by the stage that stopped it."""

_REASON_LENGTH = 200  # characters; a reason is a short code, so a receiver's page of HTML is cut
_CHUNK = 500  # rows a statement; SQLite limits the values of one statement
_earlier = deliveries.alias("earlier")


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


def hold_text(stage: str, reason: str) -> str:
    """The column `held_by` of a delivery that a stage holds.

    Examples
    --------
    >>> hold_text("cap", "20 messages a minute were sent")
    'cap: 20 messages a minute were sent'
    """
    return f"{stage}: {reason}"


class StoreDeliveries:
    """Durable state of deliveries. Every call is one short transaction, from any thread.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def recover(self) -> int:
        """Make what a dead process was trying pending again; all of it may have arrived.

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

    def due(self, receiver: str, limit: int, now: float) -> Sequence[DueDelivery]:
        """Deliveries whose time has come and whose episode's earlier transitions are done, oldest first."""
        d, o = deliveries.c, outbox.c
        numbers = _select_open(receiver, d.n).where(d.next_at <= now).order_by(d.n).limit(limit)
        columns = (d.n, o.alert_id, o.number, o.rule, o.severity, o.transition, o.body)
        query = select(*columns).join_from(deliveries, outbox, o.n == d.outbox_n).order_by(d.n)
        with self._database.read() as connection:
            chosen = connection.scalars(numbers).all()  # first, else all that is due is joined and sorted
            rows = connection.execute(query.where(d.n.in_(chosen))).all() if chosen else ()
            return [DueDelivery(row.n, _transition(row)) for row in rows]

    def claim(self, receiver: str, due: Sequence[DueDelivery], now: float) -> Sequence[Delivery]:
        """Mark deliveries as being tried, so that after a crash they come back in doubt.

        Returns
        -------
        sequence of Delivery
            The same, oldest first, with the steps done so far.
        """
        if not due:
            return ()
        with self._database.write() as connection:
            chosen = deliveries.c.n.in_([each.n for each in due])
            connection.execute(
                update(deliveries)
                .where(chosen)
                .values(state=TRYING, tried_at=now, attempts=deliveries.c.attempts + 1, held_by=None)
            )
            return _claimed(connection, receiver, chosen)

    def hold(self, n: int, stage: str, reason: str, until: float | None = None) -> None:
        """Keep why a stage holds a delivery; with `until` it is not due before that time."""
        values: dict[str, Any] = {"held_by": hold_text(stage, reason)}
        if until is not None:
            values["next_at"] = until
        c = deliveries.c
        unlike = or_(*(c[name].is_distinct_from(value) for name, value in values.items()))
        with self._database.read() as connection:
            if connection.execute(select(c.n).where(c.n == n, unlike)).scalar() is None:
                return  # looked at again and again while it is held: only a change is worth a transaction
        with self._database.write(synced=False) as connection:
            connection.execute(update(deliveries).where(c.n == n).values(**values))

    def stop(self, n: int, state: str, reason: str) -> None:
        """Never send a delivery; `state` is the stage's word for it."""
        with self._database.write(synced=False) as connection:
            connection.execute(
                update(deliveries).where(deliveries.c.n == n).values(state=state, held_by=reason, error=None)
            )

    def join(self, receiver: str, joined: Joined, now: float) -> Delivery:
        """Put one delivery in the place of several.

        Returns
        -------
        Delivery
            The one, claimed already.
        """
        alert = joined.alert
        with self._database.write() as connection:
            raise_service_alert(connection, alert, now, routed=True)
            n = connection.execute(select(outbox.c.n).where(outbox.c.alert_id == alert.id)).scalar_one()
            own = {"alert_id": alert.id, "number": alert.number, "receiver": receiver, "state": TRYING}
            connection.execute(insert(deliveries).values(outbox_n=n, attempts=1, tried_at=now, **own))
            key = f"{alert.id}-{alert.number}"
            for start in range(0, len(joined.members), _CHUNK):
                chunk = [member.n for member in joined.members[start : start + _CHUNK]]
                connection.execute(
                    update(deliveries)
                    .where(deliveries.c.n.in_(chunk))
                    .values(state=SUMMARISED, held_by=key, error=None)
                )
            (claimed,) = _claimed(connection, receiver, deliveries.c.outbox_n == n)
        return claimed

    def next_due(self, receiver: str) -> float | None:
        """When the next delivery is due, None while none will be by itself."""
        with self._database.read() as connection:
            return connection.execute(_select_open(receiver, func.min(deliveries.c.next_at))).scalar()

    def unfinished(self, receivers: Sequence[str]) -> int:
        """How many deliveries to these receivers are being tried or wait for their time.

        Not counted is what waits behind a parked delivery: it is sent only after a person retries that.
        """
        with self._database.read() as connection:
            waiting = and_(deliveries.c.state == PENDING, ~_blocked())
            query = select(func.count()).where(
                deliveries.c.receiver.in_(receivers), or_(deliveries.c.state == TRYING, waiting)
            )
            return connection.execute(query).scalar_one()

    def record_step(self, delivery: Delivery, step: str, result: str) -> None:
        """Keep the result of a step that is done; a step done again replaces its earlier result."""
        key = {"alert_id": delivery.alert_id, "number": delivery.number, "receiver": delivery.receiver}
        with self._database.write() as connection:
            table = delivery_steps
            same = and_(*(table.c[name] == value for name, value in key.items()), table.c.step == step)
            if not connection.execute(update(table).where(same).values(result=result)).rowcount:
                connection.execute(table.insert().values(**key, step=step, result=result))

    def delivered(self, deliveries: Sequence[Delivery], now: float) -> None:
        """Deliveries have arrived."""
        values = {"state": DONE, "done_at": now, "in_doubt": 0, "error": None}
        self._set([(delivery, values) for delivery in deliveries])

    def retry(self, delivery: Delivery, at: float, reason: str, in_doubt: bool) -> None:
        """Try again, not before `at`; what was in doubt stays in doubt."""
        doubt = int(in_doubt or delivery.in_doubt)
        values = {"state": PENDING, "next_at": at, "in_doubt": doubt, "error": reason[:_REASON_LENGTH]}
        self._set([(delivery, values)])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back claimed deliveries that were not tried."""
        self._set([(delivery, {"state": PENDING, "attempts": delivery.attempts}) for delivery in deliveries])

    def park(self, delivery: Delivery, reason: str, now: float) -> None:
        """Set a delivery aside after a permanent error, and raise a service alert for other receivers.

        One alert covers all that are parked at a receiver for the same reason; the next is raised only
        after those have been retried.
        """
        reason = reason[:_REASON_LENGTH]
        same = and_(
            deliveries.c.receiver == delivery.receiver,
            deliveries.c.state == PARKED,
            deliveries.c.error == reason,
        )
        with self._database.write() as connection:
            told = connection.execute(select(exists().where(same))).scalar_one()
            connection.execute(
                update(deliveries)
                .where(_is(delivery))
                .values(state=PARKED, error=reason, in_doubt=int(delivery.in_doubt))
            )
            if not told:
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

    def _set(self, changes: Sequence[tuple[Delivery, Mapping[str, Any]]]) -> None:
        # if the machine loses this, the claim before it is still there: they are tried again, in doubt
        with self._database.write(synced=False) as connection:
            for delivery, values in changes:
                connection.execute(update(deliveries).where(_is(delivery)).values(**values))


def _transition(row: Any) -> AlertTransition:
    return AlertTransition(
        row.alert_id, row.number, row.rule, row.severity, row.transition, json.loads(row.body)
    )


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
        _earlier.c.state.in_((PENDING, TRYING, PARKED)),
    )


def _select_open(receiver: str, *columns: Any) -> Select[Any]:
    return select(*columns).where(
        deliveries.c.receiver == receiver, deliveries.c.state == PENDING, ~_blocked()
    )


def _steps(
    connection: Connection, receiver: str, alert_ids: Sequence[str]
) -> Mapping[str, dict[int, dict[str, str]]]:
    steps: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    query = (
        select(delivery_steps)
        .where(delivery_steps.c.receiver == receiver, delivery_steps.c.alert_id.in_(alert_ids))
        .order_by(delivery_steps.c.number)
    )
    for row in connection.execute(query):
        steps[row.alert_id][row.number][row.step] = row.result
    return steps


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
