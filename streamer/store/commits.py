"""What one commit makes visible, row by row: alerts, the reasons for them, dead letters, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from streamer.errors import TapewatchError
from streamer.events.batch import NO_TIME, DeadLetter
from streamer.pipeline.floods import Flood, minute_of
from streamer.pipeline.journal import Entry
from streamer.pipeline.outcome import NearMiss, Outcome, Transition
from streamer.store import tables as t
from streamer.store.database import insert_absent
from streamer.store.rows import TaskRow
from streamer.store.service_alerts import dead_letter_flood, raise_service_alert

KEPT_VALUE_BYTES = 65_536
"""How much of a dead letter's bytes is kept."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Under what an outcome is written.

    Parameters
    ----------
    row
        The task.
    config_hash
        The configuration it was derived under.
    now
        Wall-clock seconds.
    again
        True while a stored journal is followed: everything must be in the store already.
    accept
        Keep what is stored where it differs from what was derived again.
    """

    row: TaskRow
    config_hash: str
    now: float
    again: bool = False
    accept: bool = False


def write_outcome(connection: Connection, commit: Commit, outcome: Outcome) -> None:
    """Write all that an outcome makes visible.

    Raises
    ------
    TapewatchError
        When an alert was derived again with another body, or one that had never been raised.
    """
    for transition in outcome.transitions:
        _write_transition(connection, commit, transition)
    for near_miss in outcome.near_misses:
        _write_near_miss(connection, commit, near_miss)
    insert_absent(connection, t.dead_letters, [_dead_row(commit.row, letter) for letter in outcome.dead])
    for flood in outcome.floods:
        _write_flood(connection, commit, flood)
    for name, count in (outcome.ignored or {}).items():
        upsert(connection, t.ignored, {"task_id": commit.row.id, "name": name, "count": count})


def _write_transition(connection: Connection, commit: Commit, transition: Transition) -> None:
    values = {
        "alert_id": transition.alert_id,
        "number": transition.number,
        "task_id": commit.row.id,
        "origin": "detect",
        "transition": transition.transition,
        "rule": transition.rule,
        "severity": transition.severity,
        "venue": transition.instrument.venue if transition.instrument else None,
        "symbol": transition.instrument.symbol if transition.instrument else None,
        "ts_event_ns": transition.ts_event_ns,
        "body": transition.body,
        "config_hash": commit.config_hash,
        "created_at": commit.now,
    }
    if insert_absent(connection, t.outbox, [values]) == 0:
        if not commit.accept:
            _compare(connection, transition)
        return
    if commit.again and not commit.accept:
        raise TapewatchError(
            f"folding the journal again raised alert {transition.alert_id} ({transition.rule}, transition "
            f"{transition.number}), which was not raised before: {_UNSOUND}derived {transition.body.decode()}"
        )
    decision = {
        "alert_id": transition.alert_id,
        "number": transition.number,
        "kind": "transition",
        "held_by": None,
        "task_id": commit.row.id,
        "topic": commit.row.partition.topic,
        "partition": commit.row.partition.partition,
        "offset": transition.offset,
        "index_": transition.index,
        "body": transition.decision,
    }
    connection.execute(insert(t.decisions).values(decision))


def _write_near_miss(connection: Connection, commit: Commit, near_miss: NearMiss) -> None:
    row = commit.row
    values = {
        "alert_id": near_miss.id,
        "number": 0,
        "kind": "near_miss",
        "held_by": near_miss.held_by,
        "task_id": row.id,
        "topic": row.partition.topic,
        "partition": row.partition.partition,
        "offset": near_miss.offset,
        "index_": near_miss.index,
        "body": near_miss.body,
        "created_at": commit.now,
    }
    insert_absent(connection, t.decisions, [values])


_UNSOUND = (
    "the fold was not deterministic, or records it rests on have changed (a compacted topic). Nothing was "
    "written; --accept-rederivation keeps what is stored and goes on. Please report this with "
)


def _compare(connection: Connection, derived: Transition) -> None:
    c = t.outbox.c
    stored = connection.execute(
        select(c.body).where(c.alert_id == derived.alert_id, c.number == derived.number)
    ).scalar_one()
    if stored != derived.body:
        raise TapewatchError(
            f"alert {derived.alert_id} ({derived.rule}, transition {derived.number}) was derived again with "
            f"another body: {_UNSOUND}stored {stored.decode()} and derived {derived.body.decode()}"
        )


def _write_flood(connection: Connection, commit: Commit, flood: Flood) -> None:
    c = t.dead_letter_floods.c
    values = {
        "task_id": commit.row.id,
        "reason": flood.reason,
        "minute": flood.minute,
        "first_offset": flood.first_offset,
        "last_offset": flood.last_offset,
        "count": flood.count,
    }
    upsert(connection, t.dead_letter_floods, values, grows=c.count)
    alert = dead_letter_flood(
        commit.row.partition, flood.reason, flood.minute, flood.first_offset, commit.config_hash
    )
    raise_service_alert(connection, alert, commit.now, commit.row.id)


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


def upsert(connection: Connection, table: Any, values: Mapping[str, Any], grows: Any = None) -> None:
    """Insert a row, or give the one of the same key these values; with `grows` only where that is higher."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    statement = dialect.insert(table).values(**values)
    higher = None if grows is None else grows < statement.excluded[grows.name]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest, where=higher))


def entry_rows(task_id: int, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Journal entries as rows of the table `journal`."""
    return [
        {
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
        for entry in entries
    ]
