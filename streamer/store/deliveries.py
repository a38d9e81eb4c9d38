"""Deliveries in the store: one row per transition and receiver."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, exists, func, insert, or_, select, update

from alerts.receivers.receiver import Delivery
from alerts.stages.stage import AlertTransition, Joined
from streamer.store.database import Database
from streamer.store.delivery_rows import (
    DONE,
    PARKED,
    PENDING,
    TRYING,
    blocked,
    claimed_deliveries,
    is_delivery,
    select_open,
    transition_of,
)
from streamer.store.service_alerts import parked, raise_service_alert
from streamer.store.tables import deliveries, delivery_steps, outbox

_REASON_LENGTH = 200  # characters; a reason is a short code, so a receiver's page of HTML is cut
_CHUNK = 500  # rows a statement; SQLite limits the values of one statement


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

    def move_waits(self, by_s: float) -> None:
        """Move the times at which deliveries become due: the wall clock was set by this much."""
        c = deliveries.c
        waiting = and_(c.state.in_((PENDING, TRYING)), c.next_at > 0)
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(waiting).values(next_at=c.next_at + by_s))

    def forget_waits(self, now: float, longest_s: float) -> None:
        """Make due, at a start, what waits longer than it was told to, as the wall clock was set meanwhile.

        That is what was last tried at a time that has not come, and what is not due within `longest_s`. What
        stages held is due as well: they are asked afresh.
        """
        c = deliveries.c
        set_back = or_(c.tried_at > now, c.next_at > now + longest_s)
        which = and_(c.state == PENDING, c.next_at > now, or_(set_back, c.held_by.is_not(None)))
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(which).values(next_at=0.0))

    def due(self, receiver: str, limit: int, now: float) -> Sequence[DueDelivery]:
        """Deliveries whose time has come and whose episode's earlier transitions are done, oldest first."""
        d, o = deliveries.c, outbox.c
        numbers = select_open(receiver, d.n).where(d.next_at <= now).order_by(d.n).limit(limit)
        columns = (d.n, o.alert_id, o.number, o.rule, o.severity, o.transition, o.body)
        query = select(*columns).join_from(deliveries, outbox, o.n == d.outbox_n).order_by(d.n)
        with self._database.read() as connection:
            chosen = connection.scalars(numbers).all()  # first, else all that is due is joined and sorted
            rows = connection.execute(query.where(d.n.in_(chosen))).all() if chosen else ()
            return [DueDelivery(row.n, transition_of(row)) for row in rows]

    def claim(self, receiver: str, due: Sequence[DueDelivery], now: float) -> Sequence[Delivery]:
        """Mark deliveries as being tried, so that after a crash they come back in doubt.

        Returns
        -------
        sequence of Delivery
            Those that are still pending, oldest first, with the steps done so far. Around a reload another
            sender may have taken the rest.
        """
        if not due:
            return ()
        c = deliveries.c
        with self._database.write() as connection:
            pending = and_(c.n.in_([each.n for each in due]), c.state == PENDING)
            chosen = c.n.in_(connection.scalars(select(c.n).where(pending)).all())
            connection.execute(
                update(deliveries)
                .where(chosen)
                .values(state=TRYING, tried_at=now, attempts=c.attempts + 1, held_by=None)
            )
            return claimed_deliveries(connection, receiver, chosen)

    def hold(self, n: int, stage: str, reason: str, until: float) -> None:
        """Keep why a stage holds a pending delivery, which is not due before `until`."""
        c = deliveries.c
        which = and_(c.n == n, c.state == PENDING)
        with self._database.write(synced=False) as connection:
            connection.execute(
                update(deliveries).where(which).values(held_by=hold_text(stage, reason), next_at=until)
            )

    def hold_due(self, receiver: str, stage: str, reason: str, now: float) -> None:
        """Keep why a stage holds everything that is due at a receiver.

        What waits behind a parked delivery is left out: that is not what it waits for.
        """
        c, text = deliveries.c, hold_text(stage, reason)
        due = and_(c.receiver == receiver, c.state == PENDING, c.next_at <= now)
        which = and_(due, c.held_by.is_distinct_from(text), ~blocked((PARKED,)))
        with self._database.read() as connection:
            if not connection.execute(select(exists().where(which))).scalar_one():
                return  # looked at again and again while it is held: only a change is worth a transaction
        with self._database.write(synced=False) as connection:
            connection.execute(update(deliveries).where(which).values(held_by=text))

    def forget_holds(self, receiver: str, now: float) -> None:
        """Forget why due deliveries were held: a new sender asks the stages afresh."""
        c = deliveries.c
        held = and_(c.receiver == receiver, c.state == PENDING, c.next_at <= now, c.held_by.is_not(None))
        with self._database.write(synced=False) as connection:
            connection.execute(update(deliveries).where(held).values(held_by=None))

    def stop(self, n: int, state: str, reason: str) -> bool:
        """Never send a delivery; `state` is the stage's word for it. False where it is no longer pending."""
        which = and_(deliveries.c.n == n, deliveries.c.state == PENDING)
        with self._database.write(synced=False) as connection:
            values = {"state": state, "held_by": reason, "error": None}
            return connection.execute(update(deliveries).where(which).values(**values)).rowcount > 0

    def join(self, receiver: str, joined: Joined, now: float) -> Delivery | None:
        """Put one delivery in the place of several.

        Returns
        -------
        Delivery or None
            The one, claimed already; None, with nothing changed, where one of those it stands for is no
            longer pending.
        """
        alert, c = joined.alert, deliveries.c
        members = [member.n for member in joined.members]
        chunks = [
            and_(c.n.in_(members[start : start + _CHUNK]), c.state == PENDING)
            for start in range(0, len(members), _CHUNK)
        ]
        with self._database.write() as connection:
            counts = [connection.execute(select(func.count()).where(chunk)).scalar_one() for chunk in chunks]
            if sum(counts) != len(members):
                return None
            raise_service_alert(connection, alert, now, routed=True)
            n = connection.execute(select(outbox.c.n).where(outbox.c.alert_id == alert.id)).scalar_one()
            own = {"alert_id": alert.id, "number": alert.number, "receiver": receiver, "state": TRYING}
            connection.execute(insert(deliveries).values(outbox_n=n, attempts=1, tried_at=now, **own))
            values = {"state": joined.state, "held_by": joined.reason, "error": None}
            for chunk in chunks:
                connection.execute(update(deliveries).where(chunk).values(**values))
            (claimed,) = claimed_deliveries(connection, receiver, c.outbox_n == n)
        return claimed

    def next_due(self, receiver: str) -> float | None:
        """When the next delivery is due, None while none will be by itself."""
        with self._database.read() as connection:
            return connection.execute(select_open(receiver, func.min(deliveries.c.next_at))).scalar()

    def unfinished(self, receivers: Sequence[str]) -> int:
        """How many deliveries to these receivers are being tried or wait for their time.

        Not counted is what waits behind a parked delivery: it is sent only after a person retries that.
        """
        with self._database.read() as connection:
            waiting = and_(deliveries.c.state == PENDING, ~blocked())
            query = select(func.count()).where(
                deliveries.c.receiver.in_(receivers), or_(deliveries.c.state == TRYING, waiting)
            )
            return connection.execute(query).scalar_one()

    def told(self, alert_id: str) -> bool:
        """Whether an alert is routed, and none of its deliveries waits to be sent or tried again."""
        d = deliveries.c
        waiting = exists().where(d.alert_id == alert_id, d.state.in_((PENDING, TRYING)))
        query = select(outbox.c.routed, waiting).where(outbox.c.alert_id == alert_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return bool(rows) and all(routed and not waits for routed, waits in rows)

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
        values = {"state": DONE, "done_at": now, "in_doubt": 0, "error": None, "answer": None}
        self._set([(delivery, values) for delivery in deliveries])

    def retry(self, delivery: Delivery, at: float, reason: str, in_doubt: bool) -> None:
        """Try again, not before `at`; what was in doubt stays in doubt."""
        doubt = int(in_doubt or delivery.in_doubt)
        values = {"state": PENDING, "next_at": at, "in_doubt": doubt, "error": reason[:_REASON_LENGTH]}
        self._set([(delivery, {**values, "answer": delivery.answer or None})])

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
                .where(is_delivery(delivery))
                .values(
                    state=PARKED,
                    error=reason,
                    in_doubt=int(delivery.in_doubt),
                    answer=delivery.answer or None,
                )
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
                connection.execute(update(deliveries).where(is_delivery(delivery)).values(**values))
