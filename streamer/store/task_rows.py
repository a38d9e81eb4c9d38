"""Rows of tasks and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from streamer.messages.journal_entries import JournalEntry, reach
from streamer.messages.logs import Log, Positions
from streamer.messages.records import Partition
from streamer.store import tables as t
from streamer.store.chunks import chunks

_GENERATION = "~"  # separates a topic's incarnation from its task's generation


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task in the store.

    Parameters
    ----------
    id
        Its number.
    log
        Its log; incarnations include the generation, so that alerts of a new start get new ids.
    epoch
        Who may write: a worker that was replaced has an older epoch.
    positions
        The offsets at which it began, by member.
    first_config_hash
        The configuration it began with.
    code_version
        The version that wrote its journal.
    ended
        True for a task that is never folded again.
    settled
        By member: of records before this offset everybody was told before; their alerts are sent to nobody.
    doubtful, doubtful_since
        By member: alerts of records before this offset may have been sent, since this time (wall-clock
        seconds), by a store that is lost.
    gone
        The places of members that are not there any more.
    """

    id: int
    log: Log
    epoch: int
    positions: Positions
    first_config_hash: str
    code_version: str
    settled: Positions
    doubtful: Positions
    ended: bool = False
    doubtful_since: float | None = None
    gone: frozenset[int] = frozenset()

    @classmethod
    def of(cls, row: Mapping[Any, Any], members: Sequence[Mapping[Any, Any]]) -> TaskRow:
        """A row of the table `tasks`, and those of `members` by place."""
        return cls(
            id=row["id"],
            log=Log(_partition(row), tuple(_partition(member) for member in members)),
            epoch=row["epoch"],
            positions=tuple(member["position"] for member in members),
            first_config_hash=row["config_hash"],
            code_version=row["code_version"],
            ended=row["ended_at"] is not None,
            settled=tuple(member["settled"] for member in members),
            doubtful=tuple(member["doubtful"] for member in members),
            doubtful_since=row["doubtful_since"],
            gone=frozenset(member["place"] for member in members if member["gone_at"] is not None),
        )

    @property
    def partition(self) -> Partition:
        """What its log is known by."""
        return self.log.key

    @property
    def source_log(self) -> Log:
        """Its log as a source knows it, without generations."""
        return Log(_without_generation(self.log.key), tuple(map(_without_generation, self.log.members)))

    def has_come_to(self, bounds: Positions, positions: Positions) -> bool:
        """Whether each member is at its bound by these positions; those that are gone come no further."""
        both = enumerate(zip(bounds, positions, strict=True))
        return all(place in self.gone or bound <= position for place, (bound, position) in both)

    def __str__(self) -> str:
        return str(self.log)


def _partition(row: Mapping[Any, Any]) -> Partition:
    return Partition(row["topic"], row["incarnation"], row["partition"])


def _without_generation(partition: Partition) -> Partition:
    return partition._replace(incarnation=base_incarnation(partition.incarnation))


def in_next_generation(log: Log) -> Log:
    """A log whose alerts have other ids: its incarnation, and those of its members, count one more.

    Examples
    --------
    >>> log = Log.joined(["a", "b"], 0, [Partition("a", "t1", 0), Partition("b", "t2", 0)])
    >>> again = in_next_generation(in_next_generation(log))
    >>> again.key.incarnation, [member.incarnation for member in again.members]
    ('~2', ['t1~2', 't2~2'])
    """
    return in_generation_of(log, next_generation(log.key.incarnation))


def in_generation_of(log: Log, incarnation: str) -> Log:
    """A log in the generation that an incarnation names."""
    generation = incarnation.removeprefix(base_incarnation(incarnation))

    def renamed(partition: Partition) -> Partition:
        return partition._replace(incarnation=base_incarnation(partition.incarnation) + generation)

    return Log(renamed(log.key), tuple(map(renamed, log.members)))


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint: the last journal entry it includes, the next offset to read by member, and its file.

    A file of changes has a `base`: the file that its chain begins with, which every later checkpoint than
    `base_seq`, up to this one, adds its own file to.
    """

    task_id: int
    seq: int
    positions: Positions
    timer_number: int
    config_hash: str
    file: str = ""
    sha256: str = ""
    code_version: str = ""
    base: str = ""
    base_sha256: str = ""
    base_seq: int = 0


def base_incarnation(incarnation: str) -> str:
    """A topic's incarnation without the generation of its task.

    Examples
    --------
    >>> base_incarnation("b2f~1")
    'b2f'
    """
    return incarnation.partition(_GENERATION)[0]


def next_generation(incarnation: str) -> str:
    """The incarnation of the next task of the same log.

    Examples
    --------
    >>> next_generation("b2f"), next_generation("b2f~1")
    ('b2f~1', 'b2f~2')
    """
    base, _, generation = incarnation.partition(_GENERATION)
    return f"{base}{_GENERATION}{int(generation or 0) + 1}"


def entries_after(connection: Connection, task_id: int, seq: int) -> list[JournalEntry]:
    """A task's journal entries after a sequence number, in order."""
    c = t.journal.c
    columns = [column for column in c if column.name not in ("task_id", "tick_number")]
    query = select(*columns, c.tick_number.label("timer_number"))
    rows = connection.execute(query.where(c.task_id == task_id, c.seq > seq).order_by(c.seq))
    return [JournalEntry(**row) for row in rows.mappings()]


def last_timer(connection: Connection, task_id: int) -> JournalEntry | None:
    """The last timer in a task's journal; None where it has none."""
    ticks = [entry for entry in entries_after(connection, task_id, 0) if entry.kind == "tick"]
    return ticks[-1] if ticks else None


def checkpoints_of(connection: Connection, task_id: int) -> list[CheckpointRow]:
    """The checkpoints of a task, newest first."""
    c = t.checkpoints.c
    query = select(
        c.task_id,
        c.seq,
        c.positions,
        c.tick_number.label("timer_number"),
        c.config_hash,
        c.file,
        c.sha256,
        c.code_version,
        c.base,
        c.base_sha256,
        c.base_seq,
    )
    rows = connection.execute(query.where(c.task_id == task_id).order_by(c.seq.desc()))
    return [
        CheckpointRow(**{**row, "positions": tuple(json.loads(row["positions"]))}) for row in rows.mappings()
    ]


def positions_at(row: TaskRow, checkpoint: CheckpointRow | None) -> Positions:
    """Where a task goes on after a checkpoint; members that have come since begin where they begin."""
    known = () if checkpoint is None else checkpoint.positions
    return (*known, *row.positions[len(known) :])


def reached(connection: Connection, row: TaskRow) -> Positions:
    """By member, one past the last offset that a task is known to have consumed."""
    newest = next(iter(checkpoints_of(connection, row.id)), None)
    entries = entries_after(connection, row.id, 0 if newest is None else newest.seq)
    return reach(entries, positions_at(row, newest))


def found_tasks(connection: Connection, query: Select[Any]) -> list[TaskRow]:
    """The tasks that a query of the table `tasks` finds, in its order."""
    rows = connection.execute(query).mappings().all()
    members: dict[int, list[Mapping[Any, Any]]] = {row["id"]: [] for row in rows}
    for ids in chunks(sorted(members)):
        of_them = select(t.members).where(t.members.c.task_id.in_(ids)).order_by(t.members.c.place)
        for member in connection.execute(of_them).mappings():
            members[member["task_id"]].append(member)
    return [TaskRow.of(row, members[row["id"]]) for row in rows]


def newest_with(connection: Connection, members: Iterable[Partition]) -> dict[Partition, TaskRow]:
    """The newest task of each of these partitions of a source, whatever log it belongs to."""
    m = t.members.c
    found: dict[Partition, TaskRow] = {}
    rows: dict[int, TaskRow] = {}
    for member in members:
        query = select(m.task_id, m.incarnation).where(
            m.topic == member.topic, m.partition == member.partition
        )
        tasks = [
            task_id
            for task_id, incarnation in connection.execute(query.order_by(m.task_id.desc()))
            if base_incarnation(incarnation) == member.incarnation
        ]
        if not tasks:
            continue
        if tasks[0] not in rows:
            (rows[tasks[0]],) = found_tasks(connection, select(t.tasks).where(t.tasks.c.id == tasks[0]))
        found[member] = rows[tasks[0]]
    return found


def newest_tasks(connection: Connection) -> list[TaskRow]:
    """The newest task of each log, in the order in which they were created."""
    c = t.tasks.c
    newest = select(func.max(c.id)).group_by(c.topic, c.partition)
    query = select(t.tasks).where(c.id.in_(newest)).order_by(c.id)
    return found_tasks(connection, query)
