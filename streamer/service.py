"""The daemon: source, engine, store and notifier wired together for `tapewatch run`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import structlog

from streamer.config.file import ConfigFile
from streamer.config.secrets import Secrets
from streamer.errors import TapewatchError, UsageError
from streamer.notify.clock import SystemClock
from streamer.notify.heartbeat import Heartbeat
from streamer.notify.notifier import Notifier
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document, compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Work
from streamer.pipeline.warmup import warm_up
from streamer.reloading import Loaded, Reloader, build_receivers
from streamer.serve.observer import Observer
from streamer.serve.server import serving
from streamer.sources.kafka import MAX_POLL_RECORDS, KafkaSource
from streamer.store.database import Database, open_store
from streamer.store.ledger import Ledger
from streamer.store.lock import only_daemon_of

log = structlog.get_logger()

_NS = 1_000_000_000
_GRACE_S = 10.0  # how long deliveries that are owed may hold up a stop; the rest goes out after a start


def run_service(
    config: ConfigFile, secrets: Secrets, *, say: Callable[[str], None], accept_rederivation: bool = False
) -> None:
    """Run until SIGTERM or SIGINT, then drain, checkpoint and stop.

    Parameters
    ----------
    config, secrets
        What to do, and what it takes to do it.
    say
        Told, for a person, what goes on while nothing else can be seen.
    accept_rederivation
        See `Recovery`.

    Raises
    ------
    TapewatchError
        When the world is not as it must be.
    """
    settings = config.settings
    if settings.source.kafka is None or not settings.source.topics:
        raise UsageError(f"{config.path}: `run` reads Kafka: give source.kafka and source.topics")
    plan = compile_plan(config)
    database = open_store(settings.store)
    observer = Observer(plan, tuple(settings.receivers), database, SystemClock(), time.monotonic)
    try:
        path = database.path
        with (
            reload_signal() as reload_asked,
            only_daemon_of(path) if path else nullcontext(),
            serving(
                settings.serve.listen,
                observer.registry,
                health=observer.healthy,
                readiness=observer.ready,
            ),
            notifying(config, secrets, database, observer) as notifier,
            stop_signals() as stopping,
        ):
            warm_up(plan, say)
            topics = [glob for topic in settings.source.topics for glob in topic.globs]
            source = KafkaSource(
                settings.source.kafka,
                topics,
                max_poll_records=max(MAX_POLL_RECORDS, settings.engine.batch_size),
            )
            engine = _engine(config, plan, database, source, notifier, observer, accept_rederivation)
            reloader = Reloader(
                Loaded(config, secrets, plan), engine, notifier.turn_to, SystemClock(), os.environ
            )

            def opened() -> None:
                observer.metrics.source(raw=source.raw)
                log.info("running", config=plan.config_hash, rules=len(plan.rules), store=settings.store)

            engine.run(
                lambda: stopping.is_set() or notifier.failure is not None,
                opened,
                lambda: reloader.work(reload_asked),
            )
            log.info("stopping", reason="signal" if stopping.is_set() else "notifier")
        if notifier.failure is not None:
            raise TapewatchError(f"delivery stopped: {notifier.failure}") from notifier.failure
    finally:
        database.close()


@contextmanager
def notifying(
    config: ConfigFile, secrets: Secrets, database: Database, observer: Observer
) -> Iterator[Notifier]:
    """The notify half at work; on leaving it gets some seconds to deliver what is owed."""
    clock = SystemClock()
    made = build_receivers(config, secrets, clock)
    wanted = config.settings.heartbeat
    notifier = Notifier(
        database,
        made.routes,
        made.built,
        clock,
        caps=made.caps,
        watch=observer.metrics.delivery,
        heartbeat=None if wanted is None else Heartbeat(database, wanted, clock, observer.counts),
    )
    observer.follow(notifier)
    notifier.start()
    try:
        yield notifier
    finally:
        if not notifier.stop(_GRACE_S):
            log.info("deliveries are left for the next start")


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second SIGINT interrupts at once."""
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def reload_signal() -> Iterator[threading.Event]:
    """An event that SIGHUP sets, which without this would end the process."""
    asked = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda _number, _frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGHUP, before)


def checkpoint_folder(database: Database) -> Path:
    """The folder of a store's checkpoint files: beside it, under its name."""
    path = database.path
    if path is None:
        raise TapewatchError("a store in memory has no checkpoints")
    return path.with_name(path.name + ".checkpoints")


def _engine(
    config: ConfigFile,
    plan: Plan,
    database: Database,
    source: KafkaSource,
    notifier: Notifier,
    observer: Observer,
    accept_rederivation: bool,
) -> Engine:
    settings = config.settings
    ledger = Ledger(
        database,
        SystemClock(),
        keep_all=settings.journal.keep == "all",
        accept_rederivation=accept_rederivation,
    )

    def watch(work: Work) -> None:
        if work.outcome.visible:
            notifier.wake()
        observer.watch(work)

    folder = checkpoint_folder(database)
    recovery = Recovery(
        plan,
        lambda config_hash: compile_document(ledger.config(config_hash)),
        ledger,
        folder,
        batch_size=settings.engine.batch_size,
        watch=watch,
        accept_rederivation=accept_rederivation,
    )
    checkpointer = Checkpointer(
        ledger, folder, settings.checkpoint.every_ns / _NS, time.monotonic, observer.checkpoint
    )
    ticks_ns = settings.engine.ticks_ns
    engine = Engine(
        observer.watching(source, lambda: engine.runners),
        recovery,
        checkpointer,
        ticks_every_s=None if ticks_ns is None else ticks_ns / _NS,
        clock=time.monotonic,
    )
    return engine
