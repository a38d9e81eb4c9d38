"""Deliveries in the store: one row per transition and receiver."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Update, and_, bindparam, exists, func, insert, or_, select, update

from alerts.receivers.receiver import Delivery
from alerts.stages.stage import Joined
from streamer.store.chunks import chunks
from streamer.store.delivery_counts import DeliveryCounts
from streamer.store.delivery_order import (
    DEFERRED,
    READY,
    advance,
    is_deferred,
    make_due,
    most_important,
    newest,
    next_deferred,
    with_more_open,
)
from streamer.store.delivery_rows import (
    DONE,
    PARKED,
    PENDING,
    TRYING,
    in_state,
    is_delivery,
    key_of,
    pending_deliveries,
)
from streamer.store.due_deliveries import DueDelivery, due_deliveries
from streamer.store.receiver_holds import hold_rank, hold_text, release_ranks
from streamer.store.service_alerts import parked, raise_service_alert
from streamer.store.tables import deliveries, delivery_steps, outbox

_REASON_LENGTH = 200  # characters; a reason is a short code, so a receiver's page of HTML is cut


@dataclass(frozen=True, slots=True)
class HeldDelivery:
    """A delivery that a stage holds.

    Parameters
    ----------
    n
        Its row.
    stage, reason
        Who holds it, and why.
    until
        When it is due again; wall-clock seconds.
    """

    n: int
    stage: str
    reason: str
    until: float


class StoreDeliveries(DeliveryCounts):
    """Durable state of deliveries. Every call is one short transaction, from any thread.

    Parameters
    ----------
    database
        The open store.
    """

    def recover(self) -> int:
        """Make what a dead process was trying pending again; all of it may have arrived.

        Returns
        -------
        int
            How many there were.
        """
        with self._database.write() as connection:
            return connection.execute(
                update(deliveries).where(in_state(TRYING)).values(state=PENDING, in_doubt=1, next_at=0.0)
            ).rowcount

    def move_waits(self, by_s: float) -> None:
        """Move the times at which deliveries become due: the wall clock was set by this much."""
        c = deliveries.c
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(is_deferred()).values(next_at=c.next_at + by_s))

    def forget_waits(self, now: float, longest_s: float) -> None:
        """Make due, at a start, what waits longer than it was told to, as the wall clock was set meanwhile.

        That is what was last tried at a time that has not come, and what is not due within `longest_s`. What
        stages held is due as well: they are asked afresh.
        """
        c = deliveries.c
        set_back = or_(c.tried_at > now, c.next_at > now + longest_s)
        which = and_(is_deferred(), c.next_at > now, or_(set_back, c.held_by.is_not(None)))
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(which).values(ready=READY, next_at=0.0))

    def due_at(self, receiver: str, limit: int, now: float) -> Sequence[DueDelivery]:
        """The most important that are due at a time, after those are made ready whose time has come."""
        while True:
            with self._database.read() as connection:
                at = next_deferred(connection, receiver)
                if at is None or at > now:
                    return due_deliveries(connection, most_important(connection, receiver, limit))
            with self._database.write(synced=False) as connection:
                make_due(connection, receiver, now)

    def due(
        self, receiver: str, limit: int, after: tuple[int, int | None] | None = None
    ) -> Sequence[DueDelivery]:
        """The most important deliveries that could be sent now, in the order in which they should be.

        Their time has come, and their episode's earlier transitions are done or held back for good.

        Parameters
        ----------
        receiver, limit
            Where to, and how many.
        after
            Only those after this rank and row; after all of the rank where the row is None.
        """
        with self._database.read() as connection:
            return due_deliveries(connection, most_important(connection, receiver, limit, after))

    def newest(self, receiver: str, ranks: Collection[int]) -> int:
        """The newest row of these ranks that could be sent now; 0 where there is none."""
        with self._database.read() as connection:
            return newest(connection, receiver, ranks)

    def due_of(self, numbers: Sequence[int]) -> Sequence[DueDelivery]:
        """These rows, in their order, where they are pending."""
        with self._database.read() as connection:
            found = {each.n: each for each in due_deliveries(connection, numbers)}
        return [found[n] for n in numbers if n in found]

    def claim(self, receiver: str, due: Sequence[DueDelivery], now: float) -> Sequence[Delivery]:
        """Mark deliveries as being tried, so that after a crash they come back in doubt.

        Returns
        -------
        sequence of Delivery
            Those that are still pending, the most important first, with the steps done so far. Around a
            reload another sender may have taken the rest.
        """
        if not due:
            return ()
        with self._database.write() as connection:
            claimed = pending_deliveries(connection, receiver, [each.n for each in due])
            connection.execute(_TRY, {"numbers": list(claimed), "now": now})
            return list(claimed.values())

    def hold(self, held: Sequence[HeldDelivery]) -> None:
        """Keep why stages hold pending deliveries, each of which is not due before its `until`."""
        c = deliveries.c
        with self._database.write(synced=False) as connection:
            for each in held:
                connection.execute(
                    update(deliveries)
                    .where(c.n == each.n, c.state == PENDING)
                    .values(held_by=hold_text(each.stage, each.reason), next_at=each.until, ready=DEFERRED)
                )

    def hold_rank(self, receiver: str, rank: int, stage: str, reason: str) -> None:
        """Keep why a stage holds everything of a rank that is due at a receiver."""
        with self._database.write(synced=False) as connection:
            hold_rank(connection, receiver, rank, hold_text(stage, reason))

    def release_ranks(self, receiver: str, ranks: Collection[int] | None = None) -> None:
        """Forget that these ranks were held, None for any: some of them goes again, or a sender begins."""
        with self._database.write(synced=False) as connection:
            release_ranks(connection, receiver, ranks)

    def stop(self, n: int, state: str, reason: str) -> bool:
        """Never send a delivery; `state` is the stage's word for it. False where it is no longer pending."""
        c = deliveries.c
        which = and_(c.n == n, c.state == PENDING)
        with self._database.write(synced=False) as connection:
            values = {"state": state, "held_by": reason, "error": None}
            if not connection.execute(update(deliveries).where(which).values(**values)).rowcount:
                return False
            row = connection.execute(select(c.receiver, c.alert_id).where(c.n == n)).one()
            advance(connection, row.receiver, [row.alert_id])
            return True

    def join(self, receiver: str, joined: Joined, now: float) -> bool:
        """Put one delivery in the place of several.

        Returns
        -------
        bool
            False, with nothing changed, where one of those it stands for is no longer pending.
        """
        alert, c = joined.alert, deliveries.c
        members = [member.n for member in joined.members]
        parts = [and_(c.n.in_(some), c.state == PENDING) for some in chunks(members)]
        with self._database.write(synced=False) as connection:
            counts = [connection.execute(select(func.count()).where(part)).scalar_one() for part in parts]
            if sum(counts) != len(members):
                return False
            raise_service_alert(connection, alert, now, routed=True)
            n = connection.execute(select(outbox.c.n).where(outbox.c.alert_id == alert.id)).scalar_one()
            own = {"alert_id": alert.id, "number": alert.number, "receiver": receiver, "state": PENDING}
            connection.execute(insert(deliveries).values(outbox_n=n, rank=joined.rank, **own))
            values = {"state": joined.state, "held_by": joined.reason, "error": None}
            for part in parts:
                connection.execute(update(deliveries).where(part).values(**values))
            episodes = sorted({member.alert_id for member in joined.members})
            advance(connection, receiver, with_more_open(connection, receiver, episodes))
        return True

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
        self._set([(delivery, values) for delivery in deliveries], ends=True)

    def retry(self, delivery: Delivery, at: float, reason: str, in_doubt: bool) -> None:
        """Try again, not before `at`; what was in doubt stays in doubt."""
        doubt = int(in_doubt or delivery.in_doubt)
        values = {"state": PENDING, "next_at": at, "in_doubt": doubt, "error": reason[:_REASON_LENGTH]}
        self._set([(delivery, {**values, "ready": DEFERRED, "answer": delivery.answer or None})])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back claimed deliveries that were not tried, or that are in doubt."""
        doubt = {"in_doubt": 1}
        self._set(
            [
                (each, {"state": PENDING, "attempts": each.attempts, **(doubt if each.in_doubt else {})})
                for each in deliveries
            ]
        )

    def park(self, delivery: Delivery, reason: str, now: float) -> None:
        """Set a delivery aside after a permanent error, and raise a service alert for other receivers.

        One alert covers all that are parked at a receiver for the same reason; the next is raised only
        after those have been retried.
        """
        reason = reason[:_REASON_LENGTH]
        same = and_(
            deliveries.c.receiver == delivery.receiver,
            in_state(PARKED),
            deliveries.c.error == reason,
        )
        with self._database.write() as connection:
            told = connection.execute(select(exists().where(same))).scalar_one()
            connection.execute(
                update(deliveries)
                .where(is_delivery())
                .values(
                    state=PARKED,
                    error=reason,
                    in_doubt=int(delivery.in_doubt),
                    answer=delivery.answer or None,
                ),
                key_of(delivery),
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
        which = in_state(PARKED)
        if receiver is not None:
            which = and_(which, deliveries.c.receiver == receiver)
        with self._database.write() as connection:
            return connection.execute(
                update(deliveries).where(which).values(state=PENDING, next_at=0.0, ready=READY)
            ).rowcount

    def receivers(self) -> Sequence[str]:
        """The names of all that deliveries were ever made to, of those that are kept."""
        with self._database.read() as connection:
            return sorted(connection.execute(select(deliveries.c.receiver).distinct()).scalars())

    def _set(self, changes: Sequence[tuple[Delivery, Mapping[str, Any]]], ends: bool = False) -> None:
        # if the machine loses this, the claim before it is still there: they are tried again, in doubt
        with self._database.write(synced=False) as connection:
            for delivery, values in changes:
                given = {f"new_{name}": value for name, value in values.items()}
                connection.execute(_setting(tuple(values)), {**given, **key_of(delivery)})
                if ends:
                    advance(connection, delivery.receiver, [delivery.alert_id])


# made once: building a statement costs more than running it
_numbers = deliveries.c.n.in_(bindparam("numbers", expanding=True))
_TRY = (
    update(deliveries)
    .where(_numbers)
    .values(state=TRYING, tried_at=bindparam("now"), attempts=deliveries.c.attempts + 1, held_by=None)
)


@cache
def _setting(names: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update(deliveries).where(is_delivery()).values(**values)
