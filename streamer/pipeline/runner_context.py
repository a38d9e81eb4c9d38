"""What runners are given, and what they tell of their steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamer.messages.logs import Log, Positions
from streamer.messages.outcome import Outcome
from streamer.messages.records import Partition
from streamer.pipeline.allowance import Allowance
from streamer.pipeline.checkpoint_chain import WHOLE_UP_TO, TaskChain
from streamer.pipeline.detector_controls import Controls, NoControls
from streamer.pipeline.journal import JournalReplay
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow


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
