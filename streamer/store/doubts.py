"""What an older store does not know: deliveries that wait in it may have been sent since."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from streamer.store.delivery_rows import PENDING, in_state
from streamer.store.tables import checkpoints, deliveries, outbox


def doubt_what_waits(connection: Connection) -> float:
    """Mark what is pending as in doubt, so that receivers look for it first.

    Parameters
    ----------
    connection
        Inside a write transaction.

    Returns
    -------
    float
        Since when the store lacks what happened: the last time that it has written down, 0 for none.
    """
    connection.execute(update(deliveries).where(in_state(PENDING)).values(in_doubt=1))
    times = (
        connection.execute(select(func.max(column))).scalar()
        for column in (checkpoints.c.created_at, outbox.c.created_at)
    )
    return max(float(at or 0.0) for at in times)
