"""Silences in the store: alerts that are not sent for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import structlog
from sqlalchemy import Connection, select, update

from alerts.stages.matchers import Silence, matchers_from_json, matchers_to_json, rule_matchers
from streamer.store.database import Database
from streamer.store.tables import silences

log = structlog.get_logger(__name__)


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
    >>> store.muted_rules(159.0), store.muted_rules(160.0)
    ({'fat_finger': 160.0}, {})
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def mute(self, rule: str, until: float, now: float, *, author: str = "", reason: str = "") -> None:
        """Silence a rule until a wall-clock time; an earlier mute of the same rule ends now."""
        matchers = rule_matchers(rule)
        with self._database.write() as connection:
            _end(connection, rule, now)
            connection.execute(
                silences.insert().values(
                    matchers=matchers_to_json(matchers),
                    author=author,
                    reason=reason,
                    created_at=now,
                    starts_at=0.0,
                    ends_at=until,
                )
            )

    def unmute(self, rule: str, now: float) -> bool:
        """End the mute of a rule; True where there was one."""
        with self._database.write() as connection:
            return _end(connection, rule, now) > 0

    def mutes(self, now: float) -> Sequence[Silence]:
        """Mutes of rules in force at a time, by rule, the one that ends last of several."""
        with self._database.read() as connection:
            in_force = silences_in_force(connection, now)
        of_rules = [(each.rule, each.ends_at, each) for each in in_force if each.rule is not None]
        last = {rule: each for rule, _, each in sorted(of_rules, key=lambda mute: mute[:2])}
        return tuple(last.values())

    def muted_rules(self, now: float) -> Mapping[str, float]:
        """Rules that are muted at a time, and until when, by name; other silences are not among them."""
        return {each.rule: each.ends_at for each in self.mutes(now) if each.rule is not None}


def silences_in_force(connection: Connection, now: float) -> list[Silence]:
    """Silences in force at a time, oldest first; one that cannot be read is left out with a warning."""
    c = silences.c
    query = (
        select(c.n, c.matchers, c.author, c.reason, c.starts_at, c.ends_at)
        .where(c.starts_at <= now, c.ends_at > now, c.ended_at.is_(None))
        .order_by(c.n)
    )
    in_force: list[Silence] = []
    for n, text, *rest in connection.execute(query):
        try:
            in_force.append(Silence(matchers_from_json(text), *rest))
        except ValueError as error:
            _warn_unreadable(n, text, str(error))
    return in_force


@lru_cache(maxsize=256)  # once, not each time alerts are routed
def _warn_unreadable(n: int, matchers: str, problem: str) -> None:
    log.warning("silence ignored, its alerts are sent", silence=n, matchers=matchers, problem=problem)


def _end(connection: Connection, rule: str, now: float) -> int:
    c = silences.c
    same = c.matchers == matchers_to_json(rule_matchers(rule))
    ended = update(silences).where(same, c.ends_at > now, c.ended_at.is_(None)).values(ended_at=now)
    return connection.execute(ended).rowcount
