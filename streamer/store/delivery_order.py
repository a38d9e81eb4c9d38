"""The order of deliveries to a receiver: which could be sent now, and which come after others.

Of each episode's deliveries to a receiver only the first that is open may be sent. `deliveries.ready` says
what a delivery is, so that the most important one that is due is found by an index, whatever else waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)

from streamer.store.chunks import CHUNK, chunks
from streamer.store.delivery_rows import PENDING, in_state, is_open
from streamer.store.tables import deliveries

BEHIND: Final = 0
"""An earlier one of its episode is open at the receiver."""
READY: Final = 1
"""It comes next in its episode, and its time has come."""
DEFERRED: Final = 2
"""It comes next in its episode, and is due at `next_at`."""

_c = deliveries.c
_is_ready = _c.ready == literal_column(str(READY))


def is_deferred() -> ColumnElement[bool]:
    """Selects pending deliveries that wait for their time."""
    return and_(in_state(PENDING), _c.ready == literal_column(str(DEFERRED)))


# made once: building a statement costs more than running it
_READY_THERE = select(_c.n).where(_c.receiver == bindparam("to"), in_state(PENDING), _is_ready)
_FIRST = _READY_THERE.order_by(_c.rank, _c.n).limit(bindparam("most"))
_OF_RANK = _READY_THERE.where(_c.rank == bindparam("level"), _c.n > bindparam("after"))
_OF_RANK = _OF_RANK.order_by(_c.n).limit(bindparam("most"))
_NEWEST = _READY_THERE.where(_c.rank == bindparam("level")).order_by(_c.n.desc()).limit(1)
_BELOW_RANK = _FIRST.where(_c.rank > bindparam("level"))
_NEXT_DEFERRED = select(func.min(_c.next_at)).where(_c.receiver == bindparam("to"), is_deferred())
_HEAD = (
    select(_c.n)
    .where(_c.receiver == bindparam("to"), _c.alert_id == bindparam("episode"), is_open())
    .order_by(_c.number)
    .limit(1)
    .scalar_subquery()
)
_ADVANCE = (
    update(deliveries)
    .where(_c.n == _HEAD, _c.ready == BEHIND)
    .values(ready=case((_c.next_at > 0, DEFERRED), else_=READY))
)


def most_important(
    connection: Connection, receiver: str, limit: int, after: tuple[int, int | None] | None = None
) -> Sequence[int]:
    """Rows of the deliveries that could be sent to a receiver now, the most important first.

    Those after a rank and row, where these are given; after all of that rank where the row is None.
    """
    if after is None:
        return connection.scalars(_FIRST, {"to": receiver, "most": limit}).all()
    rank, n = after
    given = {"to": receiver, "level": rank}
    found: list[int] = []
    if n is not None:  # two seeks: a comparison of pairs would look at all of the rank
        found += connection.scalars(_OF_RANK, {**given, "after": n, "most": limit})
    if len(found) < limit:
        found += connection.scalars(_BELOW_RANK, {**given, "most": limit - len(found)})
    return found


def newest(connection: Connection, receiver: str, ranks: Iterable[int]) -> int:
    """The newest row of these ranks that could be sent to a receiver now; 0 where there is none."""
    found = [connection.execute(_NEWEST, {"to": receiver, "level": rank}).scalar() for rank in ranks]
    return max((n for n in found if n is not None), default=0)


def make_due(connection: Connection, receiver: str, now: float) -> int:
    """Make those ready whose time has come; how many there were, `CHUNK` at most."""
    query = select(_c.n).where(_c.receiver == receiver, is_deferred(), _c.next_at <= now)
    rows = connection.scalars(query.order_by(_c.next_at).limit(CHUNK)).all()
    connection.execute(
        update(deliveries).where(_c.n.in_(rows), is_deferred()).values(ready=READY, next_at=0.0)
    )
    return len(rows)


def next_deferred(connection: Connection, receiver: str) -> float | None:
    """When the next delivery to a receiver that waits for its time is due; None where none does."""
    return connection.execute(_NEXT_DEFERRED, {"to": receiver}).scalar()


def advance(connection: Connection, receiver: str, alert_ids: Iterable[str]) -> None:
    """Make the next delivery of each episode ready, after one before it was done or held back for good."""
    keys: list[dict[str, Any]] = [{"to": receiver, "episode": alert_id} for alert_id in alert_ids]
    if keys:
        connection.execute(_ADVANCE, keys)


def with_more_open(connection: Connection, receiver: str, alert_ids: Sequence[str]) -> list[str]:
    """Those of these episodes that have an open delivery to the receiver."""
    found: set[str] = set()
    for some in chunks(alert_ids):
        query = select(_c.alert_id).where(_c.receiver == receiver, _c.alert_id.in_(some), is_open())
        found.update(connection.scalars(query))
    return sorted(found)


def hasten(connection: Connection, ranks: Iterable[tuple[int, int]]) -> None:
    """Give deliveries the rank of a more important one behind them; pairs of row and rank."""
    statement = update(deliveries).where(_c.n == bindparam("row")).values(rank=bindparam("to"))
    values = [{"row": n, "to": rank} for n, rank in ranks]
    if values:
        connection.execute(statement, values)


def supersede(connection: Connection, rows: Iterable[tuple[int, str]], state: str) -> None:
    """Hold pending deliveries back for good that a newer one overtakes; pairs of row and reason.

    The caller makes what is behind them ready.
    """
    statement = update(deliveries).where(_c.n == bindparam("row"), in_state(PENDING))
    values = [{"row": n, "why": reason} for n, reason in rows]
    if values:
        connection.execute(statement.values(state=state, held_by=bindparam("why"), error=None), values)
