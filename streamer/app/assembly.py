"""Engine, store, notifier, metrics and pages, wired together: for the daemon and the demonstration alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from streamer.app.reload import Receivers
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.messages.time_units import NS_PER_SECOND
from streamer.notify.clock import SystemClock
from streamer.notify.heartbeat import HeartbeatSender
from streamer.notify.notifier import Notifier
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import RunnerContext, StepResult
from streamer.serve.observer import Broker, Observer
from streamer.serve.server import serving
from streamer.store.database import Database
from streamer.store.ledger import Ledger
from streamer.store.near_misses import Keeping

log = structlog.get_logger()

_GRACE_S = 10.0  # how long deliveries that are owed may hold up a stop; the rest goes out after a start


@dataclass(frozen=True, slots=True)
class Wired:
    """The parts of a service at work, but for where records come from.

    Parameters
    ----------
    config, plan
        What to do, and the same compiled.
    database
        The open store.
    observer
        Looks on, and has the numbers.
    notifier
        Delivers.
    address
        Where metrics and health are served, None where they are not.
    """

    config: ConfigFile
    plan: Plan
    database: Database
    observer: Observer
    notifier: Notifier
    address: tuple[str, int] | None

    def engine(
        self,
        source: Broker,
        *,
        timers: bool = True,
        accept_rederivation: bool = False,
        watch: Callable[[StepResult], None] = lambda _: None,
    ) -> Engine:
        """The engine that reads a source.

        Parameters
        ----------
        source
            Where records come from.
        timers
            Whether to mark the passing of time, as configured; not where the source has timers of its own.
        accept_rederivation
            See `Recovery`.
        watch
            Called after every batch, too.
        """
        settings, folder = self.config.settings, checkpoint_folder(self.database)
        ledger = Ledger(
            self.database,
            SystemClock(),
            keep_all=settings.journal.keep == "all",
            accept_rederivation=accept_rederivation,
            keeping=Keeping(settings.near_misses.keep_s, settings.near_misses.at_most),
        )

        def look(step: StepResult) -> None:
            if step.outcome.visible:
                self.notifier.wake()
            self.observer.watch(step)
            watch(step)

        context = RunnerContext(
            ledger,
            lambda config_hash: compile_document(ledger.config(config_hash)),
            settings.engine.batch_size,
            look,
        )
        recovery = Recovery(self.plan, context, folder, accept_rederivation=accept_rederivation)
        every_s = settings.checkpoint.every_ns / NS_PER_SECOND
        checkpointer = Checkpointer(ledger, folder, every_s, time.monotonic, self.observer.checkpoint)
        timer_every_ns = settings.engine.timer_every_ns if timers else None
        engine = Engine(
            self.observer.watching(source, lambda: engine.runners),
            recovery,
            checkpointer,
            timer_every_s=None if timer_every_ns is None else timer_every_ns / NS_PER_SECOND,
            clock=time.monotonic,
        )
        return engine

    def check(self) -> None:
        """Raise `TapewatchError` where delivery had to stop."""
        if self.notifier.failure is not None:
            raise TapewatchError(f"delivery stopped: {self.notifier.failure}") from self.notifier.failure


@contextmanager
def wired(
    config: ConfigFile,
    plan: Plan,
    database: Database,
    receivers: Receivers,
    *,
    listen: tuple[str, int] | None,
    left: Callable[[], None] = lambda: log.info("deliveries are left for the next start"),
) -> Iterator[Wired]:
    """A service whose pages are up and whose receivers are delivered to, until left.

    On leaving, receivers get ten seconds for what is owed to them.

    Parameters
    ----------
    config, plan
        What to do, and the same compiled.
    database
        An open store, in a file.
    receivers
        Who hears of alerts.
    listen
        Where to serve metrics and health (port 0 takes any that is free), None for nowhere.
    left
        Called at the end where something could not be delivered in time.

    Raises
    ------
    TapewatchError
        When the address cannot be listened on.
    """
    clock, wanted = SystemClock(), config.settings.heartbeat
    observer = Observer(plan, receivers.names, database, clock, time.monotonic)
    notifier = Notifier(
        database,
        receivers.routes,
        receivers.built,
        clock,
        caps=receivers.caps,
        watch=observer.metrics.delivery,
        heartbeat=None if wanted is None else HeartbeatSender(database, wanted, clock, observer.counts),
    )
    observer.follow(notifier)
    with serving(listen, observer.registry, health=observer.healthy, readiness=observer.ready) as address:
        notifier.start()
        try:
            yield Wired(config, plan, database, observer, notifier, address)
        finally:
            delivered = notifier.stop(_GRACE_S)
            if not delivered and notifier.failure is None:
                left()


def checkpoint_folder(database: Database) -> Path:
    """The folder of a store's checkpoint files: beside it, under its name."""
    path = database.path
    if path is None:
        raise TapewatchError("a store in memory has no checkpoints")
    return path.with_name(path.name + ".checkpoints")
