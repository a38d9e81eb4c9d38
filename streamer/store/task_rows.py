"""Rows of the store as detection knows them: a task, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from streamer.messages.journal_entries import JournalEntry, reach
from streamer.messages.records import Partition
from streamer.store import tables as t

_GENERATION = "~"  # parts a topic's incarnation from the number of fresh starts its task had


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as the store knows it.

    Parameters
    ----------
    id
        Its number.
    partition
        Its log; the incarnation carries the generation, so ids of a fresh start are new ones.
    epoch
        Who may write: a worker that was replaced holds an older one.
    position
        The offset at which its history begins.
    first_config_hash
        The configuration its history begins under.
    code_version
        What wrote its journal.
    """

    id: int
    partition: Partition
    epoch: int
    position: int
    first_config_hash: str
    code_version: str

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
        )

    def __str__(self) -> str:
        return f"{self.partition.topic}[{self.partition.partition}]"


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint: the journal entry it stands behind, the offset to read next, where its file is."""

    task_id: int
    seq: int
    position: int
    timer_number: int
    config_hash: str
    file: str = ""
    sha256: str = ""
    code_version: str = ""


def base_incarnation(incarnation: str) -> str:
    """A topic's own incarnation, without the number of fresh starts its task had.

    Examples
    --------
    >>> base_incarnation("b2f~1")
    'b2f'
    """
    return incarnation.partition(_GENERATION)[0]


def next_generation(incarnation: str) -> str:
    """The incarnation under which a task of the same log starts afresh.

    Examples
    --------
    >>> next_generation("b2f"), next_generation("b2f~1")
    ('b2f~1', 'b2f~2')
    """
    base, _, generation = incarnation.partition(_GENERATION)
    return f"{base}{_GENERATION}{int(generation or 0) + 1}"


def entries_after(connection: Connection, task_id: int, seq: int) -> list[JournalEntry]:
    """The journal's entries of a task behind one of them, in order."""
    c = t.journal.c
    columns = [column for column in c if column.name not in ("task_id", "tick_number")]
    query = select(*columns, c.tick_number.label("timer_number"))
    rows = connection.execute(query.where(c.task_id == task_id, c.seq > seq).order_by(c.seq))
    return [JournalEntry(**row) for row in rows.mappings()]


def checkpoints_of(connection: Connection, task_id: int) -> list[CheckpointRow]:
    """The checkpoints of a task, the newest first."""
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
    )
    rows = connection.execute(query.where(c.task_id == task_id).order_by(c.seq.desc()))
    return [CheckpointRow(**row) for row in rows.mappings()]


def reached(connection: Connection, row: TaskRow) -> int:
    """One past the last offset that a task is known to have consumed."""
    newest = next(iter(checkpoints_of(connection, row.id)), None)
    position, seq = (row.position, 0) if newest is None else (newest.position, newest.seq)
    return reach(entries_after(connection, row.id, seq), position)
