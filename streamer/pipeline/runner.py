"""Runs one task: cuts records into batches, steps, journals, commits."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

import numpy as np

from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.batch import DeadLetter
from streamer.messages.control_inputs import ControlInput
from streamer.messages.outcome import NearMiss, Outcome, Transition
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, DamagedRange, Partition, Record
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.checkpoint_chain import WHOLE_UP_TO, TaskChain
from streamer.pipeline.detector_controls import Controls, NoControls, new_to, obey
from streamer.pipeline.journal import Journal, JournalReplay
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import reload
from streamer.pipeline.step_size import StepSize
from streamer.pipeline.task import Task, Timer
from streamer.store.commits import Derivation, dead_letter_of
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow

_TIMERS_AGAIN = 60  # of a rule's `for`, it is late by a sixtieth of the time at most
_MAX_NEAR_MISSES = 1_000  # commit this many even if nothing is visible: it bounds memory


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one batch, timer or reload did, for observers.

    Parameters
    ----------
    task
        The task after it.
    records
        Number of records consumed.
    outcome
        What the step caused.
    live
        False while a stored journal is replayed.
    """

    task: Task
    records: int
    outcome: Outcome
    live: bool


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What all runners of a process share.

    Parameters
    ----------
    ledger
        Where journal, alerts and dead letters are committed.
    plan_of
        Compiles the plan that the store has under a configuration hash.
    batch_size
        Records per step at most; results do not depend on it.
    watch
        Called after every batch, timer and reload.
    controls
        The control inputs of detectors that every live task obeys.
    reading
        Called before records are folded: their partition, their first and last offset, and whether they are
        new or replayed.
    stopped
        Whether to leave the rest of what was polled to the next start.
    whole_up_to
        Bytes of a task's state up to which its checkpoints are whole ones.
    clock
        Monotonic seconds, by which steps are cut short where they take long.
    """

    ledger: Ledger
    plan_of: Callable[[str], Plan]
    batch_size: int
    watch: Callable[[StepResult], None]
    controls: Controls = field(default_factory=NoControls)
    reading: Callable[[Partition, int, int, bool], None] = lambda *_: None
    stopped: Callable[[], bool] = lambda: False
    whole_up_to: int = WHOLE_UP_TO
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class RecoveredTask:
    """A task as its checkpoint left it, and what is still to be replayed.

    Parameters
    ----------
    task
        The restored state.
    row
        The task's row in the store: its id and epoch.
    replay
        The journal since the checkpoint, to be replayed exactly as recorded.
    chain
        Its checkpoints.
    seq, position
        The last journal entry that `task` includes, and the next offset to read.
    """

    task: Task
    row: TaskRow
    replay: JournalReplay
    chain: TaskChain
    seq: int
    position: int


class Runner:
    """Feeds one task and writes its journal.

    Parameters
    ----------
    recovered
        The task to continue.
    plan
        The plan to continue under after the replay; switching to another one is a reload.
    context
        What all runners share.
    """

    def __init__(self, recovered: RecoveredTask, plan: Plan, context: RunnerContext) -> None:
        self.task = recovered.task
        self.row = recovered.row
        self.chain = recovered.chain
        self.position = recovered.position
        self.journal = Journal(recovered.seq)
        self._replay = recovered.replay
        self._plan = plan
        self._context = context
        self._near_misses: list[NearMiss] = []
        self._step_size = StepSize(context.batch_size, context.clock)
        self._newest_control = -1

    @property
    def live(self) -> bool:
        """True once the stored journal has been replayed to its end."""
        return not self._replay

    def consume(
        self, records: Sequence[Record], newest_ns: int = NO_TIME, most_behind_s: float = inf
    ) -> bool:
        """Fold records in batches, first those that the replay asks for; False where a stop came first.

        Records before `position` have been folded already and are skipped.

        Parameters
        ----------
        records
            In order.
        newest_ns
            Time of the newest record that the log had when they were fetched, `NO_TIME` where unknown.
        most_behind_s
            How far behind they can be at most, whatever their times say.
        """
        fetched = _Fetched(newest_ns, most_behind_s)
        self.advance_replay()
        records = records[_index_of(records, self.position) :]
        while records and self._replay:
            last = self._replay.head.last
            end = _index_of(records, last + 1)
            for batch in self._step_size.cut(records[:end]):
                if self._context.stopped():
                    return False
                self._fold(batch, fetched)
            records = records[end:]
            if records or self.position > last:
                self._finish_range()
                # a gap is skipped even if it can be read now
                records = records[_index_of(records, self.position) :]
        if self._lacks_timers:
            reach = _index_of(records, self.row.settled)
            if not self._consume_new(records[:reach], fetched):
                return False
            records = records[reach:]
            self._pass_time_again(_next_offset(records))
        return self._consume_new(records, fetched)

    def _consume_new(self, records: Sequence[Record], fetched: _Fetched) -> bool:
        topic, _, partition = self.task.partition
        for batch in self._step_size.cut(records):
            if self._context.stopped():
                return False
            self.journal.batch(topic, partition, batch[0].offset, batch[-1].offset)
            self._fold(batch, fetched)
        return True

    @property
    def _lacks_timers(self) -> bool:
        """Whether time is still to pass as it did for an earlier generation of the log.

        Until then that one's last timer is the only one that this task knows, from before any instrument.
        """
        return self.row.settled > 0 and self.task.guard.last_timer < self.task.last_timer.ts_ns

    def _pass_time_again(self, next_offset: int = -1) -> None:
        """Come to the last timer of the log's earlier generation, by timers in steps of the same length.

        What they raise was told before, and what stands behind them is told under its new id: an episode
        that a timer raised is not said to be over before.
        """
        if not self._lacks_timers or max(self.position, next_offset) < self.row.settled:
            return
        last, begin = self.task.last_timer, self.task.guard.running
        if not len(self.task.slots):
            return
        length = max(last.ts_ns - begin, 0)
        transitions: list[Transition] = []
        for number in range(1, _TIMERS_AGAIN + 1):
            timer = Timer(last.number + number, begin + length * number // _TIMERS_AGAIN)
            work_watch().mark()
            self.journal.timer(timer.number, timer.ts_ns)
            outcome = self.task.step(timer)
            transitions += outcome.transitions
            self._near_misses += outcome.near_misses
        self.commit(Outcome(tuple(transitions)), reaches=True)
        self._context.watch(StepResult(self.task, 0, Outcome(tuple(transitions)), True))

    def insert_timer(self, ts_ns: int, number: int | None = None) -> None:
        """Insert a timer, in a live task.

        Parameters
        ----------
        ts_ns
            Its event time, ns.
        number
            Its number if it was recorded, None for the next number.
        """
        self._pass_time_again()
        if number is None:
            number = self.task.last_timer.number + 1
        self.journal.timer(number, ts_ns)
        self._finish_step(self.task.step(Timer(number, ts_ns)))

    def skip_to(self, first: int) -> None:
        """Skip records that the log has lost, with an alert that names them; the task's state is kept."""
        lost = (self.position, first - 1)
        topic, _, partition = self.task.partition
        self.journal.gap(topic, partition, *lost)
        self.position = first
        self.commit(Outcome(), lost=lost)

    def skip_damaged(self, damaged: DamagedRange) -> bool:
        """Skip offsets that cannot be read, with a dead letter and an alert that name them.

        Returns
        -------
        bool
            False if some of them were read before, by the journal that is being replayed: what followed
            from them cannot be derived again.
        """
        self.advance_replay()
        while self._replay and self._replay.head.last < damaged.first:
            self._finish_range()
        if self._replay:
            return self._replay.head.first > damaged.last  # then they are a gap in the journal already
        if damaged.last >= self.position:
            damaged = replace(damaged, first=max(damaged.first, self.position))
            topic, _, partition = self.task.partition
            self.journal.gap(topic, partition, damaged.first, damaged.last)
            self.position = damaged.last + 1
            outcome = Outcome(dead=(dead_letter_of(damaged),))
            self.commit(outcome, lost=damaged)
            self._context.watch(StepResult(self.task, 0, outcome, self.live))
        return True

    @property
    def reach(self) -> int:
        """One past the last offset consumed or skipped, by the journal still to be replayed too."""
        return self._replay.reach(self.position)

    def look_for_controls(self) -> bool:
        """Look for new control inputs of detectors now, and obey them; returns whether there were any."""
        self._context.controls.refresh()
        return self.obey_controls()

    def obey_controls(self) -> bool:
        """In a live task, obey and journal the control inputs of its detectors that are new to it."""
        controls = self._context.controls
        if not self.live or controls.newest == self._newest_control:
            return False
        self._newest_control = controls.newest
        obeyed = new_to(self.task, controls)
        for control in obeyed:
            self.obey(control)
        return bool(obeyed)

    def obey(self, control: ControlInput) -> None:
        """Obey and journal a control input, in a live task."""
        self.journal.control(control)
        obey(self.task, control)
        self.commit(Outcome())
        self._context.watch(StepResult(self.task, 0, Outcome(), True))

    def reload(self, plan: Plan) -> None:
        """Switch to another configuration, journaled together with the transitions it causes."""
        self.journal.reload(plan.config_hash)
        self._carry_over(plan)

    def switch_to(self, plan: Plan) -> None:
        """Switch to a plan now, or at the end of the replay."""
        self._plan = plan
        if self.live:
            self._reload_if_changed()

    def advance_replay(self) -> None:
        """Apply the replay up to its next batch of records; at its end, switch to the current plan."""
        while self._replay and self._replay.head.kind != "batch":
            entry = self._replay.head
            if entry.kind == "gap":
                self.position = max(self.position, entry.last + 1)
            elif entry.kind == "tick":
                self._finish_step(self.task.step(Timer(entry.timer_number, entry.ts_ns)))
            elif entry.kind == "reload":
                self._carry_over(self._context.plan_of(entry.data))
            elif entry.kind in ("quarantine", "lift"):
                obey(self.task, ControlInput.parse(entry.kind, entry.data))
            else:
                raise TapewatchError(
                    f"this version cannot replay the journal: it has an entry of kind {entry.kind!r}"
                )
            self._pop_head()
        if self.live:
            self._reload_if_changed()
            self.obey_controls()

    def skip_missing(self) -> None:
        """Finish the replay without the records it still asks for: the log does not have them.

        A compacted topic may have dropped the last records of a range, such as deleted keys.
        """
        while self._replay:
            self._finish_range()

    def commit(
        self,
        outcome: Outcome,
        records: Sequence[Record] = (),
        lost: tuple[int, int] | DamagedRange | None = None,
        fetched: _Fetched | None = None,
        *,
        reaches: bool = False,
    ) -> None:
        """Commit the pending journal, the outcome, a gap's alert, and near misses since the last commit."""
        position = self.position
        if reaches or self._lacks_timers:
            position = min(position, self.row.settled - 1)
        newest = fetched or _Fetched()
        behind_s = _behind_s(outcome.transitions, records, *newest) if outcome.transitions else {}
        self._context.ledger.commit(
            self.row,
            self.journal.pending,
            replace(
                outcome,
                dead=_with_bytes(outcome.dead, records),
                near_misses=tuple(self._near_misses),
            ),
            Derivation(
                self.task.plan.config_hash,
                again=not self.live,
                position=position,
                behind_s=behind_s,
                reaches=reaches,
            ),
            lost,
        )
        self.journal.written()
        self._near_misses.clear()

    def _reload_if_changed(self) -> None:
        if self.task.plan.config_hash != self._plan.config_hash:
            self.reload(self._plan)

    def _carry_over(self, plan: Plan) -> None:
        task, outcome = reload(self.task, plan)
        self.commit(outcome)
        self.task = task
        self._newest_control = -1
        self._context.watch(StepResult(task, 0, outcome, self.live))

    def _finish_range(self) -> None:
        self.position = max(self.position, self._replay.head.last + 1)
        self._pop_head()
        self.advance_replay()

    def _pop_head(self) -> None:
        self.journal = Journal(self._replay.pop().seq)

    def _fold(self, batch: Sequence[Record], fetched: _Fetched) -> None:
        feed = self.task.plan.feed(self.task.partition.topic)
        if feed is None:
            raise TapewatchError(
                f"no entry of source.topics or source.files matches {self.task.partition.topic!r}"
            )
        self._context.reading(self.task.partition, batch[0].offset, batch[-1].offset, self.live)
        decoded = feed.format.decode(batch, feed.context(self.task.partition.topic))
        outcome = self.task.step(decoded)
        self.position = batch[-1].offset + 1
        self._finish_step(outcome, batch, fetched)

    def _finish_step(
        self, outcome: Outcome, records: Sequence[Record] = (), fetched: _Fetched | None = None
    ) -> None:
        if self.live:  # a replayed journal's near misses are stored already
            self._near_misses += outcome.near_misses
        if outcome.visible or len(self._near_misses) >= _MAX_NEAR_MISSES:
            self.commit(outcome, records, fetched=fetched)
        self._context.watch(StepResult(self.task, len(records), outcome, self.live))


class _Fetched(NamedTuple):
    """What is known of a log at the moment its records were fetched."""

    newest_ns: int = NO_TIME
    most_behind_s: float = inf


def _next_offset(records: Sequence[Record]) -> int:
    """The first offset of records; -1 without any."""
    return _offset(records[0]) if records else -1


def _index_of(records: Sequence[Record], offset: int) -> int:
    """The index of the first record at or after an offset."""
    if isinstance(records, RecordBlock):
        return int(np.searchsorted(records.offset, offset))
    return bisect_left(records, offset, key=_offset)


def _offset(record: Record) -> int:
    return record.offset


def _with_bytes(dead: Sequence[DeadLetter], records: Sequence[Record]) -> tuple[DeadLetter, ...]:
    """Add each dead letter's record value; one that stands for a range has none."""
    return tuple(
        replace(letter, value=records[_index_of(records, letter.offset)].value)
        if letter.last_offset is None
        else letter
        for letter in dead
    )


def _behind_s(
    transitions: Sequence[Transition], records: Sequence[Record], newest_ns: int, most_s: float = inf
) -> dict[tuple[str, int], float]:
    """How far behind the newest record of their log these were found, in seconds, by id and number.

    What a timer or a reload causes is news: timers come only at the end of a log.
    """
    behind: dict[tuple[str, int], float] = {}
    for each in transitions:
        if each.offset is None:
            behind[each.alert_id, each.number] = 0.0
        elif newest_ns != NO_TIME and records:
            ts_ns = _time_of(records, each.offset)
            if ts_ns != NO_TIME:
                behind_s = max(newest_ns - ts_ns, 0) / NS_PER_SECOND
                behind[each.alert_id, each.number] = min(behind_s, most_s)
    return behind


def _time_of(records: Sequence[Record], offset: int) -> int:
    place = _index_of(records, offset)
    if isinstance(records, RecordBlock):
        return int(records.timestamp[place])
    return records[place].timestamp
