"""Observes the running service: metrics for Prometheus, counts for the heartbeat, health and readiness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import Protocol

import structlog
from prometheus_client.registry import CollectorRegistry

from alerts.clock import Clock
from detectors.detector import Detector
from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.fold_version import code_version
from streamer.messages.records import Chunk, Partition
from streamer.notify.heartbeat import Counts
from streamer.notify.notifier import Notifier
from streamer.pipeline.checkpointing import CompletedCheckpoint
from streamer.pipeline.plan import Plan
from streamer.pipeline.progress import WorkProgress
from streamer.pipeline.runner import Runner
from streamer.pipeline.runner_context import StepResult
from streamer.pipeline.task import Task
from streamer.serve.gauges import GaugeCollector, GaugeValues, labels_of
from streamer.serve.health_watch import HealthWatch
from streamer.serve.metrics import Metrics
from streamer.serve.watched_source import WatchedSource
from streamer.sources.source import Source
from streamer.store.database import Database
from streamer.store.parked_deliveries import ParkedGroup

log = structlog.get_logger(__name__)

_GAUGES_EVERY_S = 1.0


class Broker(Source, Protocol):
    """A source that knows whether it can be reached, and where its logs end."""

    @property
    def answers(self) -> bool:
        """False while it cannot be reached."""

    def ends(self) -> Mapping[Partition, int]:
        """One past the last offset of each partition, where known, without a request."""

    def asked_ends(self) -> Mapping[Partition, int]:
        """The same by what the broker was asked, however reading goes; from any thread."""

    def read_to(self) -> Mapping[Partition, int]:
        """Up to where partitions are read whose last records were none, such as markers."""


class Observer:
    """Follows the service's work without changing anything in it.

    Parameters
    ----------
    plan, receivers
        What the label values come from.
    database
        The open store.
    clock
        Wall-clock time.
    monotonic
        Monotonic seconds.
    """

    def __init__(
        self,
        plan: Plan,
        receivers: Sequence[str],
        database: Database,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, plan, receivers, code_version())
        self.metrics.started(clock.now())
        self._gauges = GaugeCollector(self.registry, database, clock, receivers)
        self._clock = clock
        self._monotonic = monotonic
        self.health = HealthWatch(
            database, clock, monotonic, lambda: self.gauges, lambda: self._monotonic() - self._stepped_at
        )
        """Judges whether all is well."""
        self._gauges.health = self.health.look
        self._counting, self._delivered = Lock(), 0  # deliveries are counted on several threads
        self._counts = Counts()
        self._polled_at = self._step_at = self._stepped_at = monotonic()
        self._gauges_at = monotonic()
        self._last_totals: dict[tuple[Partition, str], Mapping[str, int]] = {}
        self._plan = plan
        self._notifier: Notifier | None = None
        self._progress: WorkProgress | None = None
        self._quarantined: dict[tuple[Partition, str], set[int]] = {}

    def follow(self, notifier: Notifier) -> None:
        """Include this notifier in health checks and label values."""
        self._notifier = self.health.notifier = notifier

    def follow_progress(self, progress: WorkProgress) -> None:
        """Include in health checks, gauges and heartbeats whether detection goes on."""
        self._progress = self.health.progress = progress
        self._gauges.idle_s = lambda: progress.idle_s

    def healthy(self) -> str | None:
        """Why not all is well, None where it is; no details, since anyone can read the page."""
        return "; ".join(self.health.look().causes) or None

    def alive(self) -> str | None:
        """Why the process should be started again, None while that would not help."""
        return "; ".join(self.health.look().stuck) or None

    def delivery(self, receiver: str, outcome: str, count: int = 1, waited_s: float | None = None) -> None:
        """Count outcomes of deliveries; a `streamer.notify.delivery_watch.DeliveryWatch`."""
        self.metrics.delivery(receiver, outcome, count, waited_s)
        self.health.refusals.note(receiver, outcome)
        if outcome == "delivered":
            with self._counting:
                self._delivered += count

    def detail(self) -> Mapping[str, object]:
        """How the work goes on, what receivers refused for good, those that nothing gets through to."""
        parked = [
            {"receiver": group.receiver, "count": group.count, "reason": group.code}
            for group in self._parked()
        ]
        failing = {} if self._notifier is None else self._notifier.failing
        away = [{"receiver": receiver, "reason": code} for receiver, code in failing.items()]
        return {
            **self.health.look().figures,
            **({"parked": parked} if parked else {}),
            **({"failing": away} if away else {}),
        }

    def ready(self) -> str | None:
        """Why new records are not processed yet, None while they are."""
        gauges = self.gauges
        if self._progress is not None and self._progress.problem is not None:
            return self._progress.problem
        if gauges.recovering:
            return f"{gauges.recovering} partitions are replaying their journal"
        return None if gauges.live else "no partition is assigned"

    @property
    def gauges(self) -> GaugeValues:
        """The values recorded last."""
        return self._gauges.values

    def counts(self) -> Counts:
        """Totals so far, for the heartbeat."""
        gauges, health = self.gauges, self.health.look()
        counts = replace(
            self._counts,
            parked=self._parked(),
            failing={} if self._notifier is None else self._notifier.failing,
            delivered=self._delivered,
            step_age_s=health.step_age_s,
            behind=health.behind,
            undelivered_s=health.undelivered_s,
            causes=health.causes,
        )
        if not gauges.source_up:
            return replace(counts, source="not answering")
        if gauges.recovering or not gauges.live:
            return replace(counts, source="not ready")
        return counts

    def watching(self, source: Broker, runners: Callable[[], Mapping[Partition, Runner]]) -> WatchedSource:
        """Wrap the source, so that polls are timed and gauges recorded."""

        def record_gauges() -> None:
            if self._monotonic() >= self._gauges_at:
                self._gauges_at = self._monotonic() + _GAUGES_EVERY_S
                self.look(runners(), source.ends(), source.answers, source.read_to())

        asking = nullcontext if self._progress is None else self._progress.asking
        self.health.asked_ends = self._gauges.asked_ends = source.asked_ends
        return WatchedSource(source, record_gauges, self._polled, asking)

    def watch(self, step: StepResult) -> None:
        """Count the results of a step; called after its commit."""
        now = self._monotonic()
        work_watch().mark()
        dead = self.metrics.watch(step, self._clock.now())
        self._stepped_at = now
        if not step.live:
            return
        if step.records:
            self.metrics.batch(now - max(self._polled_at, self._step_at), now - self._polled_at)
        self._step_at = now
        outcome, total = step.outcome, self._counts
        self.health.dead_share.count(labels_of(step.task.partition), step.records, outcome.events, dead, now)
        self._counts = Counts(
            records=total.records + step.records,
            alerts=total.alerts + sum(each.transition == "fired" for each in outcome.transitions),
            dead_letters=total.dead_letters + sum(dead.values()),
        )

    def checkpoint(self, completed: CompletedCheckpoint) -> None:
        """Record a completed checkpoint."""
        self.metrics.checkpoint(completed, self._clock.now())

    def look(
        self,
        runners: Mapping[Partition, Runner],
        ends: Mapping[Partition, int],
        source_up: bool,
        read: Mapping[Partition, int] = MappingProxyType({}),
    ) -> None:
        """Record the gauges and add what the tasks counted; call it on the engine's thread."""
        self._gauges.values = GaugeValues.of(runners, ends, source_up, read)
        if self._notifier is not None:
            self._gauges.receivers = self._notifier.receivers
        for plan in {id(runner.task.plan): runner.task.plan for runner in runners.values()}.values():
            if plan.config_hash != self._plan.config_hash:
                self._plan = plan
                self.metrics.configure(plan, self._gauges.receivers)
        for partition, runner in runners.items():
            task = runner.task
            drifts = {name: count for name, (_, _, count) in task.drifts.watched().items()}
            self.metrics.totals(
                self._increase((partition, "ignored"), task.ignored),
                self._increase((partition, "drifts"), drifts),
                self._increase((partition, "late"), {"": task.late}).get("", 0),
                self._increase((partition, "clocks"), task.guard.counts),
            )
            for detector in task.detectors:
                self._tell_quarantined(partition, task, detector)
        for key in [key for key in self._last_totals if key[0] not in runners]:
            del self._last_totals[key]

    def _parked(self) -> Sequence[ParkedGroup]:
        if self._notifier is None:
            return ()
        try:
            return self._notifier.parked
        except TapewatchError:  # the store's, which detection and delivery report themselves
            return ()

    def _tell_quarantined(self, partition: Partition, task: Task, detector: Detector) -> None:
        """Log that models have failed since the last look, with the first of the reasons."""
        reasons = detector.quarantined()
        known = self._quarantined.setdefault((partition, detector.name), set())
        if reasons.keys() == known:
            return
        new = sorted(reasons.keys() - known)
        self._quarantined[partition, detector.name] = set(reasons)
        if not new:
            return
        slot = new[0]
        log.warning(
            "models quarantined",
            topic=partition.topic,
            partition=partition.partition,
            detector=detector.name,
            count=len(new),
            instrument=" ".join(task.slots.instruments[slot]),
            reason=reasons[slot],
        )

    def _increase(self, key: tuple[Partition, str], totals: Mapping[str, int]) -> dict[str, int]:
        """The increase since the last call; the first sets the baseline: tasks' counts outlive processes."""
        last = self._last_totals.get(key)
        self._last_totals[key] = dict(totals)
        if last is None:
            return {}
        return {name: max(count - last.get(name, 0), 0) for name, count in totals.items()}

    def _polled(self, chunks: Sequence[Chunk]) -> None:
        self._polled_at = self._monotonic()
        self._gauges.values = self._gauges.values.polled(chunks)
