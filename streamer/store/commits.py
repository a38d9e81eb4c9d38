"""The rows of one commit: alerts and the reasons for them, dead letters, counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from streamer.errors import TapewatchError
from streamer.messages.batch import DAMAGED_RANGE, DeadLetter
from streamer.messages.floods import Flood
from streamer.messages.journal_entries import JournalEntry
from streamer.messages.logs import Positions
from streamer.messages.outcome import NearMiss, Outcome, Transition
from streamer.messages.records import NO_TIME, DamagedRange
from streamer.store import tables as t
from streamer.store.chunks import chunks
from streamer.store.clock_alerts import clock_alert
from streamer.store.database import insert_absent, insert_of
from streamer.store.service_alerts import dead_letter_flood, raise_service_alert
from streamer.store.task_rows import TaskRow

KEPT_VALUE_BYTES = 65_536
"""How many bytes of a dead letter's value are kept."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How an outcome was derived.

    Parameters
    ----------
    config_hash
        The configuration it was derived under.
    again
        True while a stored journal is replayed: everything must be in the store already.
    positions
        By member, the next offset after it: where it lies among those that were told before. None of an
        outcome that no offset goes with, and which is behind all of them.
    behind_s
        How far behind the newest record of the log each transition was found, in seconds, by id and number;
        those of which it is unknown are not in it.
    reaches
        True for the timers with which a log that is folded again comes to where its earlier generation was.
    """

    config_hash: str
    again: bool = False
    positions: Positions | None = None
    behind_s: Mapping[tuple[str, int], float] = field(default_factory=dict)
    reaches: bool = False

    def has_reached(self, row: TaskRow) -> bool:
        """Whether a log that is folded again has come to where its earlier generation was."""
        if self.again or not any(row.settled):
            return False
        return self.reaches or (self.positions is not None and row.has_come_to(row.settled, self.positions))


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of a member of a log that were never read.

    Parameters
    ----------
    place
        The member's place.
    what
        First and last offset of those that the log has lost, both included, or a damaged range. None where
        the member as a whole is not there any more.
    """

    place: int
    what: tuple[int, int] | DamagedRange | None


@dataclass(frozen=True, slots=True)
class Commit:
    """The context in which an outcome is written.

    Parameters
    ----------
    row
        The task.
    derivation
        How the outcome was derived.
    now
        Wall-clock seconds.
    accept
        Keep what is stored where it differs from what was derived again.
    """

    row: TaskRow
    derivation: Derivation
    now: float
    accept: bool = False

    def is_settled(self, source: int, offset: int | None) -> bool:
        """Whether everybody was told before of what this record caused.

        Parameters
        ----------
        source, offset
            The place of its partition, and its offset; None for a timer or a reload.
        """
        return self._lies_before(self.row.settled, source, offset)

    def doubtful_since(self, source: int, offset: int | None) -> float | None:
        """Since when what this record caused may have been sent; None where it was not."""
        return self.row.doubtful_since if self._lies_before(self.row.doubtful, source, offset) else None

    def _lies_before(self, bounds: Positions, source: int, offset: int | None) -> bool:
        if offset is not None:
            return offset < bounds[source]
        positions = self.derivation.positions
        return positions is not None and not self.row.has_come_to(bounds, positions)


def write_outcome(connection: Connection, commit: Commit, outcome: Outcome) -> None:
    """Write everything that an outcome makes visible.

    Raises
    ------
    TapewatchError
        When an alert was derived again with another body, or one was derived that had not been raised.
    """
    _write_decisions(connection, commit, outcome)
    # those of a log that is folded again are in the store already, as its earlier generation's
    dead = [letter for letter in outcome.dead if not commit.is_settled(letter.source, letter.offset)]
    insert_absent(connection, t.dead_letters, [dead_row(commit.row, letter, commit.now) for letter in dead])
    for flood in outcome.floods:
        if not commit.is_settled(flood.last_source, flood.last_offset):
            _write_flood(connection, commit, flood)
    for notice in outcome.notices:
        if not commit.is_settled(notice.source, notice.offset):
            alert = clock_alert(commit.row.log, notice, commit.derivation.config_hash)
            raise_service_alert(connection, alert, commit.now, commit.row.id)
    for name, count in (outcome.ignored or {}).items():
        upsert(connection, t.ignored, {"task_id": commit.row.id, "name": name, "count": count})


def _write_decisions(connection: Connection, commit: Commit, outcome: Outcome) -> None:
    """Alerts with their reasons, and near misses."""
    transitions: Sequence[Transition] = outcome.transitions
    if commit.derivation.again:
        transitions = _new_again(connection, commit, transitions)
    settled = _settled(connection, commit, transitions) if any(commit.row.settled) else frozenset()
    rows = [_outbox_row(commit, one) for one in transitions]
    for row in rows:
        row["routed"] = t.SETTLED if (row["alert_id"], row["number"]) in settled else 0
    written = insert_absent(connection, t.outbox, rows)
    if written < len(transitions) and not commit.accept:
        _compare(connection, transitions)
    decisions = [_decision(commit, one) for one in transitions]
    near_misses = [one for one in outcome.near_misses if not commit.is_settled(one.source, one.offset)]
    decisions += [_near_miss(commit, one) for one in near_misses]
    insert_absent(connection, t.decisions, decisions)


def _new_again(
    connection: Connection, commit: Commit, transitions: Sequence[Transition]
) -> Sequence[Transition]:
    """Those that the store does not have; replaying the journal must not derive any."""
    stored = _stored(connection, {transition.alert_id for transition in transitions})
    new = [one for one in transitions if (one.alert_id, one.number) not in stored]
    if commit.accept:
        return new
    _compare(connection, transitions)
    # what the log's alerts are pruned up to was there; a timer's place among them is not known
    pruned = [
        one
        for one in new
        if any(commit.row.settled) and (one.offset is None or commit.is_settled(one.source, one.offset))
    ]
    new = [one for one in new if one not in pruned]
    if new:
        first = new[0]
        raise TapewatchError(
            f"folding the journal again raised alert {first.alert_id} ({first.rule}, transition "
            f"{first.number}), which was not raised before: {_UNSOUND}derived {first.body.decode()}"
        )
    return ()


def _settled(
    connection: Connection, commit: Commit, transitions: Sequence[Transition]
) -> frozenset[tuple[str, int]]:
    """Those that are sent to nobody: what was told before, and ends of episodes that nobody heard of."""
    settled: set[tuple[str, int]] = set()
    heard: set[str] = set()
    for one in transitions:
        known = one.alert_id in heard
        ends = one.transition == "resolved" and one.number > 0 and not known
        if commit.is_settled(one.source, one.offset) or (
            ends and not _is_heard(connection, one.alert_id, settled)
        ):
            settled.add((one.alert_id, one.number))
        else:
            heard.add(one.alert_id)
    return frozenset(settled)


def _is_heard(connection: Connection, alert_id: str, settled: Collection[tuple[str, int]]) -> bool:
    """Whether any transition of an episode so far was to be sent."""
    c = t.outbox.c
    stored = connection.execute(select(c.routed).where(c.alert_id == alert_id)).scalars().all()
    quiet = any(settled_id == alert_id for settled_id, _ in settled) or t.SETTLED in stored
    return not quiet or any(routed != t.SETTLED for routed in stored)


def _compare(connection: Connection, transitions: Sequence[Transition]) -> None:
    stored = _stored(connection, {transition.alert_id for transition in transitions})
    for derived in transitions:
        body = stored.get((derived.alert_id, derived.number), derived.body)
        if body != derived.body:
            raise TapewatchError(
                f"alert {derived.alert_id} ({derived.rule}, transition {derived.number}) was derived again "
                f"with another body: {_UNSOUND}stored {body.decode()} and derived {derived.body.decode()}"
            )


def _stored(connection: Connection, ids: Iterable[str]) -> dict[tuple[str, int], bytes]:
    """Bodies of these alerts that the outbox already holds, by id and number."""
    c = t.outbox.c
    bodies: dict[tuple[str, int], bytes] = {}
    for chunk in chunks(sorted(ids)):
        rows = connection.execute(select(c.alert_id, c.number, c.body).where(c.alert_id.in_(chunk)))
        bodies |= {(alert_id, number): body for alert_id, number, body in rows}
    return bodies


def _outbox_row(commit: Commit, transition: Transition) -> dict[str, Any]:
    return {
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
        "config_hash": commit.derivation.config_hash,
        "created_at": commit.now,
        "behind_s": commit.derivation.behind_s.get((transition.alert_id, transition.number)),
        "doubtful_since": commit.doubtful_since(transition.source, transition.offset),
    }


def _decision(commit: Commit, transition: Transition) -> dict[str, Any]:
    return {
        "alert_id": transition.alert_id,
        "number": transition.number,
        "kind": "transition",
        "held_by": None,
        "task_id": commit.row.id,
        **_place(commit.row, transition.source, transition.offset),
        "index_": transition.index,
        "body": transition.decision,
        "created_at": None,
    }


def _near_miss(commit: Commit, near_miss: NearMiss) -> dict[str, Any]:
    return {
        "alert_id": near_miss.id,
        "number": 0,
        "kind": "near_miss",
        "held_by": near_miss.held_by,
        "task_id": commit.row.id,
        **_place(commit.row, near_miss.source, near_miss.offset),
        "index_": near_miss.index,
        "body": near_miss.body,
        "created_at": commit.now,
    }


def _place(row: TaskRow, source: int, offset: int | None) -> dict[str, Any]:
    """Where an event lies; what no event caused lies in the log as a whole."""
    partition = row.log.key if offset is None else row.log.members[source]
    return {"topic": partition.topic, "partition": partition.partition, "offset": offset}


_UNSOUND = (
    "the fold was not deterministic, or records it rests on have changed (a compacted topic). Nothing was "
    "written; `run --accept-rederivation` keeps what is stored and goes on, `run --models-anew` goes on with "
    "models that warm up anew. Please report this with "
)


def _write_flood(connection: Connection, commit: Commit, flood: Flood) -> None:
    c = t.dead_letter_floods.c
    values = {
        "task_id": commit.row.id,
        "reason": flood.reason,
        "minute": flood.minute,
        "first_member": flood.first_source,
        "first_offset": flood.first_offset,
        "last_member": flood.last_source,
        "last_offset": flood.last_offset,
        "count": flood.count,
        "written_at": commit.now,
    }
    upsert(connection, t.dead_letter_floods, values, grows=c.count)
    alert = dead_letter_flood(commit.row.log, flood, commit.derivation.config_hash)
    told = commit.is_settled(flood.first_source, flood.first_offset)
    raise_service_alert(connection, alert, commit.now, commit.row.id, routed=told)


def dead_letter_of(damaged: DamagedRange, source: int = 0) -> DeadLetter:
    """The dead letter that stands for all records of a damaged range; it has no value to replay."""
    return DeadLetter(
        damaged.first,
        -1,
        DAMAGED_RANGE,
        damaged.cause,
        None,
        int(NO_TIME),
        last_offset=damaged.last,
        source=source,
    )


def dead_row(row: TaskRow, letter: DeadLetter, now: float) -> dict[str, Any]:
    """A dead letter as a row of the table `dead_letters`."""
    value, member = letter.value, row.log.members[letter.source]
    return {
        "task_id": row.id,
        "topic": member.topic,
        "partition": member.partition,
        "member": letter.source,
        "offset": letter.offset,
        "index_": letter.index,
        "reason": letter.reason,
        "detail": letter.detail,
        "value": None if value is None else value[:KEPT_VALUE_BYTES],
        "truncated": int(value is not None and len(value) > KEPT_VALUE_BYTES),
        "size": 0 if value is None else len(value),
        "record_ts": None if letter.record_ts == NO_TIME else letter.record_ts,
        "last_offset": letter.last_offset,
        "minute": letter.minute,
        "created_at": now,
    }


def upsert(connection: Connection, table: Any, values: Mapping[str, Any], grows: Any = None) -> None:
    """Insert a row or update the one with its key; with `grows` only if that column increases."""
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    statement = insert_of(connection, table).values(**values)
    higher = None if grows is None else grows < statement.excluded[grows.name]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest, where=higher))


def entry_rows(task_id: int, entries: Sequence[JournalEntry]) -> list[dict[str, Any]]:
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
            "tick_number": entry.timer_number,
            "ts_ns": entry.ts_ns,
            "data": entry.data,
        }
        for entry in entries
    ]
