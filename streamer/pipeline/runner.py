"""Runs one task: cuts records into batches, steps, journals, commits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import MemberSpan
from streamer.messages.logs import Log, Positions
from streamer.messages.outcome import NearMiss, Outcome, Transition
from streamer.messages.records import NO_TIME, DamagedRange, Partition, Record
from streamer.pipeline.allowance import Allowance
from streamer.pipeline.checkpoint_chain import WHOLE_UP_TO, TaskChain
from streamer.pipeline.detector_controls import Controls, NoControls, new_to, obey
from streamer.pipeline.journal import Journal, JournalReplay
from streamer.pipeline.member_queue import Fetched, offsets_of, times_of
from streamer.pipeline.merging import Merge, Step, as_step
from streamer.pipeline.plan import Feed, Plan
from streamer.pipeline.state import reload
from streamer.pipeline.step_records import behind_s, index_of, with_bytes
from streamer.pipeline.step_size import StepSize
from streamer.pipeline.task import Task, Timer
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_logs import INCARNATION
from streamer.store.commits import Derivation, Loss, dead_letter_of
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
    counts
        Number of records by topic.
    """

    task: Task
    records: int
    outcome: Outcome
    live: bool
    counts: Mapping[str, int] = field(default_factory=dict)


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
    allowance
        How many records a replay may fold, and when; None for all at once.
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
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class RecoveredTask:
    """A task as its checkpoint left it, and what is still to be replayed.

    Parameters
    ----------
    task
        The restored state.
    row, log
        The task's row in the store: its id and epoch; and its log as its source knows it.
    replay
        The journal since the checkpoint, to be replayed exactly as recorded.
    chain
        Its checkpoints.
    seq, positions
        The last journal entry that `task` includes, and the next offset to read of each member.
    """

    task: Task
    row: TaskRow
    log: Log
    replay: JournalReplay
    chain: TaskChain
    seq: int
    positions: Positions


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
        self.log = recovered.log
        """The log as its source knows it; members that are gone are still among them."""
        self.chain = recovered.chain
        self.places = list(recovered.positions)
        """The next offset to read of each member, by place."""
        self.journal = Journal(recovered.seq, recovered.row.log)
        self._replay = recovered.replay
        self._plan = plan
        self._context = context
        self._near_misses: list[NearMiss] = []
        self._step_size = StepSize(context.batch_size, context.clock)
        self._newest_control = -1
        self._missing: frozenset[int] = frozenset()
        self._complete: frozenset[int] = frozenset()
        self._place_of = {member: place for place, member in enumerate(self.log.members)}
        self._merge = Merge(self.task) if self.log.is_joined else None
        if self._merge is not None:
            self._merge.ended |= self.row.gone
        is_file = self._merge is None and self.log.key.incarnation == INCARNATION
        self._disorder = Disorder() if is_file else None

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The next offset to read of each partition of the log that is there."""
        members = enumerate(self.log.members)
        return {member: self.places[place] for place, member in members if place not in self.row.gone}

    @property
    def live(self) -> bool:
        """True once the stored journal has been replayed to its end."""
        return not self._replay

    @property
    def waits(self) -> bool:
        """Whether records wait for those of another member."""
        return self._merge is not None and self._merge.waiting

    @property
    def awaited(self) -> frozenset[Partition]:
        """The members whose records others wait for."""
        return self._members(() if self._merge is None else self._merge.awaited)

    def queued(self, member: Partition) -> int:
        """How many records of a member wait for those of others."""
        return 0 if self._merge is None else self._merge.queued(self._place_of[member])

    @property
    def full(self) -> frozenset[Partition]:
        """The members of which enough waits for those of others."""
        return self._members(() if self._merge is None else self._merge.full)

    @property
    def disorders(self) -> Mapping[Partition, Disorder]:
        """Where the event times go back, of a file alone and of members that are merged by these."""
        if self._disorder is not None:
            return {self.log.key: self._disorder}
        disorders = () if self._merge is None else self._merge.disorders
        return dict(zip(self.log.members, disorders, strict=False))

    @property
    def idle(self) -> frozenset[Partition]:
        """The members without which the others go on, until they bring something."""
        states = self.task.members
        return self._members(() if states is None else [n for n, idle in enumerate(states.idle) if idle])

    def is_at_end(self, at_end: Collection[Partition]) -> bool:
        """Whether all of the log is read and folded, given the partitions that are read to their end."""
        return not self.waits and all(member in at_end for member in self.positions)

    def consume(
        self,
        records: Sequence[Record],
        newest_ns: int = NO_TIME,
        most_behind_s: float = inf,
        member: Partition | None = None,
    ) -> bool:
        """Fold records in batches, first those that the replay asks for; False where a stop came first.

        Records before the member's position have been folded already and are skipped. Those of a joined log
        wait until nothing that another member brings can come before them.

        Parameters
        ----------
        records
            In order.
        newest_ns
            Time of the newest record that the log had when they were fetched, `NO_TIME` where unknown.
        most_behind_s
            How far behind they can be at most, whatever their times say.
        member
            Whose they are; of a log of one member it need not be given.
        """
        fetched = Fetched(newest_ns, most_behind_s)
        if self._merge is None:
            return self._consume_alone(records, fetched)
        may_go_on = self._offer(self._merge, records, fetched, member)
        return self.advance() if may_go_on or not self.live else True

    def offer(
        self, records: Sequence[Record], newest_ns: int, most_behind_s: float, member: Partition
    ) -> bool:
        """As `consume`, but records of a joined log are left to what is consumed next."""
        if self._merge is None:
            return self.consume(records, newest_ns, most_behind_s, member)
        self._offer(self._merge, records, Fetched(newest_ns, most_behind_s), member)
        return True

    def _offer(
        self, merge: Merge, records: Sequence[Record], fetched: Fetched, member: Partition | None
    ) -> bool:
        place = 0 if member is None else self._place_of[member]
        return merge.offer(place, records[index_of(records, self.places[place]) :], fetched)

    def _consume_alone(self, records: Sequence[Record], fetched: Fetched) -> bool:
        self.advance_replay()
        records = records[index_of(records, self.places[0]) :]
        while records and self._replay:
            last = self._replay.segment[0].last
            end = index_of(records, last + 1)
            for batch in self._step_size.cut(records[:end]):
                if self._context.stopped():
                    return False
                self._fold(self._step_alone(batch, fetched))
            records = records[end:]
            if records or self.places[0] > last:
                self._finish_segment()
                # a gap is skipped even if it can be read now
                records = records[index_of(records, self.places[0]) :]
        if self._lacks_timers:
            reach = index_of(records, self.row.settled[0])
            if not self._consume_new(records[:reach], fetched):
                return False
            records = records[reach:]
            self._pass_time_again(tuple(offsets_of(records[:1]).tolist() or self.places))
        return self._consume_new(records, fetched)

    def _consume_new(self, records: Sequence[Record], fetched: Fetched) -> bool:
        for batch in self._allowed(records):
            if self._context.stopped():
                return False
            step = self._step_alone(batch, fetched)
            if self._disorder is not None:
                self._disorder.follow(step.decoded.batch.offset, step.decoded.batch.ts)
            self.journal.batch(step.segment)
            self._fold(step)
        allowance = self._context.allowance
        return allowance is None or not allowance.ended()

    def _allowed(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """The records in batches, each once it may be folded."""
        allowance = self._context.allowance
        if allowance is None:
            yield from self._step_size.cut(records)
            return
        times = self._times_alone(records) if allowance.paces else times_of(records)
        while count := allowance.next(times):
            yield from self._step_size.cut(records[:count])
            records, times = records[count:], times[count:]

    def _times_alone(self, records: Sequence[Record]) -> NDArray[np.int64]:
        """When the records were received, int64 ns; where no time is known, the newest of their events."""
        times = times_of(records).copy()
        feed = self._feed()
        batch = feed.format.decode(records, feed.context(self.task.partition.topic)).batch
        newest = np.full(len(times), NO_TIME)
        np.maximum.at(newest, np.searchsorted(offsets_of(records), batch.offset), batch.ts)
        return np.where(times == NO_TIME, newest, times)

    def _step_alone(self, batch: Sequence[Record], fetched: Fetched) -> Step:
        feed, topic = self._feed(), self.task.partition.topic
        self._context.reading(self.task.partition, batch[0].offset, batch[-1].offset, self.live)
        return as_step(batch, fetched, feed.format.decode(batch, feed.context(topic)))

    def _feed(self) -> Feed:
        topic = self.task.partition.topic
        feed = self.task.plan.feed(topic)
        if feed is None:
            raise TapewatchError(f"no entry of source.topics or source.files matches {topic!r}")
        return feed

    def advance(self) -> bool:
        """Fold what waits of a joined log, as far as its order is sure; False where a stop came first."""
        merge = self._merge
        if merge is None:
            return True
        self.advance_replay()
        while True:
            self._skip_due_damage(merge)
            more = self._follow_segment(merge) if self._replay else self._fold_merged(merge)
            if self._context.stopped() and (more or merge.waiting):
                return False
            if not more:
                return True

    def _fold_merged(self, merge: Merge) -> bool:
        """Fold some of what is new; False where it has to wait."""
        if not self.journal.goes_on:
            merge.begin_segment()
        at_most, allowance = self._step_size.size, self._context.allowance
        if self._lacks_timers:
            bounds = [0 if n in self.row.gone else bound for n, bound in enumerate(self.row.settled)]
            settled = merge.count_before(bounds, self.places, at_most, self._complete)
            if not settled and self._pass_time_again(self.row.settled):
                return True
            at_most = settled or at_most
        if allowance is not None:
            at_most = allowance.next(merge.upcoming(at_most, self._complete))
        began = self._context.clock()
        step = merge.take(at_most, missing=self._complete)
        if step is None:
            return False
        self.journal.batch(step.segment, goes_on=step.goes_on)
        self._fold(step)
        self._step_size.took(len(step), self._context.clock() - began)
        return True

    def _follow_segment(self, merge: Merge) -> bool:
        """Fold some of what the replay asks for; False where it has to wait."""
        segment = self._replay.segment
        step = merge.take(self._step_size.size, segment, self._missing)
        if step is not None:
            self._fold(step)
        if merge.is_complete(segment, self.places, self._missing):
            self._finish_segment()
            return True
        return step is not None

    def end_members(self, members: Collection[Partition]) -> None:
        """Wait no more for these members: they bring nothing more, ever."""
        if self._merge is not None:
            self._merge.ended |= {self._place_of[each] for each in members if each in self._place_of}
            self.advance()

    def merge_recorded(self, members: Collection[Partition]) -> None:
        """Merge records of these members of a joined log until each is `complete`, as they were recorded."""
        others = self._place_of.keys() - set(members)
        self._complete = frozenset(self._place_of[each] for each in others)

    def complete(self, member: Partition) -> bool:
        """A member has no more records that were recorded as merged; False where a stop came first."""
        self._complete |= {self._place_of[member]}
        return self.advance()

    def pass_over(self, members: Collection[Partition]) -> None:
        """Go on without these members, in a live task, until they bring something; it is journaled."""
        states, merge = self.task.members, self._merge
        if states is None or merge is None or not self.live:
            return
        for place in sorted(self._place_of[each] for each in members):
            if not states.idle[place]:
                states.idle[place] = True
                self.journal.idle(place)
        self.advance()

    def lose(self, members: Collection[Partition]) -> None:
        """Go on without members that are not there any more, with an alert that names each."""
        merge = self._merge
        if merge is None:
            return
        for place in sorted(self._place_of[each] for each in members):
            if place in self.row.gone:
                continue
            merge.ended.add(place)
            self.row = replace(self.row, gone=self.row.gone | {place})
            if self.live:
                self.journal.idle(place)
            self.commit(Outcome(), loss=Loss(place, None))
        self.advance()

    def adopt(self, other: Runner) -> None:
        """Go on with what was brought to the runner of the same log before this one, and not folded yet."""
        if self._merge is not None and other._merge is not None:
            self._merge.adopt(other._merge, self.places)
            self.advance()

    @property
    def _lacks_timers(self) -> bool:
        """Whether time is still to pass as it did for an earlier generation of the log.

        Until then that one's last timer is the only one that this task knows, from before any instrument.
        """
        return any(self.row.settled) and self.task.guard.last_timer < self.task.last_timer.ts_ns

    def _pass_time_again(self, positions: Positions) -> bool:
        """Come to the last timer of the log's earlier generation, by timers in steps of the same length.

        What they raise was told before, and what stands behind them is told under its new id: an episode
        that a timer raised is not said to be over before.

        Parameters
        ----------
        positions
            By member, the offset that comes next.

        Returns
        -------
        bool
            False where that generation had come further, and where there are no instruments yet.
        """
        if not self._lacks_timers or not self.row.has_come_to(self.row.settled, positions):
            return False
        last, begin = self.task.last_timer, self.task.guard.running
        if not len(self.task.slots):
            return False
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
        return True

    def insert_timer(self, ts_ns: int, number: int | None = None) -> None:
        """Insert a timer, in a live task.

        Parameters
        ----------
        ts_ns
            Its event time, ns.
        number
            Its number if it was recorded, None for the next number.
        """
        self._pass_time_again(tuple(self.places))
        if number is None:
            number = self.task.last_timer.number + 1
        self.journal.timer(number, ts_ns)
        self._finish_step(self.task.step(Timer(number, ts_ns)))

    def skip_to(self, place: int, first: int) -> None:
        """Skip records that the log has lost, with an alert that names them; the task's state is kept."""
        lost = self.places[place], first - 1
        self.journal.gap(MemberSpan(place, *lost))
        self.places[place] = first
        self.commit(Outcome(), loss=Loss(place, lost))

    def skip_damaged(self, damaged: DamagedRange, member: Partition | None = None) -> bool:
        """Skip offsets that cannot be read, with a dead letter and an alert that name them.

        In a joined log they are skipped once what the member brought before them is folded.

        Returns
        -------
        bool
            False if some of them were read before, by the journal that is being replayed: what followed
            from them cannot be derived again.
        """
        if self._merge is not None:
            place = 0 if member is None else self._place_of[member]
            if self._replay.consumes(place, max(damaged.first, self.places[place]), damaged.last):
                return False
            self._merge.offer_damaged(place, damaged)
            self.advance()
            return True
        self.advance_replay()
        while self._replay and self._replay.segment[0].last < damaged.first:
            self._finish_segment()
        if self._replay:
            return self._replay.segment[0].first > damaged.last  # then they are a gap in the journal already
        self._skip_range(0, damaged)
        return True

    def _skip_due_damage(self, merge: Merge) -> None:
        """Skip damaged ranges that come next; by the journal they are a gap already, or lie behind it."""
        for place, damaged in merge.due_damage():
            if not self._replay or self._replay.reach(tuple(self.places))[place] > damaged.first:
                merge.drop_damaged(place)
                self._skip_range(place, damaged)

    def _skip_range(self, place: int, damaged: DamagedRange) -> None:
        if self._replay or damaged.last < self.places[place]:
            return
        damaged = replace(damaged, first=max(damaged.first, self.places[place]))
        self.journal.gap(MemberSpan(place, damaged.first, damaged.last))
        self.places[place] = damaged.last + 1
        outcome = Outcome(dead=(dead_letter_of(damaged, place),))
        self.commit(outcome, loss=Loss(place, damaged))
        self._context.watch(StepResult(self.task, 0, outcome, self.live))

    @property
    def reach(self) -> Positions:
        """By member, one past the last offset consumed or skipped, by the journal to be replayed too."""
        return self._replay.reach(tuple(self.places))

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
                self.places[entry.place] = max(self.places[entry.place], entry.last + 1)
                if self._merge is not None:
                    self._merge.drop_before(entry.place, entry.last + 1)
            elif entry.kind == "idle":
                if self.task.members is not None:
                    self.task.members.idle[entry.place] = True
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
            self.journal = Journal(self._replay.pop().seq, self.row.log)
        if self.live:
            self._reload_if_changed()
            self.obey_controls()

    def skip_missing(self, at_end: Collection[Partition]) -> None:
        """Go on with the replay without the records it still asks for: the log does not have them.

        A compacted topic may have dropped the last records of a range, such as deleted keys.

        Parameters
        ----------
        at_end
            The partitions that are read to their end.
        """
        if self._merge is None:
            while self._replay and self.log.key in at_end:
                self._finish_segment()
            return
        self._missing = frozenset(self._place_of[each] for each in at_end if each in self._place_of)
        self.advance()
        self._missing = frozenset()

    def commit(
        self,
        outcome: Outcome,
        step: Step | None = None,
        loss: Loss | None = None,
        *,
        reaches: bool = False,
    ) -> None:
        """Commit the pending journal, the outcome, a loss's alert, and near misses since the last commit."""
        positions = tuple(self.places)
        if reaches or self._lacks_timers:
            positions = _short_of(self.row.settled, positions)
        behind = behind_s(outcome.transitions, step) if outcome.transitions else {}
        self._context.ledger.commit(
            self.row,
            self.journal.pending,
            replace(
                outcome,
                dead=with_bytes(outcome.dead, step),
                near_misses=tuple(self._near_misses),
            ),
            Derivation(
                self.task.plan.config_hash,
                again=not self.live,
                positions=positions,
                behind_s=behind,
                reaches=reaches,
            ),
            loss,
        )
        self.journal.written()
        self._near_misses.clear()

    def _members(self, places: Collection[int]) -> frozenset[Partition]:
        members = self.log.members
        return frozenset(members[place] for place in places)

    def _reload_if_changed(self) -> None:
        if self.task.plan.config_hash != self._plan.config_hash:
            self.reload(self._plan)

    def _carry_over(self, plan: Plan) -> None:
        task, outcome = reload(self.task, plan)
        self.commit(outcome)
        self.task = task
        if self._merge is not None:
            self._merge.follow(task)
        self._newest_control = -1
        self._context.watch(StepResult(task, 0, outcome, self.live))

    def _finish_segment(self) -> None:
        for span in self._replay.segment:
            self.places[span.place] = max(self.places[span.place], span.last + 1)
        entry = self._replay.pop_segment()
        if entry is not None:
            self.journal = Journal(entry.seq, self.row.log)
        self.advance_replay()

    def _fold(self, step: Step) -> None:
        if self._merge is not None:
            first = step.segment[0]
            self._context.reading(self.log.members[first.place], first.first, first.last, self.live)
        outcome = self.task.step(step.decoded)
        for span in step.segment:
            self.places[span.place] = span.last + 1
        self._finish_step(outcome, step)

    def _finish_step(self, outcome: Outcome, step: Step | None = None) -> None:
        if self.live:  # a replayed journal's near misses are stored already
            self._near_misses += outcome.near_misses
        if outcome.visible or len(self._near_misses) >= _MAX_NEAR_MISSES:
            self.commit(outcome, step)
        counts = Counter[str]()
        for part in () if step is None else step.parts:
            counts[self.log.members[part.place].topic] += len(part.records)
        self._context.watch(StepResult(self.task, counts.total(), outcome, self.live, counts))


def _short_of(settled: Positions, positions: Positions) -> Positions:
    """These positions, but short of what an earlier generation of the log had come to."""
    both = zip(settled, positions, strict=True)
    return tuple(min(at, bound - 1) if bound else at for bound, at in both)
