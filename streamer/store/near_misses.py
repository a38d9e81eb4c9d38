"""Near misses in the store: conditions that were true and raised no alert."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, literal_column, select

from alerts.durations import duration_s
from streamer.store import tables as t
from streamer.store.database import Database
from streamer.store.queries import NEAR_MISS, AlertFilter


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which near misses are kept.

    Parameters
    ----------
    seconds
        How long, from the time they were written.
    at_most
        How many of the newest.
    """

    seconds: float = duration_s("30d")
    at_most: int = 50_000


def near_misses(database: Database, wanted: AlertFilter, limit: int | None) -> list[dict[str, Any]]:
    """Conditions that were true and raised no alert, oldest first; the newest `limit` of them.

    Each is like an alert's body, with what held it back (`held_by`) and its `decision`. `wanted` selects by
    rule, symbol, severity and time only.
    """
    c = t.decisions.c
    query = select(c.body).where(c.kind == NEAR_MISS).order_by(c.n.desc())
    matching: list[dict[str, Any]] = []
    with database.read() as connection:
        for body in connection.execute(query).scalars():
            if limit is not None and len(matching) >= limit:
                break
            record = _document(body)
            if _is_wanted(record, wanted):
                matching.append(record)
    return matching[::-1]


def near_miss(database: Database, near_miss_id: str) -> dict[str, Any] | None:
    """The near miss with this id, as `near_misses` gives it; None where there is none."""
    c = t.decisions.c
    query = select(c.body).where(c.kind == NEAR_MISS, c.alert_id == near_miss_id)
    with database.read() as connection:
        body = connection.execute(query).scalar()
    return None if body is None else _document(body)


def forget_near_misses(connection: Connection, keeping: Keeping, now: float) -> None:
    """Delete near misses that are too old, and all but the newest of the others.

    Parameters
    ----------
    connection
        Inside a write transaction.
    keeping
        Which are kept.
    now
        Wall-clock seconds.
    """
    c = t.decisions.c
    is_one = c.kind == literal_column(f"'{NEAR_MISS}'")  # a literal, as in the partial indexes on near misses
    newest = select(c.n).where(is_one).order_by(c.n.desc())
    last = connection.execute(newest.offset(keeping.at_most).limit(1)).scalar()
    connection.execute(delete(t.decisions).where(is_one, c.created_at < now - keeping.seconds))
    if last is not None:
        connection.execute(delete(t.decisions).where(is_one, c.n <= last))


def _document(body: bytes) -> dict[str, Any]:
    record = json.loads(body)
    return {**record.pop("near_miss"), "decision": record}


def _is_wanted(near_miss: Mapping[str, Any], wanted: AlertFilter) -> bool:
    same = all(
        value is None or near_miss[name] == value
        for name, value in (
            ("rule", wanted.rule),
            ("symbol", wanted.symbol),
            ("severity", wanted.severity),
        )
    )
    return same and (wanted.since_ns is None or near_miss["ts_event_ns"] >= wanted.since_ns)
