"""What a test may ask of a store's file while the daemon writes to it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

STILL_TO_BE_SENT = "state IN ('pending', 'trying', 'parked')"


def ask(store: Path, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Rows of a query; none where the store or its tables are not there yet."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=20)) as connection:
        try:
            return connection.execute(query, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def bodies(store: Path) -> list[bytes]:
    """The bodies of every alert that detection raised, sorted by id and transition."""
    rows = ask(store, "SELECT body FROM outbox WHERE origin = 'detect' ORDER BY alert_id, number")
    return [row[0] for row in rows]


def sorted_lines(path: Path) -> list[bytes]:
    """The alerts of a file, sorted by id and transition."""
    return sorted(path.read_bytes().splitlines(), key=lambda line: identity(json.loads(line)))


def identity(alert: dict[str, Any]) -> tuple[str, int]:
    return alert["id"], alert["number"]


def consumed(store: Path) -> int:
    """One past the last offset that the store's checkpoints and journal speak of, summed over the tasks."""
    checkpoint = dict(
        ask(store, "SELECT task_id, max(json_extract(positions, '$[0]')) FROM checkpoints GROUP BY task_id")
    )
    journal = ask(store, "SELECT task_id, max(last) + 1 FROM journal WHERE kind = 'batch' GROUP BY task_id")
    for task, position in journal:
        checkpoint[task] = max(position, checkpoint.get(task, 0))
    return sum(checkpoint.values())


def sent(store: Path, receiver: str) -> list[bytes]:
    """The bodies that a receiver was sent, as `bodies`: all, but for updates that newer ones overtook."""
    rows = ask(
        store,
        "SELECT body, state, transition FROM deliveries JOIN outbox ON outbox.n = deliveries.outbox_n"
        " WHERE receiver = ? AND origin = 'detect' ORDER BY outbox.alert_id, outbox.number",
        receiver,
    )
    left_out = [(state, transition) for _, state, transition in rows if state != "done"]
    assert set(left_out) <= {("superseded", "updated")}, left_out
    return [body for body, state, _ in rows if state == "done"]


def undelivered(store: Path) -> int:
    """Transitions without routes, and deliveries that are still to be sent."""
    unrouted = ask(store, "SELECT count(*) FROM outbox WHERE routed = 0")
    waiting = ask(store, f"SELECT count(*) FROM deliveries WHERE {STILL_TO_BE_SENT}")
    return sum(row[0] for row in (*unrouted, *waiting))
