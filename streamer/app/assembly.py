"""Assembles a service from engine, store, notifier and metrics, for the daemon and the demo alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.messages.time_units import NS_PER_SECOND
from streamer.notify.clock import SystemClock
from streamer.notify.heartbeat import HeartbeatSender
from streamer.notify.notifier import Notifier
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.sender_context import SenderContext
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document
from streamer.pipeline.detector_controls import Controls
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.progress import WorkProgress
from streamer.pipeline.recovery import Anew, Recovery
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.serve.observer import Broker, Observer
from streamer.serve.server import Checks, serving
from streamer.store.database import Database
from streamer.store.ledger import Ledger
from streamer.store.near_misses import Keeping

log = structlog.get_logger()

_GRACE_S = 8.0  # how long deliveries that are owed may hold up a stop; the rest goes out after a start


@dataclass(frozen=True, slots=True)
class ServiceSetup:
    """What a service is assembled from, besides its store.

    Parameters
    ----------
    config, plan
        The configuration, and its compiled plan.
    receivers
        The receivers and routes of alerts.
    listen
        Where to serve metrics and health (port 0 for any free one), None for nowhere.
    """

    config: ConfigFile
    plan: Plan
    receivers: ReceiverSet
    listen: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a daemon's engine is watched and told what to do.

    Parameters
    ----------
    progress
        Told how the work goes on.
    controls
        The control inputs of detectors.
    stopped
        Whether a stop was asked for.
    anew
        See `Recovery`.
    """

    progress: WorkProgress
    controls: Controls
    stopped: Callable[[], bool]
    anew: Anew = Anew.NONE


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service, without its source.

    Parameters
    ----------
    config, plan
        The configuration, and its compiled plan.
    database
        The open store.
    observer
        Collects metrics and health.
    notifier
        Delivers alerts.
    address
        Where metrics and health are served, None if they are not.
    """

    config: ConfigFile
    plan: Plan
    database: Database
    observer: Observer
    notifier: Notifier
    address: tuple[str, int] | None

    def ledger(self, *, accept_rederivation: bool = False) -> Ledger:
        """The store as detection uses it, kept as the configuration says."""
        settings = self.config.settings
        return Ledger(
            self.database,
            SystemClock(),
            keep_all=settings.journal.keep == "all",
            accept_rederivation=accept_rederivation,
            keeping=Keeping(settings.near_misses.keep_s, settings.near_misses.at_most),
        )

    def engine(
        self,
        source: Broker,
        *,
        timers: bool = True,
        accept_rederivation: bool = False,
        watch: Callable[[StepResult], None] = lambda _: None,
        supervision: Supervision | None = None,
    ) -> Engine:
        """An engine that reads a source.

        Parameters
        ----------
        source
            The source of records.
        timers
            Whether the engine emits timers as configured; False for a source with timers of its own.
        accept_rederivation
            See `Recovery`.
        watch
            Also called after every batch.
        supervision
            How it is watched; None where nobody does.
        """
        settings, folder = self.config.settings, checkpoint_folder(self.database)
        ledger = self.ledger(accept_rederivation=accept_rederivation)

        def watch_all(step: StepResult) -> None:
            if step.outcome.visible:
                self.notifier.wake()
            self.observer.watch(step)
            watch(step)

        context = RunnerContext(
            ledger,
            lambda config_hash: compile_document(ledger.config(config_hash)),
            settings.engine.batch_size,
            watch_all,
        )
        if supervision is not None:
            self.observer.follow_progress(supervision.progress)
            context = replace(
                context,
                controls=supervision.controls,
                reading=supervision.progress.reading,
                stopped=supervision.stopped,
            )
        anew = Anew.NONE if supervision is None else supervision.anew
        recovery = Recovery(self.plan, context, folder, accept_rederivation=accept_rederivation, anew=anew)
        every_s = settings.checkpoint.every_ns / NS_PER_SECOND
        checkpointer = Checkpointer(ledger, folder, every_s, time.monotonic, self.observer.checkpoint)
        checkpointer.stopped = context.stopped
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
        """Raise `TapewatchError` if delivery had to stop."""
        if self.notifier.failure is not None:
            raise TapewatchError(f"delivery stopped: {self.notifier.failure}") from self.notifier.failure


@contextmanager
def running_service(
    setup: ServiceSetup,
    database: Database,
    on_undelivered: Callable[[], None] = lambda: log.info("deliveries are left for the next start"),
) -> Iterator[Service]:
    """A context within which metrics are served and alerts delivered.

    On exit, pending deliveries get `_GRACE_S` seconds.

    Parameters
    ----------
    setup
        Configuration, plan, receivers and address.
    database
        An open store, in a file.
    on_undelivered
        Called on exit if something could not be delivered in time.

    Raises
    ------
    TapewatchError
        When it cannot listen on the address.
    """
    plan, receivers = setup.plan, setup.receivers
    clock, heartbeat = SystemClock(), setup.config.settings.heartbeat
    observer = Observer(plan, receivers.names, database, clock, time.monotonic)
    notifier = Notifier(
        receivers,
        SenderContext(database, clock, watch=observer.delivery),
        None if heartbeat is None else HeartbeatSender(database, heartbeat, clock, observer.counts),
    )
    observer.follow(notifier)
    with serving(
        setup.listen,
        observer.registry,
        Checks(observer.healthy, observer.ready, observer.alive, observer.detail),
    ) as address:
        notifier.start()
        try:
            yield Service(setup.config, plan, database, observer, notifier, address)
        finally:
            delivered = notifier.stop(_GRACE_S)
            if not delivered and notifier.failure is None:
                on_undelivered()


def checkpoint_folder(database: Database) -> Path:
    """The folder of a store's checkpoint files, next to the store."""
    path = database.path
    if path is None:
        raise TapewatchError("a store in memory has no checkpoints")
    return path.with_name(path.name + ".checkpoints")
