"""The state that a process left, against a fold of its whole journal from nothing, to the bit.

Alerts and scores that are derived again from a journal say nothing about a checkpoint: a wrong bit in it
shows only in what comes later. So every array, and all the rest that a task remembers, is compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from streamer.app.replay import replay
from streamer.messages.logs import LogExtent
from streamer.messages.records import Extent, Partition
from streamer.messages.snapshot import Snapshot
from streamer.notify.clock import SystemClock
from streamer.pipeline.compile import compile_document
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.pipeline.state import snapshot
from streamer.pipeline.task import Task
from streamer.sources.recording.recording_source import RecordingSource
from streamer.store.checkpoints import read_checkpoint, write_checkpoint
from streamer.store.database import open_store
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow

States = Mapping[Partition, Snapshot]


def left_states(plan: Plan, store: Path, checkpoints: Path) -> States:
    """What a start would go on from: each task's newest checkpoint; no journal may go on behind it.

    It takes the tasks over as a start does, so no daemon may run on the store.
    """
    database = open_store(str(store))
    try:
        ledger = Ledger(database, SystemClock(), keep_all=True)
        context = RunnerContext(
            ledger, lambda digest: compile_document(ledger.config(digest)), 500, lambda _: None
        )
        logs = [_as_left(row, ledger) for row in ledger.tasks()]
        runners = Recovery(plan, context, checkpoints).recover(logs)
        assert all(runner.live for runner in runners), "a clean stop leaves nothing behind its checkpoints"
        return {runner.task.partition: snapshot(runner.task) for runner in runners}
    finally:
        database.close()


def _as_left(row: TaskRow, ledger: Ledger) -> LogExtent:
    """A log that ends where its task's newest checkpoint does."""
    members = zip(row.log.members, ledger.checkpoints(row.id)[0].positions, strict=True)
    return LogExtent(row.log, tuple(Extent(member, 0, end, 0) for member, end in members))


@dataclass(frozen=True)
class Refold:
    """What a fold of a recorded journal gives, and comes to, without any checkpoint.

    `told` has by id and number of each transition its body and its decision: event, features, scores.
    """

    told: Mapping[tuple[str, int], tuple[bytes, bytes]]
    states: States


def refolded(plan: Plan, recording: Path, batch_size: int = 11) -> Refold:
    """Fold a recording from nothing, in other batches than the process that wrote it."""
    tasks: dict[Partition, Task] = {}
    told: dict[tuple[str, int], tuple[bytes, bytes]] = {}

    def watch(step: StepResult) -> None:
        tasks[step.task.partition] = step.task
        for each in step.outcome.transitions:
            told[each.alert_id, each.number] = each.body, each.decision

    replay(plan, RecordingSource(recording, batch_size), batch_size=batch_size, watch=watch)
    return Refold(told, {partition: snapshot(task) for partition, task in tasks.items()})


def told_by(store: Path) -> Mapping[tuple[str, int], tuple[bytes, bytes]]:
    """The body and decision of every transition in a store."""
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT alert_id, number, o.body, d.body FROM outbox o JOIN decisions d USING (alert_id, number)"
            " WHERE o.origin = 'detect'"
        )
        return {(alert, number): (body, decision) for alert, number, body, decision in rows}


def differences(one: States, other: States) -> list[str]:
    """Each array and each other part of a state in which the two differ, by name."""
    found = [f"{partition}: only in one" for partition in one.keys() ^ other.keys()]
    for partition in one.keys() & other.keys():
        a, b = one[partition], other[partition]
        names = [f"{name}: only in one" for name in a.arrays.keys() ^ b.arrays.keys()]
        for name in a.arrays.keys() & b.arrays.keys():
            left, right = a.arrays[name], b.arrays[name]
            same = (left.dtype, left.shape) == (right.dtype, right.shape)
            if not same or left.tobytes() != right.tobytes():
                names.append(name)
        names += [key for key in a.meta.keys() | b.meta.keys() if a.meta.get(key) != b.meta.get(key)]
        found += [f"{partition.topic}[{partition.partition}] {name}" for name in sorted(names)]
    return sorted(found)


def plant_a_bit(store: Path, checkpoints: Path, array: str) -> None:
    """Change one bit of an array in the first task's newest checkpoint, and its checksums with it.

    A second time it is changed back.
    """
    with closing(sqlite3.connect(store)) as connection, connection:
        task, seq, file, sha256 = connection.execute(
            "SELECT task_id, seq, file, sha256 FROM checkpoints ORDER BY task_id, seq DESC LIMIT 1"
        ).fetchone()
        saved = read_checkpoint(checkpoints, file, sha256)
        changed = saved.arrays[array].copy()
        changed.reshape(-1).view("u1")[0] ^= 1
        written = write_checkpoint(checkpoints, file, Snapshot(saved.meta, {**saved.arrays, array: changed}))
        connection.execute(
            "UPDATE checkpoints SET sha256 = ?, size = ? WHERE task_id = ? AND seq = ?",
            (written.sha256, written.size, task, seq),
        )
