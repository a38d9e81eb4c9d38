"""Feeds a joined log to its task: what its members bring, in the order of the merge."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from streamer.messages.records import DamagedRange, Record
from streamer.pipeline.journal_following import JournalFollower
from streamer.pipeline.member_queue import Fetched
from streamer.pipeline.merging import Merge, Step
from streamer.pipeline.step_records import index_of
from streamer.pipeline.step_size import StepSize
from streamer.pipeline.task_fold import TaskFold
from streamer.store.commits import Loss


class JoinedLog:
    """A log of several members; places say which.

    Parameters
    ----------
    fold, follower
        Its task, and what follows the task's stored journal.
    merge
        What the members have brought.
    """

    def __init__(self, fold: TaskFold, follower: JournalFollower, merge: Merge) -> None:
        self._fold = fold
        self._follower = follower
        self.merge = merge
        self._step_size = StepSize(fold.context.batch_size, fold.context.clock)
        self._missing: frozenset[int] = frozenset()
        self._complete: frozenset[int] = frozenset()

    def consume(self, records: Sequence[Record], fetched: Fetched, place: int) -> bool:
        """Fold what a member brings, and what waited for it; False where a stop came first."""
        return self.advance() if self.offer(records, fetched, place) or not self._fold.live else True

    def offer(self, records: Sequence[Record], fetched: Fetched, place: int) -> bool:
        """Leave what a member brings to what is consumed next; False if that waits for another one."""
        return self.merge.offer(place, records[index_of(records, self._fold.places[place]) :], fetched)

    def advance(self) -> bool:
        """Fold what waits, as far as its order is sure; False where a stop came first."""
        fold = self._fold
        self._follower.advance()
        while True:
            self._skip_due_damage()
            more = self._follow_segment() if fold.replay else self._fold_merged()
            if fold.context.stopped() and (more or self.merge.waiting):
                return False
            if not more:
                return True

    def skip_damaged(self, damaged: DamagedRange, place: int) -> bool:
        """Skip offsets that cannot be read, in their turn; False if the replay asks for some of them."""
        fold = self._fold
        if fold.replay.consumes(place, max(damaged.first, fold.places[place]), damaged.last):
            return False
        self.merge.offer_damaged(place, damaged)
        self.advance()
        return True

    def skip_missing(self, places: Collection[int]) -> None:
        """Go on with the replay without the records of these members that it still asks for."""
        self._missing = frozenset(places)
        self.advance()
        self._missing = frozenset()

    def end(self, places: Collection[int]) -> None:
        """Wait no more for these members: they bring nothing more, ever."""
        self.merge.ended |= set(places)
        self.advance()

    def merge_recorded(self, places: Collection[int]) -> None:
        """Merge records of these members until each is `complete`, as they were recorded."""
        self.merge.recorded = frozenset(places)
        self._complete = frozenset(range(len(self._fold.places))) - self.merge.recorded

    def complete(self, place: int) -> bool:
        """A member has no more records that were recorded as merged; False where a stop came first."""
        self._complete |= {place}
        self.merge.recorded -= {place}
        return self.advance()

    def pass_over(self, places: Collection[int]) -> None:
        """Go on without these members, in a live task, until they bring something; it is journaled."""
        fold, states = self._fold, self._fold.task.members
        if states is None or not fold.live:
            return
        for place in sorted(places):
            if not states.idle[place]:
                states.idle[place] = True
                fold.journal.idle(place)
        self.advance()

    def lose(self, places: Collection[int]) -> None:
        """Go on without members that are not there any more, with an alert that names each."""
        fold = self._fold
        for place in sorted(places):
            if place in fold.row.gone:
                continue
            self.merge.ended.add(place)
            fold.row = replace(fold.row, gone=fold.row.gone | {place})
            fold.lose(Loss(place, None))
        self.advance()

    def adopt(self, other: JoinedLog) -> None:
        """Go on with what was brought to the same log before, and not folded yet."""
        self.merge.adopt(other.merge, self._fold.places)
        self.advance()

    def _fold_merged(self) -> bool:
        """Fold some of what is new; False where it has to wait."""
        fold, merge, context = self._fold, self.merge, self._fold.context
        if not fold.journal.goes_on:
            merge.begin_segment()
        at_most = self._step_size.size
        if fold.lacks_timers:
            settled = self._count_settled(at_most)
            if not settled and fold.pass_time_again(fold.row.settled):
                return True
            at_most = settled or at_most
        if context.allowance is not None:
            at_most = context.allowance.next(merge.upcoming(at_most, self._complete))
        began = context.clock()
        step = merge.take(at_most, missing=self._complete)
        if step is None:
            return False
        fold.journal.batch(step.segment, goes_on=step.goes_on)
        self._fold_step(step)
        self._step_size.took(len(step), context.clock() - began)
        return True

    def _count_settled(self, at_most: int) -> int:
        """How many of the next records, at most so many, an earlier generation of the log had folded."""
        row = self._fold.row
        bounds = [0 if place in row.gone else bound for place, bound in enumerate(row.settled)]
        return self.merge.count_before(bounds, self._fold.places, at_most, self._complete)

    def _follow_segment(self) -> bool:
        """Fold some of what the replay asks for; False where it has to wait."""
        segment = self._fold.replay.segment
        step = self.merge.take(self._step_size.size, segment, self._missing)
        if step is not None:
            self._fold_step(step)
        if self.merge.is_complete(segment, self._fold.places, self._missing):
            self._follower.finish_segment()
            return True
        return step is not None

    def _fold_step(self, step: Step) -> None:
        fold, first = self._fold, step.segment[0]
        fold.context.reading(fold.log.members[first.place], first.first, first.last, fold.live)
        fold.fold(step)

    def _skip_due_damage(self) -> None:
        """Skip damaged ranges that come next; by the journal they are a gap already, or lie behind it."""
        fold = self._fold
        for place, damaged in self.merge.due_damage():
            if not fold.replay or fold.replay.reach(fold.positions)[place] > damaged.first:
                self.merge.drop_damaged(place)
                fold.skip_range(place, damaged)
