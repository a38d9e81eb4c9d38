"""Folds files through the same engine as the daemon; only the source and the store are others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streamer.notify.clock import SystemClock
from streamer.pipeline.compile import compile_document
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Work
from streamer.pipeline.task import Task
from streamer.sources.contract import Partition, Source
from streamer.store.checkpoints import NO_FOLDER
from streamer.store.database import MEMORY, open_store
from streamer.store.ledger import Ledger


@dataclass(slots=True)
class Tally:
    """What a replay came to.

    Parameters
    ----------
    records
        How many records were folded.
    fired
        By rule: how many alerts fired.
    dead
        Dead letters by reason, those beyond the limit of a minute included.
    ignored
        Counts by name of what a format knows but does not use.
    late
        How many events were behind their instrument's clock.
    seconds
        How long it took.
    """

    records: int = 0
    fired: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    late: int = 0
    seconds: float = 0.0


def replay(
    plan: Plan,
    source: Source,
    *,
    batch_size: int,
    watch: Callable[[Work], None],
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Fold everything a source has.

    Parameters
    ----------
    plan
        What to compute.
    source
        A file or a recording.
    batch_size
        Records a step; the results do not depend on it.
    watch
        Called after every batch, with its outcome.
    stopped
        Looked at between batches.

    Raises
    ------
    TapewatchError
        When the source is not as it must be.
    """
    tally = Tally()
    floods: dict[tuple[Partition, str, int, int], int] = {}
    tasks: dict[Partition, Task] = {}

    def count(work: Work) -> None:
        tally.records += work.records
        tasks[work.task.partition] = work.task
        for transition in work.outcome.transitions:
            if transition.transition == "fired":
                tally.fired[transition.rule] = tally.fired.get(transition.rule, 0) + 1
        for letter in work.outcome.dead:
            tally.dead[letter.reason] = tally.dead.get(letter.reason, 0) + 1
        for flood in work.outcome.floods:
            floods[work.task.partition, flood.reason, flood.minute, flood.first_offset] = flood.count
        watch(work)

    began = time.monotonic()
    database = open_store(MEMORY)
    try:
        ledger = Ledger(database, SystemClock())
        recovery = Recovery(
            plan,
            lambda config_hash: compile_document(ledger.config(config_hash)),
            ledger,
            NO_FOLDER,
            batch_size=batch_size,
            watch=count,
        )
        Engine(source, recovery, None, ticks_every_s=None, clock=time.monotonic).run(stopped)
    finally:
        database.close()
    for (_, reason, _, _), more in floods.items():
        tally.dead[reason] = tally.dead.get(reason, 0) + more
    for task in tasks.values():
        tally.late += task.late
        for name, number in task.ignored.items():
            tally.ignored[name] = tally.ignored.get(name, 0) + number
    tally.seconds = time.monotonic() - began
    return tally
