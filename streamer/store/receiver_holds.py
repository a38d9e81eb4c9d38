"""What stages said of all of one importance that is due at a receiver: one row, however much waits."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from streamer.store.delivery_order import READY
from streamer.store.delivery_rows import PENDING, in_state
from streamer.store.tables import deliveries, receiver_holds


def hold_text(stage: str, reason: str) -> str:
    """What is stored of a hold.

    Examples
    --------
    >>> hold_text("cap", "20 messages a minute were sent")
    'cap: 20 messages a minute were sent'
    """
    return f"{stage}: {reason}"


def hold_rank(connection: Connection, receiver: str, rank: int, held_by: str) -> None:
    """Keep why nothing of a rank goes to a receiver."""
    release_ranks(connection, receiver, (rank,))
    connection.execute(insert(receiver_holds).values(receiver=receiver, rank=rank, held_by=held_by))


def release_ranks(connection: Connection, receiver: str, ranks: Collection[int] | None = None) -> None:
    """Forget why nothing of these ranks went to a receiver, None for any."""
    c = receiver_holds.c
    statement = delete(receiver_holds).where(c.receiver == receiver)
    connection.execute(statement if ranks is None else statement.where(c.rank.in_(ranks)))


def held_ranks(connection: Connection, receiver: str, stage: str) -> frozenset[int]:
    """The ranks of which a stage holds all that is due at a receiver."""
    c = receiver_holds.c
    of_stage = c.held_by.startswith(hold_text(stage, ""), autoescape=True)
    return frozenset(connection.scalars(select(c.rank).where(c.receiver == receiver, of_stage)))


def held_by_of(connection: Connection, alert_id: str) -> dict[tuple[int, str], str]:
    """Why deliveries of an episode wait with all of their rank, by number and receiver."""
    d, h = deliveries.c, receiver_holds.c
    query = (
        select(d.number, d.receiver, h.held_by)
        .join(receiver_holds, (h.receiver == d.receiver) & (h.rank == d.rank))
        .where(d.alert_id == alert_id, in_state(PENDING), d.ready == READY)
    )
    return {(row.number, row.receiver): row.held_by for row in connection.execute(query)}
