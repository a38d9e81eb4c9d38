"""Folds files through the same engine as the daemon, with a different source and a store in memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamer.app.shared_instruments import SharedInstruments, shared_instruments
from streamer.app.shared_seats import Seats
from streamer.messages.records import Partition
from streamer.notify.clock import SystemClock
from streamer.pipeline.allowance import UNRESTRICTED, Allowance
from streamer.pipeline.compile import compile_document
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Runner
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.pipeline.state import quarantined
from streamer.pipeline.task import Task
from streamer.sources.disorder import Disorder
from streamer.sources.files.line_reader import DamagedFileError
from streamer.sources.source import Source
from streamer.store.checkpoints import NO_FOLDER
from streamer.store.database import MEMORY, open_store
from streamer.store.ledger import Ledger

_NOTHING: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class ReplayTotals:
    """The totals of a replay.

    Parameters
    ----------
    records
        How many records were folded.
    fired
        Number of alerts that fired, by rule.
    dead
        Dead letters by reason, including those beyond the limit per minute.
    ignored
        Number of messages that a format knows but does not use, by name.
    late
        How many events were behind their instrument's clock.
    seconds
        How long it took, from the first record on.
    quarantined
        By detector and instrument: why its model is in quarantine.
    clocks
        How many clocks were set back, and how many times were far off; see `ClockGuard.counts`.
    damage
        Where a recording ended that is damaged or cut short.
    disorders
        Members of joined logs whose event times go back, where they are merged by these.
    untimed
        Partitions whose events had no times.
    shared
        Which logs have instruments in common, among those that were to be compared.
    """

    records: int
    fired: Mapping[str, int]
    dead: Mapping[str, int]
    ignored: Mapping[str, int]
    late: int
    seconds: float
    quarantined: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clocks: Mapping[str, int] = field(default_factory=dict)
    damage: str = ""
    disorders: Mapping[Partition, Disorder] = field(default_factory=dict)
    untimed: Sequence[Partition] = ()
    shared: Sequence[SharedInstruments] = ()


def replay(  # noqa: PLR0913 - each decides something of its own
    plan: Plan,
    source: Source,
    *,
    batch_size: int,
    watch: Callable[[StepResult], None],
    allowance: Allowance = UNRESTRICTED,
    compared: Mapping[str, Sequence[str]] = _NOTHING,
) -> ReplayTotals:
    """Fold all records of a source.

    Parameters
    ----------
    plan
        The compiled configuration.
    source
        A file or a recording.
    batch_size
        Records per step; the results do not depend on it.
    watch
        Called after every batch, with its outcome.
    allowance
        How many records are folded, how fast, and what ends it.
    compared
        Files, each with the names or patterns that it is joined by, or its own: where an instrument is in
        several logs of these at the same time, it is told.

    Raises
    ------
    TapewatchError
        When the source cannot be read.
    """
    counter = _ReplayCounter(watch)
    database = open_store(MEMORY)
    try:
        ledger = Ledger(database, SystemClock())
        context = RunnerContext(
            ledger,
            lambda config_hash: compile_document(ledger.config(config_hash)),
            batch_size,
            counter.count,
            stopped=allowance.stopped,
            allowance=allowance if allowance.restricts else None,
        )
        recovery = Recovery(plan, context, NO_FOLDER)
        engine = Engine(source, recovery, None, timer_every_s=None, clock=time.monotonic)
        try:
            engine.run(allowance.ended, counter.start)
        except DamagedFileError as error:  # all before that is folded
            counter.damage = str(error)
        counter.note_times(engine.runners.values())
    finally:
        database.close()
    return replace(counter.totals(), shared=counter.shared(compared))


class _ReplayCounter:
    """Adds up the outcomes of batches."""

    def __init__(self, watch: Callable[[StepResult], None]) -> None:
        self._watch = watch
        self._records = 0
        self.damage = ""
        self._disorders: dict[Partition, Disorder] = {}
        self._untimed: list[Partition] = []
        self._fired: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        # counts are totals, not increments
        self._floods: dict[tuple[Partition, str, int, int, int], int] = {}
        self._tasks: dict[Partition, Task] = {}
        self._started = time.monotonic()

    def start(self) -> None:
        self._started = time.monotonic()

    def count(self, step: StepResult) -> None:
        task, outcome = step.task, step.outcome
        self._records += step.records
        self._tasks[task.partition] = task
        self._fired.update(each.rule for each in outcome.transitions if each.transition == "fired")
        self._dead.update(letter.reason for letter in outcome.dead)
        for flood in outcome.floods:
            first = flood.first_source, flood.first_offset
            self._floods[task.partition, flood.reason, flood.minute, *first] = flood.count
        self._watch(step)

    def note_times(self, runners: Iterable[Runner]) -> None:
        for runner in runners:
            self._disorders |= runner.disorders
            self._untimed += runner.untimed

    def shared(self, compared: Mapping[str, Sequence[str]]) -> list[SharedInstruments]:
        tasks = [task for task in self._tasks.values() if not compared.keys().isdisjoint(task.log.topics)]
        if len(tasks) <= 1:
            return []
        found, some_left_out = Seats.of(tasks).together([True] * len(tasks))
        return shared_instruments(found, {}, compared, more=some_left_out)

    def totals(self) -> ReplayTotals:
        seconds = time.monotonic() - self._started
        dead, ignored = self._dead.copy(), Counter[str]()
        for (_, reason, *_), more in self._floods.items():
            dead[reason] += more
        for task in self._tasks.values():
            ignored.update(task.ignored)
        late = sum(task.late for task in self._tasks.values())
        quarantine: dict[str, dict[str, str]] = {}
        for task in self._tasks.values():
            for detector, reasons in quarantined(task).items():
                quarantine.setdefault(detector, {}).update(reasons)
        clocks = Counter[str]()
        for task in self._tasks.values():
            clocks.update(task.guard.counts)
        fired = dict(self._fired)
        return ReplayTotals(
            self._records,
            fired,
            dict(dead),
            dict(ignored),
            late,
            seconds,
            quarantine,
            dict(clocks),
            self.damage,
            self._disorders,
            self._untimed,
        )
