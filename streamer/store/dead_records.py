"""Dead letters to replay into their topics: which can be, and which have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, and_, func, select, update

from streamer.messages.records import NO_TIME
from streamer.store.chunks import chunks
from streamer.store.database import Database
from streamer.store.tables import dead_letter_floods, dead_letters

_AT_ONCE = 200  # rows; a row holds up to 64 KB


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A record with one or more dead letters.

    Parameters
    ----------
    task_id, member
        The task that consumed it, and the place of its partition in the task's log.
    topic, partition, offset
        Its place in the log.
    timestamp
        ns since 1970 UTC, `NO_TIME` where it had none.
    value
        All its bytes.
    """

    task_id: int
    member: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """Selects dead letters.

    Parameters
    ----------
    reason
        Only those with this reason; None for all.
    ids
        Only these, even if they have been replayed before. None for all that have not been.
    """

    reason: str | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """How many of the selected dead letters cannot be replayed.

    Parameters
    ----------
    truncated
        Only the first bytes of their value are kept.
    empty
        The record had no value.
    replayed
        They have been replayed before.
    counted
        Beyond the flood limit: only their number is kept.
    damaged
        They stand for ranges of offsets that could not be read.
    """

    truncated: int = 0
    empty: int = 0
    replayed: int = 0
    counted: int = 0
    damaged: int = 0


class DeadRecords:
    """Dead letters in the store, by record.

    Parameters
    ----------
    database
        The open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unknown(self, ids: Sequence[int]) -> list[int]:
        """Those of these ids that no dead letter has."""
        c = dead_letters.c
        with self._database.read() as connection:
            known = {n for some in chunks(ids) for n in connection.scalars(select(c.n).where(c.n.in_(some)))}
        return [each for each in ids if each not in known]

    def topics(self, choice: Choice) -> dict[str, int]:
        """How many records can be replayed, by topic."""
        c = dead_letters.c
        one = select(c.task_id, c.topic, c.member, c.offset).where(self._can_go(choice)).distinct().subquery()
        query = select(one.c.topic, func.count()).group_by(one.c.topic).order_by(one.c.topic)
        with self._database.read() as connection:
            return {row.topic: row[1] for row in connection.execute(query)}

    def left(self, choice: Choice) -> Left:
        """How many cannot be replayed, by cause."""
        c, flood = dead_letters.c, dead_letter_floods.c
        gone = c.replayed_at.is_not(None) if choice.ids is None else c.n.is_(None)
        ranges = c.last_offset.is_not(None)
        cut, null = and_(c.truncated == 1, ~gone), and_(c.value.is_(None), ~gone, ~ranges)
        with self._database.read() as connection:
            truncated, empty, replayed, damaged = (
                connection.execute(select(func.count()).where(_meant(choice), which)).scalar_one()
                for which in (cut, null, gone, ranges)
            )
            counted = 0
            if choice.ids is None:
                total = select(func.coalesce(func.sum(flood.count), 0))
                if choice.reason is not None:
                    total = total.where(flood.reason == choice.reason)
                counted = int(connection.execute(total).scalar_one())
        return Left(truncated, empty, replayed, counted, damaged)

    def records(self, choice: Choice, topic: str) -> Iterator[DeadRecord]:
        """The records of a topic that can be replayed, each once, in the order in which they came."""
        c = dead_letters.c
        wanted = and_(self._can_go(choice), c.topic == topic)
        last, before = 0, None
        while True:
            query = select(dead_letters).where(wanted, c.n > last).order_by(c.n).limit(_AT_ONCE)
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            for row in rows:
                # the dead letters of one record were written together
                if (row.task_id, row.member, row.offset) != before:
                    yield _record(row)
                before = row.task_id, row.member, row.offset
            last = rows[-1].n

    def mark(self, records: Sequence[DeadRecord], now: float) -> None:
        """Mark all dead letters of these records as replayed."""
        c = dead_letters.c
        with self._database.write() as connection:
            for record in records:
                same = and_(c.task_id == record.task_id, c.member == record.member, c.offset == record.offset)
                connection.execute(update(dead_letters).where(same).values(replayed_at=now))

    def _can_go(self, choice: Choice) -> ColumnElement[bool]:
        c = dead_letters.c
        whole = and_(_meant(choice), c.truncated == 0, c.value.is_not(None))
        return whole if choice.ids is not None else and_(whole, c.replayed_at.is_(None))


def _meant(choice: Choice) -> ColumnElement[bool]:
    c = dead_letters.c
    meant: ColumnElement[bool] = c.n > 0
    if choice.reason is not None:
        meant = and_(meant, c.reason == choice.reason)
    if choice.ids is not None:
        meant = and_(meant, c.n.in_(choice.ids))
    return meant


def _record(row: Row[tuple[object, ...]]) -> DeadRecord:
    timestamp = int(NO_TIME) if row.record_ts is None else row.record_ts
    return DeadRecord(row.task_id, row.member, row.topic, row.partition, row.offset, timestamp, row.value)
