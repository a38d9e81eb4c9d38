"""The daemon behind `tapewatch run`: Kafka, engine, store and notifier, until a signal stops it."""

from __future__ import annotations

import os
from contextlib import nullcontext

import structlog

from streamer.app.assembly import ServiceSetup, running_service
from streamer.app.paused_partitions import PausedPartitionAlerts
from streamer.app.reload import LoadedConfig, Reloader, ReloadTargets, build_receivers
from streamer.app.signals import reload_signal, stop_signals
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
        The configuration and its resolved secrets.
    compiling
        Shows the user that kernels are being compiled.
    accept_rederivation
        See `Recovery`.

    Raises
    ------
    TapewatchError
        When something outside the program prevents it from running.
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
            reload_signal() as reload_requested,
            only_daemon_of(path) if path else nullcontext(),
            running_service(
                ServiceSetup(
                    config, plan, build_receivers(config, secrets, SystemClock()), settings.serve.listen
                ),
                database,
            ) as service,
            stop_signals() as stopping,
        ):
            source = _source(settings, kafka)
            warm_up(plan, compiling, source.prepare, stopping.is_set)
            engine = service.engine(source, accept_rederivation=accept_rederivation)
            metrics = service.observer.metrics
            paused = PausedPartitionAlerts(database, SystemClock(), service.notifier.wake)
            reloader = Reloader(
                LoadedConfig(config, secrets, plan),
                ReloadTargets(engine, service.notifier.turn_to, metrics.reload),
                SystemClock(),
                os.environ,
            )

            def opened() -> None:
                metrics.source(raw=source.raw)
                log.info("running", config=plan.config_hash, rules=len(plan.rules), store=settings.store)

            def between() -> None:
                reloader.work(reload_requested)
                metrics.paused(source.paused)
                paused.tell(source.paused)

            engine.run(lambda: stopping.is_set() or service.notifier.failure is not None, opened, between)
            log.info("stopping", reason="signal" if stopping.is_set() else "notifier")
        service.check()
    finally:
        database.close()


def _source(settings: Settings, kafka: KafkaSettings) -> KafkaSource:
    topics = [glob for topic in settings.source.topics for glob in topic.globs]
    return KafkaSource(kafka, topics, max_poll_records=max(MAX_POLL_RECORDS, settings.engine.batch_size))
