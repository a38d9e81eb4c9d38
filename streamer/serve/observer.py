"""Looks on while the service works: numbers for Prometheus, counts for the heartbeat, how things stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from prometheus_client.registry import CollectorRegistry

from alerts.clock import Clock
from streamer.messages.fold_version import code_version
from streamer.messages.records import Chunk, Partition
from streamer.notify.heartbeat import Counts
from streamer.notify.notifier import Notifier
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Runner, Work
from streamer.serve.gauges import Standing, StandingCollector
from streamer.serve.metrics import Metrics
from streamer.serve.watched_source import WatchedSource
from streamer.sources.source import Source
from streamer.store.database import Database

_LOOK_S = 1.0


class Broker(Source, Protocol):
    """A source that knows how it and its logs stand."""

    @property
    def answers(self) -> bool:
        """False while it cannot be reached."""

    def ends(self) -> Mapping[Partition, int]:
        """One past the last offset of each partition, where known; asks nobody."""


class Observer:
    """Everything that is told of the service's work, and changes nothing in it.

    Parameters
    ----------
    plan, receivers
        What there is to have numbers of.
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
        self._standing = StandingCollector(self.registry, database, clock, receivers)
        self._clock = clock
        self._monotonic = monotonic
        self._counts = Counts()
        self._polled_at = self._step_at = monotonic()
        self._look_at = monotonic()
        self._before: dict[tuple[Partition, str], Mapping[str, int]] = {}
        self._plan = plan
        self._notifier: Notifier | None = None

    def follow(self, notifier: Notifier) -> None:
        """Look at this notify half, too."""
        self._notifier = notifier

    def healthy(self) -> str | None:
        """What is wrong with the process itself, None while it works; a name, no more: anyone may ask."""
        failure = None if self._notifier is None else self._notifier.failure
        return None if failure is None else f"delivery stopped: {type(failure).__name__}"

    def ready(self) -> str | None:
        """Why new records do not come through yet, None while they do."""
        standing = self.standing
        if standing.recovering:
            return f"{standing.recovering} partitions follow their journal"
        return None if standing.live else "no partition is assigned"

    @property
    def standing(self) -> Standing:
        """How things stood a moment ago."""
        return self._standing.noted

    def counts(self) -> Counts:
        """What has been done so far, for the heartbeat."""
        standing = self.standing
        if not standing.answers:
            return replace(self._counts, source="not answering")
        if standing.recovering or not standing.live:
            return replace(self._counts, source="not ready")
        return self._counts

    def watching(self, source: Broker, runners: Callable[[], Mapping[Partition, Runner]]) -> WatchedSource:
        """The source to work with, so that its polls are seen."""

        def look() -> None:
            if self._monotonic() >= self._look_at:
                self._look_at = self._monotonic() + _LOOK_S
                self.look(runners(), source.ends(), source.answers)

        return WatchedSource(source, look, self._polled)

    def watch(self, work: Work) -> None:
        """Count what a batch brought; called after its commit."""
        now = self._monotonic()
        self.metrics.watch(work, self._clock.now())
        if not work.live:
            return
        if work.records:
            self.metrics.batch(now - max(self._polled_at, self._step_at), now - self._polled_at)
        self._step_at = now
        outcome, before = work.outcome, self._counts
        self._counts = Counts(
            records=before.records + work.records,
            alerts=before.alerts + sum(each.transition == "fired" for each in outcome.transitions),
            dead_letters=before.dead_letters + len(outcome.dead),
        )

    def checkpoint(self, size: int, took_s: float) -> None:
        """Note a checkpoint that was completed."""
        self.metrics.checkpoint(size, took_s, self._clock.now())

    def look(self, runners: Mapping[Partition, Runner], ends: Mapping[Partition, int], answers: bool) -> None:
        """Note how tasks and source stand; called by the thread that moves the tasks."""
        self._standing.noted = Standing.of(runners, ends, answers)
        if self._notifier is not None:
            self._standing.receivers = self._notifier.receivers
        for plan in {id(runner.task.plan): runner.task.plan for runner in runners.values()}.values():
            if plan.config_hash != self._plan.config_hash:
                self._plan = plan
                self.metrics.configured(plan, self._standing.receivers)
        for partition, runner in runners.items():
            task = runner.task
            drifts = {name: found for name, (_, _, found) in task.drifts.watched().items()}
            self.metrics.totals(
                self._added((partition, "ignored"), task.ignored),
                self._added((partition, "drifts"), drifts),
                self._added((partition, "late"), {"": task.late}).get("", 0),
            )
        for key in [key for key in self._before if key[0] not in runners]:
            del self._before[key]

    def _added(self, key: tuple[Partition, str], totals: Mapping[str, int]) -> dict[str, int]:
        """What tasks count outlives the process; the first look at one says where this process begins."""
        before = self._before.get(key)
        self._before[key] = dict(totals)
        if before is None:
            return {}
        return {name: max(count - before.get(name, 0), 0) for name, count in totals.items()}

    def _polled(self, _: Sequence[Chunk]) -> None:
        self._polled_at = self._monotonic()
