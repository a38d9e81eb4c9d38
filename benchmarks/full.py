"""Full: the shipped example from memory to durable alerts, through the same engine as `run`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from streamer.config.file import ConfigFile
from streamer.messages.logs import LogExtent
from streamer.messages.outcome import Transition
from streamer.messages.records import Chunk, Extent, Partition
from streamer.notify.clock import SystemClock
from streamer.pipeline.checkpointing import Checkpointer, CompletedCheckpoint
from streamer.pipeline.compile import compile_document, compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.sources.source import Assignments
from streamer.store.database import open_store
from streamer.store.ledger import Ledger

UNKNOWN_END = 2**62
"""More than a run reads."""
_NS = 1_000_000_000

Alert = tuple[str, str, str, int, str]
"""What an alert says, without what depends on where it came from: rule, transition, symbol, time, text."""


class MemorySource:
    """Chunks that are in memory, or made one at a time; a `Source`.

    Parameters
    ----------
    partitions
        All that chunks are of.
    chunks
        In the order in which polls find them.
    """

    def __init__(self, partitions: Sequence[Partition], chunks: Iterable[Chunk]) -> None:
        self._partitions = partitions
        self._chunks: Iterator[Chunk] = iter(chunks)
        self._exhausted = False
        self.first_polled_at = 0.0
        """When the first records were asked for (`time.perf_counter`)."""

    def open(self, assignments: Assignments) -> None:
        """Everything is to be read from its beginning."""
        extents = [Extent(partition, 0, UNKNOWN_END, 0) for partition in self._partitions]
        assignments.assigned([LogExtent.of(extent) for extent in extents])

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk."""
        del timeout_s
        if not self.first_polled_at:
            self.first_polled_at = time.perf_counter()
        chunks = self._next()
        self._exhausted = chunks is None
        return chunks or ()

    def _next(self) -> Sequence[Chunk] | None:
        chunk = next(self._chunks, None)
        return None if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Memory says nothing about time."""
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        """None."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Nothing."""

    def exhausted(self) -> bool:
        """True behind the last chunk."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Memory keeps no positions."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of a run.

    Parameters
    ----------
    records, seconds
        How many, and how long from the first poll until everything was durable.
    scored
        Rows that detectors looked at.
    alerts
        In order.
    dead
        Dead letters.
    """

    records: int
    seconds: float
    scored: int
    alerts: tuple[Alert, ...]
    dead: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


@dataclass(slots=True)
class Tally:
    """Adds up what batches come to; hand its `watch` to whatever tells of them."""

    records: int = 0
    scored: int = 0
    dead: int = 0
    transitions: list[Transition] | None = None

    def watch(self, step: StepResult) -> None:
        """Take a batch into account."""
        self.records += step.records
        outcome = step.outcome
        self.scored += sum(len(scores.score) for scores in outcome.scores)
        self.dead += len(outcome.dead)
        if outcome.transitions:
            self.transitions = [*(self.transitions or []), *outcome.transitions]

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts so far."""
        return tuple(alert_of(each) for each in self.transitions or [])


def alert_of(told: Transition) -> Alert:
    """What a transition says, wherever its event came from."""
    import json

    body = json.loads(told.body)
    return told.rule, told.transition, body["symbol"], told.ts_event_ns, body["text"]


def fold(
    config: ConfigFile,
    plan: Plan,
    partitions: Sequence[Partition],
    chunks: Iterable[Chunk],
    *,
    watch: Callable[[StepResult], None] = lambda _: None,
    checkpointed: Callable[[CompletedCheckpoint], None] = lambda _: None,
) -> Folded:
    """Fold chunks of partitions, each of them a log of its own (`fold_source`)."""
    source = MemorySource(partitions, chunks)
    return fold_source(config, plan, source, watch=watch, checkpointed=checkpointed)


def fold_source(
    config: ConfigFile,
    plan: Plan,
    source: MemorySource,
    *,
    watch: Callable[[StepResult], None] = lambda _: None,
    checkpointed: Callable[[CompletedCheckpoint], None] = lambda _: None,
) -> Folded:
    """Fold what a source has as the daemon would: journal, store on disk, checkpoints, configured batches.

    Parameters
    ----------
    config, plan
        What to do, and the same compiled.
    source
        What is folded.
    watch
        Called after every batch.
    checkpointed
        Called with size and seconds of every checkpoint.
    """
    tally = Tally()

    def told(step: StepResult) -> None:
        tally.watch(step)
        watch(step)

    with TemporaryDirectory(prefix="tapewatch-bench-") as folder:
        database = open_store(str(Path(folder) / "tapewatch.db"))
        try:
            ledger = Ledger(database, SystemClock())
            checkpoints = Path(folder) / "checkpoints"
            context = RunnerContext(
                ledger,
                lambda config_hash: compile_document(ledger.config(config_hash)),
                config.settings.engine.batch_size,
                told,
            )
            recovery = Recovery(plan, context, checkpoints)
            every_s = config.settings.checkpoint.every_ns / _NS
            checkpointer = Checkpointer(ledger, checkpoints, every_s, time.monotonic, checkpointed)
            Engine(source, recovery, checkpointer, timer_every_s=None, clock=time.monotonic).run(
                lambda: False
            )
            took = time.perf_counter() - source.first_polled_at
        finally:
            database.close()
    return Folded(tally.records, took, tally.scored, tally.alerts(), tally.dead)


def compiled(config: ConfigFile) -> Plan:
    """The plan of a configuration, its kernels compiled."""
    from streamer.pipeline.warmup import warm_up

    found = compile_plan(config)
    warm_up(found)
    return found
