"""The daemon behind `tapewatch run`: Kafka, engine, store and notifier, until a signal stops it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from streamer.app.assembly import Service, ServiceSetup, Supervision, checkpoint_folder, running_service
from streamer.app.controls import ControlDesk
from streamer.app.ended_logs import EndedLogs, joined_members, topics_read
from streamer.app.held_guard import prepare_held_guard
from streamer.app.last_end import heed_last_end, tell_of_stuck
from streamer.app.older_store import witness_of
from streamer.app.paused_partitions import PausedPartitionAlerts
from streamer.app.reload import LoadedConfig, Reloader, ReloadTargets, build_receivers
from streamer.app.service_manager import ServiceManager
from streamer.app.signals import ServiceSignals
from streamer.app.split_instruments import SplitInstruments
from streamer.app.standing_report import Say, StandingReport
from streamer.app.upkeep import Upkeep, keep_of
from streamer.app.watchdog import Watchdog
from streamer.config.file import ConfigFile
from streamer.config.secrets import Secrets
from streamer.config.settings import Settings
from streamer.decoding.member_order import prepare_merging
from streamer.errors import UsageError
from streamer.messages.time_units import NS_PER_SECOND
from streamer.notify.clock import SystemClock
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.compiling import CompileView
from streamer.pipeline.detector_models import UnbuildableDetectorError, tried_first
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.progress import WorkProgress
from streamer.pipeline.recovery import Anew
from streamer.pipeline.warmup import warm_up
from streamer.sources.kafka.client import ClientOptionError
from streamer.sources.kafka.group_member import Joins
from streamer.sources.kafka.joined_partitions import JoinPlan
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.kafka_source import MAX_POLL_RECORDS, KafkaSource
from streamer.sources.kafka.known_cluster import KnownCluster
from streamer.store.cluster_id import cluster_of, keep_cluster
from streamer.store.control_inputs import StoreControls
from streamer.store.database import (
    Database,
    WrongStoreError,
    open_store,
    require_no_other_file,
    store_path,
)
from streamer.store.lock import only_daemon_of
from streamer.store.work_file import WorkFile, left_work, work_path

log = structlog.get_logger()

_START_WITHIN_S = 600.0  # kernels are compiled at the first start, and a large state may have to be migrated


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """What a command says about a daemon, beside its configuration.

    Parameters
    ----------
    compiling
        Shows the user that kernels are being compiled.
    signals
        The signals of this process.
    accept_rederivation
        See `Recovery`.
    manager
        The service manager that started this process.
    say
        Prints the line of each minute.
    fold_again, models_anew
        Whether logs begin anew: those whose checkpoints are lost, or all of them without their models.
    hide
        Keeps the secrets that a reload brings out of the log.
    """

    compiling: CompileView
    signals: ServiceSignals
    accept_rederivation: bool = False
    manager: ServiceManager = field(default_factory=lambda: ServiceManager({}))
    say: Say = lambda *_: None
    fold_again: bool = False
    models_anew: bool = False
    hide: Callable[[Iterable[str]], None] = lambda _: None

    @property
    def anew(self) -> Anew:
        """Which logs begin anew."""
        return Anew.MODELS if self.models_anew else Anew.LOST if self.fold_again else Anew.NONE


@dataclass(frozen=True, slots=True)
class _Oversight:
    progress: WorkProgress
    desk: ControlDesk


def run_service(config: ConfigFile, secrets: Secrets, options: DaemonOptions) -> None:
    """Run until SIGTERM or SIGINT, then finish the step at hand, checkpoint and stop.

    Parameters
    ----------
    config, secrets
        The configuration and its resolved secrets.
    options
        What the command says beside it.

    Raises
    ------
    TapewatchError
        When something outside the program prevents it from running.
    StopRequested
        When it was stopped before it was at work.
    """
    settings = config.settings
    kafka = settings.source.kafka
    if kafka is None or not settings.source.topics:
        raise UsageError(f"{config.path}: `run` reads Kafka: give source.kafka and source.topics")
    plan = compile_plan(config, tried_first)
    for warning in sorted({*config.warnings, *plan.warnings}):
        log.warning("configuration", problem=str(warning))
    loaded = LoadedConfig(config, secrets, plan)
    try:
        store = store_path(settings.store)
    except WrongStoreError as error:
        config.fail([config.problem(("store",), str(error).removeprefix("store: "))])
    if store is None:
        config.fail([config.problem(("store",), "a daemon needs a store in a file: name one")])
    try:
        _serve(loaded, kafka, store, options)
    except UnbuildableDetectorError as error:  # it could be built a moment ago
        config.fail([config.problem(error.path, error.problem)])
    except ClientOptionError as error:
        config.fail([config.problem(error.path, error.said)])


def _serve(loaded: LoadedConfig, kafka: KafkaSettings, store: Path, options: DaemonOptions) -> None:
    config, plan, settings = loaded.config, loaded.plan, loaded.config.settings
    with _held(store, options) as database, _working_on(store, database, plan) as oversight:
        receivers = build_receivers(config, loaded.secrets, SystemClock())
        setup = ServiceSetup(config, plan, receivers, settings.serve.listen)
        with running_service(setup, database) as service:
            source = _source(settings, kafka)
            source.cluster = _known_cluster(service)
            with _kept_up(service):
                _detect(loaded, service, source, options, oversight)
        service.check()


@contextmanager
def _held(store: Path, options: DaemonOptions) -> Iterator[Database]:
    """The store, held before it is opened: opening may migrate it."""
    require_no_other_file(store)  # before a lock is put beside it
    with only_daemon_of(store):
        # models that begin anew follow no journal, whoever has written it
        accept = options.accept_rederivation or options.models_anew
        database = open_store(str(store), locked=True, accept_rederivation=accept)
        try:
            witness_of(database)
            yield database
        finally:
            database.close()


@contextmanager
def _kept_up(service: Service) -> Iterator[None]:
    """The store is pruned meanwhile."""
    upkeep = Upkeep(
        service.database,
        keep_of(service.config.settings.keep),
        SystemClock(),
        service.observer.metrics.upkeep,
    )
    upkeep.start()
    try:
        yield
    finally:
        upkeep.stop()


@contextmanager
def _working_on(store: Path, database: Database, plan: Plan) -> Iterator[_Oversight]:
    """Heed what the last process left on the store; what this one works on is noted in a file."""
    path, clock = work_path(store), SystemClock()
    deaths = heed_last_end(left_work(path), database, clock)
    file = WorkFile(path, clock.now(), deaths)
    desk = ControlDesk(StoreControls(database), clock)
    desk.settle(plan)
    try:
        yield _Oversight(WorkProgress(file), desk)
    finally:
        file.finished()


def _detect(
    loaded: LoadedConfig,
    service: Service,
    source: KafkaSource,
    options: DaemonOptions,
    oversight: _Oversight,
) -> None:
    progress, desk = oversight.progress, oversight.desk
    settings, plan, signals = loaded.config.settings, loaded.plan, options.signals
    stopping = signals.stopping

    def prepare() -> None:
        source.prepare()
        prepare_held_guard()
        if settings.source.joins:
            prepare_merging()

    options.manager.starting(_START_WITHIN_S)
    options.manager.status("preparing kernels")
    warm_up(plan, options.compiling, prepare, stopping.is_set)
    engine = service.engine(
        source,
        accept_rederivation=options.accept_rederivation,
        supervision=Supervision(progress, desk.controls, stopping.is_set, options.anew),
    )
    reloader = _reloader(loaded, service, engine, oversight, options)
    ended = _ended_logs(service, source, engine)

    def opened() -> None:
        ended.opened()
        service.observer.metrics.source(raw=source.raw)
        signals.started()
        progress.begin()
        options.manager.ready()
        log.info("running", config=plan.config_hash, rules=len(plan.rules), store=settings.store)

    paused = PausedPartitionAlerts(service.database, SystemClock(), service.notifier.wake)
    split = SplitInstruments(
        service.database,
        SystemClock(),
        service.notifier.wake,
        source.partition_counts,
        _globs(settings),
    )

    def between() -> None:
        reloader.work(signals.reload_requested)
        desk.work(engine.runners.values())
        ended.work()
        service.observer.metrics.paused(source.paused)
        service.observer.health.paused = source.paused
        paused.tell(source.paused)
        split.work(engine.runners)

    watchdog = Watchdog(
        progress,
        signals,
        settings.engine.stuck_after_s,
        lambda left: tell_of_stuck(left, service.database, SystemClock(), service.notifier),
    )
    report = StandingReport(service.observer, options.manager, options.say)
    with report.reporting(), watchdog.watching():
        engine.run(_told_of_the_end(options, service), opened, between)
    log.info("stopping", reason="signal" if stopping.is_set() else "notifier")


def _told_of_the_end(options: DaemonOptions, service: Service) -> Callable[[], bool]:
    """Whether the engine is to stop; the service manager hears of it before it does."""
    told = False

    def stopped() -> bool:
        nonlocal told
        over = options.signals.stopping.is_set() or service.notifier.failure is not None
        if over and not told:
            told = options.manager.stopping() or True
        return over

    return stopped


def _reloader(
    loaded: LoadedConfig, service: Service, engine: Engine, oversight: _Oversight, options: DaemonOptions
) -> Reloader:
    manager = options.manager

    def reloading(at_it: bool) -> None:
        oversight.progress.file.reloading(at_it)
        if at_it:
            manager.reloading()

    def reloaded(done: bool) -> None:
        service.observer.metrics.reload(done)
        manager.ready()

    targets = ReloadTargets(
        engine,
        service.notifier.turn_to,
        reloaded,
        reloading,
        oversight.desk.settle,
        options.hide,
    )
    return Reloader(loaded, targets, SystemClock(), os.environ)


def _source(settings: Settings, kafka: KafkaSettings) -> KafkaSource:
    at_once = max(MAX_POLL_RECORDS, settings.engine.batch_size)
    source = KafkaSource(kafka, _globs(settings), max_poll_records=at_once)
    source.joins = Joins(JoinPlan(settings.source.joins), settings.source.join_wait_ns / NS_PER_SECOND)
    return source


def _known_cluster(service: Service) -> KnownCluster:
    database, tasks = service.database, service.ledger().newest_tasks()
    return KnownCluster(
        cluster_of(database),
        f"store {database.where}",
        partial(keep_cluster, database),
        topics_read(tasks),
        joined_members(tasks),
    )


def _globs(settings: Settings) -> list[str]:
    return [glob for topic in settings.source.topics for glob in topic.globs]


def _ended_logs(service: Service, source: KafkaSource, engine: Engine) -> EndedLogs:
    return EndedLogs(
        service.ledger(),
        checkpoint_folder(service.database),
        source,
        engine,
        _globs(service.config.settings),
        service.notifier.wake,
    )
