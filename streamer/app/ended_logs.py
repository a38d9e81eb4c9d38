"""Ends logs that are not read any more: deleted topics, and those taken out of the configuration."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import structlog

from streamer.messages.records import Partition
from streamer.pipeline.engine import Engine
from streamer.store.checkpoints import remove_strays
from streamer.store.ledger import Ledger
from streamer.store.log_alerts import DELETED, LEFT_OUT, LogEnd
from streamer.store.task_rows import TaskRow

log = structlog.get_logger()

_LOOK_S = 2.0


class DeletableLogs(Protocol):
    """A source whose logs may be deleted."""

    @property
    def is_known(self) -> bool:
        """Whether it is surely the source that the logs of the store are of."""

    def gone(self, logs: Collection[Partition]) -> frozenset[Partition]:
        """Those of these logs that do not exist any more, once that is sure; it never waits."""

    def leave(self, logs: Collection[Partition]) -> None:
        """Stop reading logs that have ended."""


@dataclass
class EndedLogs:
    """Ends the tasks of a store whose logs are not there any more, or not to be read any more.

    Partitions that another member of the group has are none of these, and neither is one that the broker
    does not show for a moment. Tasks of other sources in the same store are left alone.

    Parameters
    ----------
    ledger, folder
        The store, and its folder of checkpoints.
    source, engine
        Who reads the logs, and who folds them.
    globs
        Names and patterns of the topics to read.
    raised
        Called after an alert is in the store.
    """

    ledger: Ledger
    folder: Path
    source: DeletableLogs
    engine: Engine
    globs: Sequence[str]
    raised: Callable[[], None]
    _next_look_at: float = field(default=0.0, init=False)

    def opened(self) -> None:
        """End the logs that the configuration does not name any more; call it before any is taken over."""
        tasks = self.ledger.newest_tasks()
        for row in tasks:
            if row.ended:
                remove_strays(self.folder, row.id, ())
        if not self.source.is_known:
            return
        left_out = [row for row in _current(tasks) if not any(map(self._is_named, row.log.topics))]
        self._end(left_out, LEFT_OUT)

    def work(self) -> None:
        """End the logs that are gone for sure; call it between polls, on the engine's thread."""
        if time.monotonic() < self._next_look_at:
            return
        self._next_look_at = time.monotonic() + _LOOK_S
        rows = {row.id: row for row in _current(self.ledger.newest_tasks())}
        members = {row.id: _members_of(row) for row in rows.values()}
        gone = self.source.gone(frozenset().union(*members.values()))
        if not gone:
            return
        ended = [rows[number] for number, those in members.items() if those and those <= gone]
        self.engine.revoked([member for row in ended for member in members[row.id]])  # with a last checkpoint
        self.engine.lose(gone)
        self.source.leave(gone)
        self._end(ended, DELETED)

    def _is_named(self, topic: str) -> bool:
        return any(fnmatchcase(topic, glob) for glob in self.globs)

    def _end(self, rows: Sequence[TaskRow], end: LogEnd) -> None:
        if not rows:
            return
        resolved = self.ledger.end_logs(rows, end, self.engine.config_hash)
        for row in rows:
            remove_strays(self.folder, row.id, ())
        log.warning("logs ended", logs=", ".join(map(str, rows)), reason=end.why, resolved=resolved)
        self.raised()


def topics_read(tasks: Iterable[TaskRow]) -> frozenset[str]:
    """The topics of Kafka that a store has tasks of, ended ones too."""
    return frozenset(topic for row in tasks if _is_of_kafka(row) for topic in row.log.topics)


def joined_members(tasks: Iterable[TaskRow]) -> frozenset[Partition]:
    """The members of joined logs of Kafka that are read on and not known to be gone."""
    joined = [row for row in _current(tasks) if row.log.is_joined]
    return frozenset(member for row in joined for member in _members_of(row))


def _current(tasks: Iterable[TaskRow]) -> list[TaskRow]:
    return [row for row in tasks if not row.ended and _is_of_kafka(row)]


def _members_of(row: TaskRow) -> frozenset[Partition]:
    """The partitions of a task's log that are not known to be gone."""
    members = enumerate(row.source_log.members)
    return frozenset(member for place, member in members if place not in row.gone)


def _is_of_kafka(row: TaskRow) -> bool:
    """Whether its log is of topics: an incarnation is a topic's id, or empty where the broker gives none."""
    incarnation = row.source_log.members[0].incarnation
    try:
        return not incarnation or bool(uuid.UUID(incarnation))
    except ValueError:
        return False
