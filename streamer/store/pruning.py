"""Deletes from the store what is over and older than it is kept, in steps that no commit waits long for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Delete, Select, and_, delete, func, or_, select

from alerts.durations import duration_s
from streamer.store import tables as t
from streamer.store.database import Database
from streamer.store.dead_letter_sizes import DeadLetterSizes
from streamer.store.old_episodes import OldEpisodes
from streamer.store.unused_configs import prune_configs

PRUNED: Final = (
    "alerts",
    "decisions",
    "deliveries",
    "dead_letters",
    "floods",
    "silences",
    "control_inputs",
    "configs",
)
"""What pruning counts."""

_LETTERS_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is over is kept.

    Parameters
    ----------
    alerts_s, decisions_s, deliveries_s
        Seconds since the last transition of their episode; the last two go with their alert at the latest.
    dead_letters_s, dead_letters_bytes
        Seconds since a dead letter was stored, and bytes of all of them together.
    """

    alerts_s: float = duration_s("90d")
    decisions_s: float = duration_s("90d")
    deliveries_s: float = duration_s("90d")
    dead_letters_s: float = duration_s("14d")
    dead_letters_bytes: int = 1 << 30


class Pruning:
    """What is to be pruned from a store now, step by step.

    Parameters
    ----------
    database
        The open store.
    keep
        What is kept.
    now
        Wall-clock seconds.
    sizes
        The size of its dead letters, where that is known from the last time.
    dry_run
        Only count.
    """

    def __init__(
        self,
        database: Database,
        keep: Retention,
        now: float,
        *,
        sizes: DeadLetterSizes | None = None,
        dry_run: bool = False,
    ) -> None:
        self._sizes = sizes or DeadLetterSizes(database)
        self._database = database
        self._keep = keep
        self._now = now
        self._dry_run = dry_run
        self.counts: Counter[str] = Counter()

    def steps(self) -> Iterator[Mapping[str, int]]:
        """Prune; after each short transaction come the numbers of rows that it has deleted, by `PRUNED`."""
        keep = self._keep
        episodes = OldEpisodes(self._database, self._now)
        ages = ((keep.decisions_s, t.decisions), (keep.deliveries_s, t.deliveries))  # before their alerts
        for seconds, table in ages:
            if seconds < keep.alerts_s:
                yield from self._counted(episodes.without(table, seconds, dry_run=self._dry_run))
        yield from self._counted(episodes.gone(keep.alerts_s, dry_run=self._dry_run))
        yield from self._counted(self._dead_letters())
        yield from self._counted(self._others())

    def all(self, between: Callable[[], None] = lambda: None) -> Mapping[str, int]:
        """Prune everything; what was deleted, or would be, by `PRUNED`."""
        for _ in self.steps():
            between()
        return {name: self.counts[name] for name in PRUNED}

    def _counted(self, steps: Iterator[Mapping[str, int]]) -> Iterator[Mapping[str, int]]:
        for step in steps:
            self.counts.update(step)
            yield step

    def _dead_letters(self) -> Iterator[Mapping[str, int]]:
        """The oldest first: those that are too old, then those beyond the size."""
        c, keep = t.dead_letters.c, self._keep
        too_old = c.created_at < self._now - keep.dead_letters_s
        if self._dry_run:
            with self._database.read() as connection:
                old = connection.execute(select(func.count()).select_from(t.dead_letters).where(too_old))
                yield {"dead_letters": int(old.scalar_one())}
        else:
            while numbers := self._numbers(select(c.n).where(too_old), c.created_at):
                yield self._without(numbers)
        if not self._sizes.too_many(keep.dead_letters_bytes):
            return
        last = without = 0
        while not self._sizes.fits(keep.dead_letters_bytes, without):
            numbers = self._numbers(select(c.n).where(c.n > last, ~too_old), c.n)
            if not numbers:
                return
            last = numbers[-1]
            if self._dry_run:
                with self._database.read() as connection:
                    without += self._sizes.of(connection, numbers)
            yield self._without(numbers)

    def _numbers(self, query: Select[tuple[int]], order: ColumnElement[Any]) -> Sequence[int]:
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(order).limit(_LETTERS_AT_ONCE)))

    def _without(self, numbers: Sequence[int]) -> Mapping[str, int]:
        if self._dry_run:
            return {"dead_letters": len(numbers)}
        with self._database.write(synced=False) as connection:
            return {"dead_letters": self._sizes.delete(connection, numbers)}

    def _others(self) -> Iterator[Mapping[str, int]]:
        """Tables of few rows, each in one transaction."""
        f, s, i = t.dead_letter_floods.c, t.silences.c, t.control_inputs.c
        decided = self._now - self._keep.decisions_s
        over = or_(s.ends_at < decided, and_(s.ended_at.is_not(None), s.ended_at < decided))
        newest = select(func.max(i.n)).group_by(i.detector)
        for name, statement in (
            (
                "floods",
                delete(t.dead_letter_floods).where(f.written_at < self._now - self._keep.dead_letters_s),
            ),
            ("silences", delete(t.silences).where(over)),
            (
                "control_inputs",
                delete(t.control_inputs).where(i.created_at < decided, i.n.not_in(newest)),
            ),
        ):
            yield {name: self._tried(partial(_rows_gone, statement=statement))}
        unused = partial(prune_configs, now=self._now, kept_s=self._keep.alerts_s)
        yield {"configs": self._tried(unused)}

    def _tried(self, delete_rows: Callable[[Connection], int]) -> int:
        """What is deleted, or would be: then all of it is undone."""
        gone = 0
        with suppress(_UndoneError), self._database.write(synced=False) as connection:
            gone = delete_rows(connection)
            if self._dry_run:
                raise _UndoneError
        return gone


def _rows_gone(connection: Connection, statement: Delete) -> int:
    return connection.execute(statement).rowcount


class _UndoneError(Exception):
    """Rolls a transaction back."""
