"""The detect half of the store: tasks, journal, outbox, dead letters, checkpoints, in few transactions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from alerts.contracts import Clock
from streamer.errors import TapewatchError
from streamer.events.batch import NO_TIME, DeadLetter
from streamer.pipeline.floods import Flood, minute_of
from streamer.pipeline.journal import Entry
from streamer.pipeline.outcome import Outcome, Transition
from streamer.pipeline.version import code_version
from streamer.sources.contract import Partition
from streamer.store import tables as t
from streamer.store.checkpoints import WrittenCheckpoint
from streamer.store.database import Database, insert_absent
from streamer.store.service_alerts import dead_letter_flood, log_gap, raise_service_alert

KEPT_VALUE_BYTES = 65_536
"""How much of a dead letter's bytes is kept."""

_KEPT_CHECKPOINTS = 2
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


def base_incarnation(incarnation: str) -> str:
    """A topic's own incarnation, without the number of fresh starts its task had.

    Examples
    --------
    >>> base_incarnation("b2f~1")
    'b2f'
    """
    return incarnation.partition(_GENERATION)[0]


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


class Ledger:
    """What detection writes and reads; each method is one transaction.

    Parameters
    ----------
    database
        The store.
    clock
        Wall-clock time, for the columns that say when a row was made.
    keep_all
        Keep the whole journal, as `record` and audits need it.
    accept_rederivation
        Where an alert is derived again with another body, keep the stored one instead of stopping.
    """

    def __init__(
        self, database: Database, clock: Clock, *, keep_all: bool = False, accept_rederivation: bool = False
    ) -> None:
        self._db = database
        self._clock = clock
        self._keep_all = keep_all
        self._accept_rederivation = accept_rederivation

    def is_fresh(self) -> bool:
        """True for a store that no task has ever written to."""
        with self._db.read() as connection:
            return connection.execute(select(t.tasks.c.id).limit(1)).first() is None

    def save_config(self, config_hash: str, document: str) -> None:
        """Remember what a configuration hash stands for."""
        row = {"hash": config_hash, "text": document, "created_at": self._clock.now()}
        with self._db.write() as connection:
            insert_absent(connection, t.configs, [row])

    def config(self, config_hash: str) -> str:
        """The document of a configuration hash.

        Raises
        ------
        TapewatchError
            When the store does not have it.
        """
        with self._db.read() as connection:
            text = connection.execute(select(t.configs.c.text).where(t.configs.c.hash == config_hash)).scalar()
        if text is None:
            raise TapewatchError(f"the store {self._db.where} does not hold configuration {config_hash}")
        return str(text)

    def take_over(self, partition: Partition, start: int, config_hash: str, version: str) -> TaskRow:
        """The task of a log, its epoch raised so that whoever had it before can write no more."""
        c = t.tasks.c
        generations = (
            select(t.tasks)
            .where(c.topic == partition.topic, c.partition == partition.partition)
            .order_by(c.id.desc())
        )
        with self._db.write() as connection:
            for row in connection.execute(generations).mappings():
                if base_incarnation(row["incarnation"]) == partition.incarnation:
                    connection.execute(update(t.tasks).where(c.id == row["id"]).values(epoch=row["epoch"] + 1))
                    return _task_row({**row, "epoch": row["epoch"] + 1})
            return self._new_task(connection, partition, start, config_hash, version)

    def new_generation(self, row: TaskRow, start: int, config_hash: str, version: str) -> TaskRow:
        """A task for the same log that begins afresh at `start`; its alerts get ids of their own."""
        base, _, generation = row.partition.incarnation.partition(_GENERATION)
        incarnation = f"{base}{_GENERATION}{int(generation or 0) + 1}"
        with self._db.write() as connection:
            partition = row.partition._replace(incarnation=incarnation)
            return self._new_task(connection, partition, start, config_hash, version)

    def tasks(self) -> list[TaskRow]:
        """Every task the store knows, in the order they were made."""
        with self._db.read() as connection:
            return [_task_row(row) for row in connection.execute(select(t.tasks).order_by(t.tasks.c.id)).mappings()]

    def journal_after(self, task_id: int, seq: int) -> list[Entry]:
        """The journal's entries behind a checkpoint, in order."""
        c = t.journal.c
        query = select(t.journal).where(c.task_id == task_id, c.seq > seq).order_by(c.seq)
        with self._db.read() as connection:
            return [
                Entry(**{name: value for name, value in row.items() if name != "task_id"})
                for row in connection.execute(query).mappings()
            ]

    def journal_is_cut(self, task_id: int) -> bool:
        """True when the journal does not reach back to the task's beginning."""
        c = t.journal.c
        query = select(func.min(c.seq)).where(c.task_id == task_id)
        with self._db.read() as connection:
            first = connection.execute(query).scalar()
        return first is None or first > 1

    def commit(
        self,
        row: TaskRow,
        entries: Sequence[Entry],
        outcome: Outcome,
        *,
        config_hash: str,
    ) -> None:
        """Write journal entries and all that an outcome makes visible, together or not at all.

        Raises
        ------
        TapewatchError
            When another worker has taken the task over, or an alert was derived again with
            another body.
        """
        if not entries and not outcome.visible and outcome.ignored is None:
            return
        with self._db.write() as connection:
            self._check_epoch(connection, row)
            if entries:
                connection.execute(insert(t.journal), [_entry_row(row.id, entry) for entry in entries])
            self._insert_transitions(connection, row, outcome.transitions, config_hash)
            insert_absent(
                connection, t.dead_letters, [_dead_row(row, letter) for letter in outcome.dead]
            )
            for flood in outcome.floods:
                self._write_flood(connection, row, flood)
            for name, count in (outcome.ignored or {}).items():
                _upsert(connection, t.ignored, {"task_id": row.id, "name": name, "count": count})

    def add_checkpoint(self, row: TaskRow, checkpoint: CheckpointRow, written: WrittenCheckpoint) -> list[str]:
        """Register a checkpoint that is on disk; returns the files that nothing refers to any more."""
        c = t.checkpoints.c
        with self._db.write() as connection:
            self._check_epoch(connection, row)
            values = {
                "task_id": row.id,
                "seq": checkpoint.seq,
                "file": written.file,
                "sha256": written.sha256,
                "size": written.size,
                "position": checkpoint.position,
                "tick_number": checkpoint.tick_number,
                "config_hash": checkpoint.config_hash,
                "code_version": code_version(),
                "created_at": self._clock.now(),
            }
            replaced = connection.execute(
                select(c.file).where(c.task_id == row.id, c.seq == checkpoint.seq)
            ).scalars()
            stale = [name for name in replaced if name != written.file]
            _upsert(connection, t.checkpoints, values)
            kept = connection.execute(
                select(c.seq, c.file).where(c.task_id == row.id).order_by(c.seq.desc())
            ).all()
            older = kept[_KEPT_CHECKPOINTS:]
            if older:
                connection.execute(
                    delete(t.checkpoints).where(c.task_id == row.id, c.seq.in_([seq for seq, _ in older]))
                )
            if len(kept) >= _KEPT_CHECKPOINTS and not self._keep_all:
                oldest_kept = kept[_KEPT_CHECKPOINTS - 1].seq
                j = t.journal.c
                connection.execute(delete(t.journal).where(j.task_id == row.id, j.seq <= oldest_kept))
        return stale + [file for _, file in older]

    def checkpoints(self, task_id: int) -> list[CheckpointRow]:
        """The checkpoints of a task, the newest first."""
        c = t.checkpoints.c
        query = (
            select(c.task_id, c.seq, c.position, c.tick_number, c.config_hash, c.file, c.sha256)
            .where(c.task_id == task_id)
            .order_by(c.seq.desc())
        )
        with self._db.read() as connection:
            return [CheckpointRow(**row) for row in connection.execute(query).mappings()]

    def save_status(self, task_id: int, document: Mapping[str, Any]) -> None:
        """Keep what `check` shows of a task."""
        with self._db.write() as connection:
            _upsert(connection, t.task_status, {"task_id": task_id, "body": json.dumps(document)})

    def report_gap(self, row: TaskRow, lost: tuple[int, int], *, fresh_state: bool) -> None:
        """Raise the service alert that names records which are gone."""
        now = self._clock.now()
        detail = "detection starts afresh behind them" if fresh_state else "detection goes on behind them"
        alert = log_gap(row.partition, lost[0], lost[1], now, row.first_config_hash, detail)
        with self._db.write() as connection:
            raise_service_alert(connection, alert, now, row.id)

    def _new_task(
        self, connection: Connection, partition: Partition, start: int, config_hash: str, version: str
    ) -> TaskRow:
        values = {
            **partition._asdict(),
            "epoch": 1,
            "position": start,
            "config_hash": config_hash,
            "code_version": version,
            "started_at": self._clock.now(),
        }
        key = connection.execute(insert(t.tasks).values(values)).inserted_primary_key
        return _task_row({**values, "id": key[0] if key else 0})

    def _check_epoch(self, connection: Connection, row: TaskRow) -> None:
        c = t.tasks.c
        ours = update(t.tasks).where(c.id == row.id, c.epoch == row.epoch).values(code_version=code_version())
        if connection.execute(ours).rowcount != 1:
            raise TapewatchError(
                f"{row.partition.topic}[{row.partition.partition}] was taken over by another tapewatch on this "
                "store; this one stops, having written nothing"
            )

    def _insert_transitions(
        self,
        connection: Connection,
        row: TaskRow,
        transitions: Sequence[Transition],
        config_hash: str,
    ) -> None:
        now = self._clock.now()
        for transition in transitions:
            values = {
                "alert_id": transition.alert_id,
                "number": transition.number,
                "task_id": row.id,
                "origin": "detect",
                "transition": transition.transition,
                "rule": transition.rule,
                "severity": transition.severity,
                "venue": transition.instrument.venue,
                "symbol": transition.instrument.symbol,
                "ts_event_ns": transition.ts_event_ns,
                "body": transition.body,
                "config_hash": config_hash,
                "created_at": now,
            }
            if insert_absent(connection, t.outbox, [values]) == 0:
                self._compare(connection, transition)
                continue
            decision = {
                "alert_id": transition.alert_id,
                "number": transition.number,
                "kind": "transition",
                "held_by": None,
                "task_id": row.id,
                "topic": row.partition.topic,
                "partition": row.partition.partition,
                "offset": transition.offset,
                "index_": transition.index,
                "body": transition.decision,
            }
            connection.execute(insert(t.decisions).values(decision))

    def _compare(self, connection: Connection, derived: Transition) -> None:
        c = t.outbox.c
        stored = connection.execute(
            select(c.body).where(c.alert_id == derived.alert_id, c.number == derived.number)
        ).scalar_one()
        if stored != derived.body and not self._accept_rederivation:
            raise TapewatchError(
                f"alert {derived.alert_id} ({derived.rule}, transition {derived.number}) was derived again with "
                "another body: the fold was not deterministic. Nothing was written; please report this with "
                f"stored {stored.decode()} and derived {derived.body.decode()}"
            )

    def _write_flood(self, connection: Connection, row: TaskRow, flood: Flood) -> None:
        _upsert(
            connection,
            t.dead_letter_floods,
            {
                "task_id": row.id,
                "reason": flood.reason,
                "minute": flood.minute,
                "first_offset": flood.first_offset,
                "last_offset": flood.last_offset,
                "count": flood.count,
            },
        )
        alert = dead_letter_flood(row.partition, flood.reason, flood.minute, flood.first_offset)
        raise_service_alert(connection, alert, self._clock.now(), row.id)


def _task_row(row: Mapping[Any, Any]) -> TaskRow:
    return TaskRow(
        id=row["id"],
        partition=Partition(row["topic"], row["incarnation"], row["partition"]),
        epoch=row["epoch"],
        position=row["position"],
        first_config_hash=row["config_hash"],
        code_version=row["code_version"],
    )


def _entry_row(task_id: int, entry: Entry) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "seq": entry.seq,
        "kind": entry.kind,
        "topic": entry.topic,
        "partition": entry.partition,
        "first": entry.first,
        "last": entry.last,
        "tick_number": entry.tick_number,
        "ts_ns": entry.ts_ns,
        "data": entry.data,
    }


def _dead_row(row: TaskRow, letter: DeadLetter) -> dict[str, Any]:
    value = letter.value
    return {
        "task_id": row.id,
        "topic": row.partition.topic,
        "partition": row.partition.partition,
        "offset": letter.offset,
        "index_": letter.index,
        "reason": letter.reason,
        "detail": letter.detail,
        "value": None if value is None else value[:KEPT_VALUE_BYTES],
        "truncated": int(value is not None and len(value) > KEPT_VALUE_BYTES),
        "size": 0 if value is None else len(value),
        "record_ts": None if letter.record_ts == NO_TIME else letter.record_ts,
        "minute": minute_of(letter.record_ts),
    }


def _upsert(connection: Connection, table: Any, values: Mapping[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    statement = dialect.insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=rest)
    connection.execute(statement)
