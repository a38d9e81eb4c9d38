"""One task at work: cuts records into batches, steps, journals, commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from streamer.errors import TapewatchError
from streamer.events.batch import DeadLetter
from streamer.events.formats import DecodeContext
from streamer.pipeline.journal import Entry, Journal, Script
from streamer.pipeline.outcome import Outcome
from streamer.pipeline.plan import Feed, Plan
from streamer.pipeline.state import reload
from streamer.pipeline.task import Task, Tick
from streamer.sources.contract import Record
from streamer.store.ledger import Ledger, TaskRow

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Work:
    """What one batch did, for those who watch.

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
    script
        A stored journal to be followed first, exactly as it was recorded.
    seq, position
        The number of the last journal entry behind `task`, and the offset to read next.
    batch_size
        How many records go through a step at once; results do not depend on it.
    plan_of
        Gives the plan of a configuration hash, for reloads within the script.
    watch
        Called after every batch.
    """

    def __init__(
        self,
        task: Task,
        row: TaskRow,
        ledger: Ledger,
        *,
        script: Script,
        seq: int,
        position: int,
        batch_size: int,
        plan_of: Callable[[str], Plan],
        watch: Callable[[Work], None],
    ) -> None:
        self.task = task
        self.row = row
        self.position = position
        self.journal = Journal(seq)
        self.seq = seq
        self._ledger = ledger
        self._script = script
        self._batch_size = batch_size
        self._plan_of = plan_of
        self._watch = watch

    @property
    def live(self) -> bool:
        """True once the stored journal has been followed to its end."""
        return not self._script

    def consume(self, records: Sequence[Record]) -> None:
        """Fold records, in batches, under the script as long as there is one."""
        records = [record for record in records if record.offset >= self.position]
        self.follow()
        while records and self._script:
            last = self._script.head.last
            cut = next((at for at, record in enumerate(records) if record.offset > last), len(records))
            for batch in _cut(records[:cut], self._batch_size):
                self._fold(batch)
            records = records[cut:]
            if records or self.position > last:
                self.position = max(self.position, last + 1)
                self._leave_head()
                self.follow()
        for batch in _cut(records, self._batch_size):
            self.journal.batch(
                self.task.partition.topic, self.task.partition.partition, batch[0].offset, batch[-1].offset
            )
            self._fold(batch)

    def tick(self, ts_ns: int) -> None:
        """Insert a tick; only a live task has any of its own."""
        number = self.task.last_tick.number + 1
        self.journal.tick(number, ts_ns)
        self._settle(self.task.step(Tick(number, ts_ns)), (), 0)

    def reload(self, plan: Plan) -> None:
        """Go on under another configuration, and journal that."""
        self.journal.reload(plan.config_hash)
        self._take(plan)
        self.commit(Outcome())

    def follow(self) -> None:
        """Do all that the script says up to the next records it wants."""
        while self._script and self._script.head.kind != "batch":
            entry = self._script.head
            if entry.kind == "tick":
                self._settle(self.task.step(Tick(entry.tick_number, entry.ts_ns)), (), 0)
            elif entry.kind == "reload":
                self._take(self._plan_of(entry.data))
            else:
                raise TapewatchError(f"the journal holds a {entry.kind!r} entry that this version cannot follow")
            self._leave_head()

    def abandon_script(self) -> None:
        """Stop following: the records it wants are gone."""
        while self._script:
            self._leave_head()

    def commit(self, outcome: Outcome, records: Sequence[Record] = ()) -> None:
        """Write the journal so far together with what the outcome makes visible."""
        self._ledger.commit(
            self.row,
            self.journal.pending,
            replace(outcome, dead=_with_bytes(outcome.dead, records)),
            config_hash=self.task.plan.config_hash,
        )
        self.journal.written()

    def _take(self, plan: Plan) -> None:
        self.task, outcome = reload(self.task, plan)
        if outcome.visible:
            self.commit(outcome)

    def _leave_head(self) -> None:
        self.seq = self._script.done().seq
        self.journal = Journal(self.seq)

    def _fold(self, batch: Sequence[Record]) -> None:
        feed = self.task.plan.feed(self.task.partition.topic)
        if feed is None:
            raise TapewatchError(f"no entry of source.topics or source.files matches {self.task.partition.topic!r}")
        decoded = feed.format.decode(batch, DecodeContext(self.task.partition.topic, feed.venue))
        outcome = self.task.step(decoded)
        self.position = batch[-1].offset + 1
        self._settle(outcome, batch, len(batch))

    def _settle(self, outcome: Outcome, records: Sequence[Record], count: int) -> None:
        if outcome.visible:
            self.commit(outcome, records)
        if not self._script:
            self.seq = self.journal.seq
        self._watch(Work(self.task, count, outcome, self.live))


def _cut(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


def _with_bytes(dead: Sequence[DeadLetter], records: Sequence[Record]) -> tuple[DeadLetter, ...]:
    """Give each dead letter its record's bytes."""
    if not dead:
        return ()
    by_offset = {record.offset: record for record in records}
    return tuple(replace(letter, value=by_offset[letter.offset].value) for letter in dead)


