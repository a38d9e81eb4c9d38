"""What an older store does not know: deliveries that wait in it may have been sent since."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, literal_column, select, update

from streamer.store.commits import upsert
from streamer.store.delivery_rows import PENDING, in_state
from streamer.store.tables import checkpoints, deliveries, meta, outbox

_OLDER_KEY = "older"


def why_older(connection: Connection) -> str:
    """Why the store is known to be older than it was, and has not told so yet; empty where it is not."""
    return str(connection.execute(select(meta.c.value).where(meta.c.key == _OLDER_KEY)).scalar() or "")


def set_older(connection: Connection, why: str) -> None:
    """Keep why the store is older than it was, until that is told; empty once it is."""
    if why:
        upsert(connection, meta, {"key": _OLDER_KEY, "value": why})
    else:
        connection.execute(delete(meta).where(meta.c.key == _OLDER_KEY))


def doubt_what_waits(connection: Connection) -> float:
    """Mark what is pending, or not routed yet, as in doubt, so that receivers look for it first.

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
    unrouted = (outbox.c.routed == literal_column("0"), outbox.c.doubtful_since.is_(None))
    connection.execute(update(outbox).where(*unrouted).values(doubtful_since=outbox.c.created_at))
    times = (
        connection.execute(select(func.max(column))).scalar()
        for column in (checkpoints.c.created_at, outbox.c.created_at)
    )
    return max(float(at or 0.0) for at in times)
