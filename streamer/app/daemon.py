"""The daemon: Kafka, engine, store and notifier at work for `tapewatch run`, until a signal ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

import structlog

from streamer.app.assembly import wired
from streamer.app.reload import Loaded, Reloader, build_receivers
from streamer.config.file import ConfigFile
from streamer.config.secrets import Secrets
from streamer.config.settings import Settings
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.compiling import CompileView
from streamer.pipeline.warmup import warm_up
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.kafka_source import MAX_POLL_RECORDS, KafkaSource
from streamer.store.database import open_store
from streamer.store.lock import only_daemon_of

log = structlog.get_logger()


def run_service(
    config: ConfigFile, secrets: Secrets, *, compiling: CompileView, accept_rederivation: bool = False
) -> None:
    """Run until SIGTERM or SIGINT, then drain, checkpoint and stop.

    Parameters
    ----------
    config, secrets
        What to do, and what it takes to do it.
    compiling
        Shows a person that kernels are being compiled, while nothing else can be seen.
    accept_rederivation
        See `Recovery`.

    Raises
    ------
    TapewatchError
        When the world is not as it must be.
    """
    settings = config.settings
    kafka = settings.source.kafka
    if kafka is None or not settings.source.topics:
        raise UsageError(f"{config.path}: `run` reads Kafka: give source.kafka and source.topics")
    plan = compile_plan(config)
    database = open_store(settings.store)
    try:
        path = database.path
        with (
            reload_signal() as reload_asked,
            only_daemon_of(path) if path else nullcontext(),
            wired(
                config,
                plan,
                database,
                build_receivers(config, secrets, SystemClock()),
                listen=settings.serve.listen,
            ) as parts,
            stop_signals() as stopping,
        ):
            source = _source(settings, kafka)
            warm_up(plan, compiling, source.prepare, stopping.is_set)
            engine = parts.engine(source, accept_rederivation=accept_rederivation)
            reloader = Reloader(
                Loaded(config, secrets, plan),
                engine,
                parts.notifier.turn_to,
                SystemClock(),
                os.environ,
                parts.observer.metrics.reload,
            )

            def opened() -> None:
                parts.observer.metrics.source(raw=source.raw)
                log.info("running", config=plan.config_hash, rules=len(plan.rules), store=settings.store)

            engine.run(
                lambda: stopping.is_set() or parts.notifier.failure is not None,
                opened,
                lambda: reloader.work(reload_asked),
            )
            log.info("stopping", reason="signal" if stopping.is_set() else "notifier")
        parts.check()
    finally:
        database.close()


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


def _source(settings: Settings, kafka: KafkaSettings) -> KafkaSource:
    topics = [glob for topic in settings.source.topics for glob in topic.globs]
    return KafkaSource(kafka, topics, max_poll_records=max(MAX_POLL_RECORDS, settings.engine.batch_size))
