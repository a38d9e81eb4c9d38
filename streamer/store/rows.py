"""Rows of the store as detection knows them: a task, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamer.sources.contract import Partition

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
    tick_number: int
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
