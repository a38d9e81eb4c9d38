"""Feeds a log of one member to its task: records in batches, as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME, DamagedRange, Record
from streamer.pipeline.journal_following import JournalFollower
from streamer.pipeline.member_queue import Fetched, offsets_of, times_of
from streamer.pipeline.merging import Step, as_step
from streamer.pipeline.plan import Feed
from streamer.pipeline.step_records import index_of
from streamer.pipeline.step_size import StepSize
from streamer.pipeline.task_fold import TaskFold
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_logs import INCARNATION


class LoneLog:
    """A log of one partition or file.

    Parameters
    ----------
    fold, follower
        Its task, and what follows the task's stored journal.
    """

    def __init__(self, fold: TaskFold, follower: JournalFollower) -> None:
        self._fold = fold
        self._follower = follower
        self._step_size = StepSize(fold.context.batch_size, fold.context.clock)
        self.disorder = Disorder() if fold.log.key.incarnation == INCARNATION else None
        """Where the event times go back, of a file."""

    def consume(self, records: Sequence[Record], fetched: Fetched) -> bool:
        """Fold records, first those that the replay asks for; False where a stop came first."""
        fold = self._fold
        self._follower.advance()
        records = records[index_of(records, fold.places[0]) :]
        while records and fold.replay:
            last = fold.replay.segment[0].last
            end = index_of(records, last + 1)
            for batch in self._step_size.cut(records[:end]):
                if fold.context.stopped():
                    return False
                fold.fold(self._step(batch, fetched))
            records = records[end:]
            if records or fold.places[0] > last:
                self._follower.finish_segment()
                # a gap is skipped even if it can be read now
                records = records[index_of(records, fold.places[0]) :]
        if fold.lacks_timers:
            reach = index_of(records, fold.row.settled[0])
            if not self._consume_new(records[:reach], fetched):
                return False
            records = records[reach:]
            fold.pass_time_again(tuple(offsets_of(records[:1]).tolist()) or fold.positions)
        return self._consume_new(records, fetched)

    def skip_damaged(self, damaged: DamagedRange) -> bool:
        """Skip offsets that cannot be read; False if the replay asks for some of them."""
        fold = self._fold
        self._follower.advance()
        while fold.replay and fold.replay.segment[0].last < damaged.first:
            self._follower.finish_segment()
        if fold.replay:
            return fold.replay.segment[0].first > damaged.last  # then they are a gap in the journal already
        fold.skip_range(0, damaged)
        return True

    def skip_missing(self) -> None:
        """Go on with the replay without the records it still asks for."""
        while self._fold.replay:
            self._follower.finish_segment()

    def _consume_new(self, records: Sequence[Record], fetched: Fetched) -> bool:
        fold = self._fold
        for batch in self._allowed(records):
            if fold.context.stopped():
                return False
            step = self._step(batch, fetched)
            if self.disorder is not None:
                self.disorder.follow(step.decoded.batch.offset, step.decoded.batch.ts)
            fold.journal.batch(step.segment)
            fold.fold(step)
        allowance = fold.context.allowance
        return allowance is None or not allowance.ended()

    def _allowed(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """The records in batches, each once it may be folded."""
        allowance = self._fold.context.allowance
        if allowance is None:
            yield from self._step_size.cut(records)
            return
        times = self._times(records) if allowance.paces else times_of(records)
        while count := allowance.next(times):
            yield from self._step_size.cut(records[:count])
            records, times = records[count:], times[count:]

    def _times(self, records: Sequence[Record]) -> NDArray[np.int64]:
        """When the records were received, int64 ns; where no time is known, the newest of their events."""
        times = times_of(records).copy()
        feed = self._feed()
        batch = feed.format.decode(records, feed.context(self._fold.task.partition.topic)).batch
        newest = np.full(len(times), NO_TIME)
        np.maximum.at(newest, np.searchsorted(offsets_of(records), batch.offset), batch.ts)
        return np.where(times == NO_TIME, newest, times)

    def _step(self, batch: Sequence[Record], fetched: Fetched) -> Step:
        fold, feed = self._fold, self._feed()
        partition = fold.task.partition
        fold.context.reading(partition, batch[0].offset, batch[-1].offset, fold.live)
        return as_step(batch, fetched, feed.format.decode(batch, feed.context(partition.topic)))

    def _feed(self) -> Feed:
        topic = self._fold.task.partition.topic
        feed = self._fold.task.plan.feed(topic)
        if feed is None:
            raise TapewatchError(f"no entry of source.topics or source.files matches {topic!r}")
        return feed
