"""Rows of tasks and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from streamer.messages.journal_entries import JournalEntry, reach
from streamer.messages.records import Partition
from streamer.store import tables as t

_GENERATION = "~"  # separates a topic's incarnation from its task's generation


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task in the store.

    Parameters
    ----------
    id
        Its number.
    partition
        Its log; the incarnation includes the generation, so that alerts of a new start get new ids.
    epoch
        Who may write: a worker that was replaced has an older epoch.
    position
        The offset at which it began.
    first_config_hash
        The configuration it began with.
    code_version
        The version that wrote its journal.
    ended
        True for a task that is never folded again.
    settled
        Of records before this offset everybody was told before: their alerts are sent to nobody.
    doubtful, doubtful_since
        Alerts of records before this offset may have been sent, since this time (wall-clock seconds), by a
        store that is lost.
    """

    id: int
    partition: Partition
    epoch: int
    position: int
    first_config_hash: str
    code_version: str
    ended: bool = False
    settled: int = 0
    doubtful: int = 0
    doubtful_since: float | None = None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> TaskRow:
        """A row of the table `tasks`."""
        return cls(
            id=row["id"],
            partition=Partition(row["topic"], row["incarnation"], row["partition"]),
            epoch=row["epoch"],
            position=row["position"],
            first_config_hash=row["config_hash"],
            code_version=row["code_version"],
            ended=row["ended_at"] is not None,
            settled=row["settled"],
            doubtful=row["doubtful"],
            doubtful_since=row["doubtful_since"],
        )

    def __str__(self) -> str:
        return f"{self.partition.topic}[{self.partition.partition}]"


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint: the last journal entry it includes, the next offset to read, and its file.

    A file of changes has a `base`: the file that its chain begins with, which every later checkpoint than
    `base_seq`, up to this one, adds its own file to.
    """

    task_id: int
    seq: int
    position: int
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
        c.position,
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
    return [CheckpointRow(**row) for row in rows.mappings()]


def reached(connection: Connection, row: TaskRow) -> int:
    """One past the last offset that a task is known to have consumed."""
    newest = next(iter(checkpoints_of(connection, row.id)), None)
    position, seq = (row.position, 0) if newest is None else (newest.position, newest.seq)
    return reach(entries_after(connection, row.id, seq), position)


def newest_tasks(connection: Connection) -> list[TaskRow]:
    """The newest task of each partition of each topic, in the order in which they were created."""
    c = t.tasks.c
    newest = select(func.max(c.id)).group_by(c.topic, c.partition)
    query = select(t.tasks).where(c.id.in_(newest)).order_by(c.id)
    return [TaskRow.of(row) for row in connection.execute(query).mappings()]
