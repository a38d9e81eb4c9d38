"""Rules that are not to speak for a while."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select

from streamer.store.database import Database
from streamer.store.tables import mutes, outbox


class StoreMutes:
    """The mutes of a store; a running daemon heeds a change with the next alert.

    Parameters
    ----------
    database
        The open store.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> found = StoreMutes(open_store(MEMORY))
    >>> found.mute("fat_finger", until=160.0, now=100.0)
    >>> found.active(159.0), found.active(160.0)
    ({'fat_finger': 160.0}, {})
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def mute(self, rule: str, until: float, now: float) -> None:
        """Let a rule be silent until a wall-clock time, in place of what was said before."""
        with self._database.write() as connection:
            connection.execute(delete(mutes).where((mutes.c.until_at <= now) | (mutes.c.rule == rule)))
            connection.execute(mutes.insert().values(rule=rule, until_at=until, created_at=now))

    def unmute(self, rule: str, now: float) -> bool:
        """Let it speak again; True where it was silent."""
        with self._database.write() as connection:
            was = rule in muted_rules(connection, now)
            connection.execute(delete(mutes).where(mutes.c.rule == rule))
        return was

    def active(self, now: float) -> Mapping[str, float]:
        """The rules that are silent at a time, and until when, by name."""
        with self._database.read() as connection:
            return muted_rules(connection, now)

    def rules_seen(self) -> list[str]:
        """Every rule that has raised an alert in this store."""
        with self._database.read() as connection:
            return list(connection.scalars(select(outbox.c.rule).distinct().order_by(outbox.c.rule)))


def muted_rules(connection: Connection, now: float) -> dict[str, float]:
    """The rules that are silent at a time, and until when."""
    c = mutes.c
    query = select(c.rule, c.until_at).where(c.until_at > now).order_by(c.rule)
    return {row.rule: float(row.until_at) for row in connection.execute(query)}


def until_text(until: float) -> str:
    """A mute's end as people read it.

    Examples
    --------
    >>> until_text(1_767_623_400.0)
    '2026-01-05T14:30:00Z'
    """
    return datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
