"""The parts of the daemon around a simulated market: store, engine, journal, checkpoints, delivery."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alerts.contracts import Receiver
from alerts.routing import Router
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Work
from streamer.service import checkpoint_folder
from streamer.sources.contract import Source
from streamer.store.database import Database
from streamer.store.ledger import Ledger

_NS = 1_000_000_000
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took: records folded, and seconds."""

    records: int
    seconds: float


def run_demo(
    config: ConfigFile,
    plan: Plan,
    database: Database,
    source: Source,
    receivers: Mapping[str, Receiver],
    *,
    watch: Callable[[Work], None],
    stopped: Callable[[], bool],
) -> Ran:
    """Run the service on a source that ends, until all that is owed has been delivered.

    Parameters
    ----------
    config, plan
        What to do, and the same compiled.
    database
        An open store, in a file.
    source
        Where records come from.
    receivers
        Who hears of alerts, by name.
    watch
        Called after every batch.
    stopped
        Looked at between polls.

    Raises
    ------
    TapewatchError
        When delivery or detection had to stop.
    """
    settings = config.settings
    clock = SystemClock()
    notifier = Notifier(database, Router(settings.route, tuple(receivers)), receivers, clock)
    ledger = Ledger(database, clock, keep_all=settings.journal.keep == "all")
    records = 0

    def look(work: Work) -> None:
        nonlocal records
        records += work.records
        if work.outcome.visible:
            notifier.wake()
        watch(work)

    folder = checkpoint_folder(database)
    recovery = Recovery(
        plan,
        lambda config_hash: compile_document(ledger.config(config_hash)),
        ledger,
        folder,
        batch_size=settings.engine.batch_size,
        watch=look,
    )
    checkpointer = Checkpointer(ledger, folder, settings.checkpoint.every_ns / _NS, time.monotonic)
    engine = Engine(source, recovery, checkpointer, ticks_every_s=None, clock=time.monotonic)
    began = time.monotonic()
    notifier.start()
    try:
        engine.run(lambda: stopped() or notifier.failure is not None)
    finally:
        delivered = notifier.stop(_GRACE_S)
    if notifier.failure is not None:
        raise TapewatchError(f"delivery stopped: {notifier.failure}") from notifier.failure
    if not delivered:
        raise TapewatchError("not everything could be delivered within ten seconds")
    return Ran(records, time.monotonic() - began)
