"""Silences in the store: alerts that are not sent for a while, and who said so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from alerts.stages.matchers import (
    Matcher,
    Silence,
    matchers_from_json,
    matchers_text,
    matchers_to_json,
    rule_matchers,
)
from streamer.store.database import Database
from streamer.store.tables import silences

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredSilence:
    """A silence with what the store knows of it.

    Parameters
    ----------
    n
        Its number, by which it can be ended.
    silence
        What it silences, and until when.
    created_at
        When it was added, in wall-clock seconds.
    ended_at, ended_by
        When it was ended early, and by whom; None where it was not.
    """

    n: int
    silence: Silence
    created_at: float
    ended_at: float | None = None
    ended_by: str | None = None

    @property
    def text(self) -> str:
        """What it silences, for people."""
        return matchers_text(self.silence.matchers)


class StoreSilences:
    """The silences of a store; a running daemon reads them with the next alert.

    Parameters
    ----------
    database
        The open store.

    Examples
    --------
    >>> from streamer.store.database import MEMORY, open_store
    >>> store = StoreSilences(open_store(MEMORY))
    >>> store.mute("fat_finger", until=160.0, now=100.0)
    1
    >>> store.muted_rules(159.0), store.muted_rules(160.0)
    ({'fat_finger': 160.0}, {})
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def mute(
        self, what: str | Sequence[Matcher], until: float, now: float, *, author: str = "", reason: str = ""
    ) -> int:
        """Silence a rule, or what matchers select, until a wall-clock time.

        A silence with the same matchers that is in force ends now, and is kept.

        Returns
        -------
        int
            The number of the new one.
        """
        matchers = _matchers(what)
        with self._database.write() as connection:
            _end(connection, _same(matchers), now, author)
            values = {
                "matchers": matchers_to_json(matchers),
                "author": author,
                "reason": reason,
                "created_at": now,
                "starts_at": 0.0,
                "ends_at": until,
            }
            return int(
                connection.execute(insert(silences).values(values).returning(silences.c.n)).scalar_one()
            )

    def unmute(self, what: str | Sequence[Matcher], now: float, by: str = "") -> Sequence[int]:
        """End the silences of a rule, or those with exactly these matchers; their numbers."""
        with self._database.write() as connection:
            return _end(connection, _same(_matchers(what)), now, by)

    def end(self, n: int, now: float, by: str = "") -> bool:
        """End the silence of a number; False where it is not in force, or there is none."""
        with self._database.write() as connection:
            return bool(_end(connection, silences.c.n == n, now, by))

    def mutes(self, now: float) -> Sequence[StoredSilence]:
        """Silences in force at a time, oldest first."""
        with self._database.read() as connection:
            return _in_force(connection, now)

    def past(self, now: float, limit: int) -> Sequence[StoredSilence]:
        """The newest `limit` silences that are over at a time, or were ended, oldest first."""
        over = or_(silences.c.ends_at <= now, silences.c.ended_at.is_not(None))
        query = select(silences).where(over).order_by(silences.c.n.desc()).limit(limit)
        with self._database.read() as connection:
            return _read(reversed(connection.execute(query).all()))

    def muted_rules(self, now: float) -> Mapping[str, float]:
        """Rules that are muted as a whole at a time, and until when, by name."""
        ends = [(each.silence.rule, each.silence.ends_at) for each in self.mutes(now)]
        return dict(sorted((rule, at) for rule, at in ends if rule is not None))


def silences_in_force(connection: Connection, now: float) -> list[Silence]:
    """Silences in force at a time, oldest first; one that cannot be read is left out with a warning."""
    return [each.silence for each in _in_force(connection, now)]


def _in_force(connection: Connection, now: float) -> list[StoredSilence]:
    c = silences.c
    in_force = (c.starts_at <= now, c.ends_at > now, c.ended_at.is_(None))
    rows = connection.execute(select(silences).where(*in_force)).all()
    return _read(sorted(rows, key=_number))  # asked for an order, SQLite would read all that ever were


def _number(row: Row[Any]) -> int:
    return int(row.n)


def _read(rows: Iterable[Row[Any]]) -> list[StoredSilence]:
    read: list[StoredSilence] = []
    for row in rows:
        try:
            matchers = _parsed(row.matchers)
            silence = Silence(matchers, row.author, row.reason, row.starts_at, row.ends_at)
        except ValueError as error:
            _warn_unreadable(row.n, row.matchers, str(error))
        else:
            read.append(StoredSilence(row.n, silence, row.created_at, row.ended_at, row.ended_by))
    return read


@lru_cache(maxsize=256)  # once, not each time alerts are routed
def _warn_unreadable(n: int, matchers: str, problem: str) -> None:
    log.warning("silence ignored, its alerts are sent", silence=n, matchers=matchers, problem=problem)


_parsed = lru_cache(maxsize=1024)(matchers_from_json)


def _matchers(what: str | Sequence[Matcher]) -> Sequence[Matcher]:
    return rule_matchers(what) if isinstance(what, str) else what


def _same(matchers: Sequence[Matcher]) -> ColumnElement[bool]:
    return silences.c.matchers == matchers_to_json(matchers)


def _end(connection: Connection, which: ColumnElement[bool], now: float, by: str) -> Sequence[int]:
    c = silences.c
    ended = update(silences).where(which, c.ends_at > now, c.ended_at.is_(None))
    return list(connection.scalars(ended.values(ended_at=now, ended_by=by).returning(c.n)))
