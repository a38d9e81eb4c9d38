"""One task at work: cuts records into batches, steps, journals, commits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.decoding.formats import DecodeContext
from streamer.errors import TapewatchError
from streamer.messages.batch import DeadLetter
from streamer.messages.outcome import NearMiss, Outcome
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.pipeline.journal import Journal, JournalReplay
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import reload
from streamer.pipeline.task import Task, Timer
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow

_NEAR_MISSES_AT_ONCE = 1_000  # so many do not wait for something visible: memory is bounded


@dataclass(frozen=True, slots=True)
class Work:
    """What one batch, timer or reload did, for those who watch.

    Parameters
    ----------
    task
        The task after it.
    records
        How many records it took.
    outcome
        What came of it.
    live
        False while a stored journal is being followed again.
    """

    task: Task
    records: int
    outcome: Outcome
    live: bool


class Runner:
    """Feeds one task and keeps its journal.

    Parameters
    ----------
    task
        The state to move.
    row
        The task's row in the store: its id and epoch.
    ledger
        Where journal, alerts and dead letters are committed.
    replay
        A stored journal to be followed first, exactly as it was recorded.
    seq, position
        The number of the last journal entry behind `task`, and the offset to read next.
    batch_size
        How many records go through a step at once; results do not depend on it.
    plan
        What to go on under once the replay has been followed; if that is another one, it is a reload.
    plan_of
        Gives the plan of a configuration hash, for reloads within the replay.
    watch
        Called after every batch, timer and reload.
    """

    def __init__(
        self,
        task: Task,
        row: TaskRow,
        ledger: Ledger,
        *,
        replay: JournalReplay,
        seq: int,
        position: int,
        batch_size: int,
        plan: Plan,
        plan_of: Callable[[str], Plan],
        watch: Callable[[Work], None],
    ) -> None:
        self.task = task
        self.row = row
        self.position = position
        self.journal = Journal(seq)
        self._ledger = ledger
        self._script = replay
        self._batch_size = batch_size
        self._plan = plan
        self._plan_of = plan_of
        self._watch = watch
        self._near_misses: list[NearMiss] = []

    @property
    def live(self) -> bool:
        """True once the stored journal has been followed to its end."""
        return not self._script

    def consume(self, records: Sequence[Record]) -> None:
        """Fold records, in batches, under the replay as long as there is one.

        Those before `position` were folded before, and are left.
        """
        records = records[_place(records, self.position) :]
        self.follow()
        while records and self._script:
            last = self._script.head.last
            cut = _place(records, last + 1)
            for batch in _cut(records[:cut], self._batch_size):
                self._fold(batch)
            records = records[cut:]
            if records or self.position > last:
                self._leave_batch()
        topic, _, partition = self.task.partition
        for batch in _cut(records, self._batch_size):
            self.journal.batch(topic, partition, batch[0].offset, batch[-1].offset)
            self._fold(batch)

    def insert_timer(self, ts_ns: int, number: int | None = None) -> None:
        """Insert a timer; only a live task has any of its own.

        Parameters
        ----------
        ts_ns
            Its time.
        number
            Its number where that was recorded, the next one where it was not.
        """
        if number is None:
            number = self.task.last_timer.number + 1
        self.journal.timer(number, ts_ns)
        self._settle(self.task.step(Timer(number, ts_ns)), (), 0)

    def skip_to(self, first: int) -> None:
        """Go on behind records that the log has lost, and name them; what the task remembers is kept."""
        lost = (self.position, first - 1)
        topic, _, partition = self.task.partition
        self.journal.gap(topic, partition, *lost)
        self.position = first
        self.commit(Outcome(), lost=lost)

    def reload(self, plan: Plan) -> None:
        """Go on under another configuration, and journal that together with what it brings."""
        self.journal.reload(plan.config_hash)
        self._take(plan)

    def turn_to(self, plan: Plan) -> None:
        """Go on under a plan from now on, or, where a replay is still followed, from its end on."""
        self._plan = plan
        if self.live:
            self._turn()

    def follow(self) -> None:
        """Do all that the replay says up to the next records it wants; behind its end, what is wanted now."""
        while self._script and self._script.head.kind != "batch":
            entry = self._script.head
            if entry.kind == "gap":
                self.position = max(self.position, entry.last + 1)
            elif entry.kind == "tick":
                self._settle(self.task.step(Timer(entry.timer_number, entry.ts_ns)), (), 0)
            elif entry.kind == "reload":
                self._take(self._plan_of(entry.data))
            else:
                raise TapewatchError(
                    f"the journal holds a {entry.kind!r} entry that this version cannot follow"
                )
            self._leave_head()
        if self.live:
            self._turn()

    def pass_over(self) -> None:
        """Follow the replay without the records it still wants: the log has none before its end.

        A compacted topic may have dropped the last records of a range, such as keys that were deleted.
        """
        while self._script:
            self._leave_batch()

    def commit(
        self, outcome: Outcome, records: Sequence[Record] = (), lost: tuple[int, int] | None = None
    ) -> None:
        """Write the journal so far together with what the outcome makes visible, and with a gap's alert.

        Near misses since the last commit go along.
        """
        self._ledger.commit(
            self.row,
            self.journal.pending,
            replace(
                outcome,
                dead=_with_bytes(outcome.dead, records),
                near_misses=tuple(self._near_misses),
            ),
            config_hash=self.task.plan.config_hash,
            again=not self.live,
            lost=lost,
        )
        self.journal.written()
        self._near_misses.clear()

    def _turn(self) -> None:
        if self.task.plan.config_hash != self._plan.config_hash:
            self.reload(self._plan)

    def _take(self, plan: Plan) -> None:
        task, outcome = reload(self.task, plan)
        self.commit(outcome)
        self.task = task
        self._watch(Work(task, 0, outcome, self.live))

    def _leave_batch(self) -> None:
        self.position = max(self.position, self._script.head.last + 1)
        self._leave_head()
        self.follow()

    def _leave_head(self) -> None:
        self.journal = Journal(self._script.done().seq)

    def _fold(self, batch: Sequence[Record]) -> None:
        feed = self.task.plan.feed(self.task.partition.topic)
        if feed is None:
            raise TapewatchError(
                f"no entry of source.topics or source.files matches {self.task.partition.topic!r}"
            )
        decoded = feed.format.decode(batch, DecodeContext(self.task.partition.topic, feed.venue))
        outcome = self.task.step(decoded)
        self.position = batch[-1].offset + 1
        self._settle(outcome, batch, len(batch))

    def _settle(self, outcome: Outcome, records: Sequence[Record], count: int) -> None:
        if self.live:  # those of a stored journal were stored with it
            self._near_misses += outcome.near_misses
        if outcome.visible or len(self._near_misses) >= _NEAR_MISSES_AT_ONCE:
            self.commit(outcome, records)
        self._watch(Work(self.task, count, outcome, self.live))


def _place(records: Sequence[Record], offset: int) -> int:
    """Where the first record lies that is at an offset or behind it."""
    if isinstance(records, RecordBlock):
        return int(np.searchsorted(records.offset, offset))
    return bisect_left(records, offset, key=_offset)


def _offset(record: Record) -> int:
    return record.offset


def _cut(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


def _with_bytes(dead: Sequence[DeadLetter], records: Sequence[Record]) -> tuple[DeadLetter, ...]:
    """Give each dead letter its record's bytes."""
    if not dead:
        return ()
    return tuple(replace(letter, value=records[_place(records, letter.offset)].value) for letter in dead)
