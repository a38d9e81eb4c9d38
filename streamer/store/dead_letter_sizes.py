"""How much room dead letters take, added up once and then kept."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select

from streamer.store.commits import KEPT_VALUE_BYTES
from streamer.store.database import Database
from streamer.store.tables import dead_letters

_ROW_BYTES = 240  # of a dead letter beside its value: its detail, its other columns, its place in indexes
_size = func.min(dead_letters.c.size, KEPT_VALUE_BYTES) + _ROW_BYTES
_FULL_TO = 0.95  # of what is kept, so that all of it is added up again seldom


class DeadLetterSizes:
    """The size of a store's dead letters: all are added up at first, then only those that are new.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._total = 0
        self._last = 0

    def too_many(self, most_bytes: int) -> bool:
        """Whether they take more than this."""
        if self._grown() <= most_bytes:
            return False
        self._total = self._last = 0  # counted anew: another process may have deleted some
        return self._grown() > most_bytes

    def fits(self, most_bytes: int, without: int = 0) -> bool:
        """Whether enough are gone, where this many bytes are not counted; a little more than has to be."""
        return self._total - without <= most_bytes * _FULL_TO

    def of(self, connection: Connection, numbers: Sequence[int]) -> int:
        """How many bytes these take."""
        query = select(func.coalesce(func.sum(_size), 0)).where(dead_letters.c.n.in_(numbers))
        return int(connection.execute(query).scalar_one())

    def delete(self, connection: Connection, numbers: Sequence[int]) -> int:
        """Delete these inside a write transaction; how many there were."""
        self._total -= self.of(
            connection, [n for n in numbers if n <= self._last]
        )  # the others are not in it
        return connection.execute(delete(dead_letters).where(dead_letters.c.n.in_(numbers))).rowcount

    def _grown(self) -> int:
        c = dead_letters.c
        query = select(func.coalesce(func.sum(_size), 0), func.max(c.n))
        if self._last:
            query = query.where(c.n > self._last)
        with self._database.read() as connection:
            size, last = connection.execute(query).one()
        self._total += int(size)
        self._last = self._last if last is None else int(last)
        return self._total
