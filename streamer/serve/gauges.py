"""How things stand right now: gauges that the working thread notes from time to time, and a scrape shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from alerts.clock import Clock
from detectors.models.model import STATUS_NAMES
from streamer.messages.records import Partition
from streamer.pipeline.runner import Runner
from streamer.store.database import Database
from streamer.store.deliveries import PARKED, PENDING, StoreDeliveries
from streamer.store.mutes import StoreMutes

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the tasks stood when they were last looked at.

    Parameters
    ----------
    live, recovering
        Partitions that are followed, and those that follow a stored journal first.
    answers
        Whether the source does.
    lag, pending, instruments
        By topic and partition: records not read yet, journal entries not written, instruments.
    detectors
        By detector and status: instruments.
    episodes
        By rule: open ones.
    drifts
        By watched name and state: series that drift is looked for in.
    """

    live: int = 0
    recovering: int = 0
    answers: bool = True
    lag: Mapping[Labels, int] = field(default_factory=dict)
    pending: Mapping[Labels, int] = field(default_factory=dict)
    instruments: Mapping[Labels, int] = field(default_factory=dict)
    detectors: Mapping[Labels, int] = field(default_factory=dict)
    episodes: Mapping[Labels, int] = field(default_factory=dict)
    drifts: Mapping[Labels, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, runners: Mapping[Partition, Runner], ends: Mapping[Partition, int], answers: bool
    ) -> Standing:
        """How these tasks stand, given where their logs end as far as that is known.

        To be called by the thread that moves the tasks.
        """
        live = sum(runner.live for runner in runners.values())
        detectors: dict[Labels, int] = {}
        episodes: dict[Labels, int] = {}
        drifts: dict[Labels, int] = {}
        for runner in runners.values():
            task = runner.task
            for name, column in task.status.items():
                counts = np.bincount(column[: len(task.slots)], minlength=len(STATUS_NAMES))
                for status, count in zip(STATUS_NAMES, counts, strict=True):
                    detectors[name, status] = detectors.get((name, status), 0) + int(count)
            for rule, opened in zip(task.plan.rules, task.open, strict=True):
                episodes[rule.name,] = episodes.get((rule.name,), 0) + len(opened)
            for name, (watched, series, _) in task.drifts.watched().items():
                for state, count in (("warming", series - watched), ("watched", watched)):
                    drifts[name, state] = drifts.get((name, state), 0) + count
        named = {partition: (partition.topic, str(partition.partition)) for partition in runners}
        return cls(
            live=live,
            recovering=len(runners) - live,
            answers=answers,
            lag={
                named[partition]: max(ends[partition] - runner.position, 0)
                for partition, runner in runners.items()
                if partition in ends
            },
            pending={named[one]: len(runner.journal.pending) for one, runner in runners.items()},
            instruments={named[one]: len(runner.task.slots) for one, runner in runners.items()},
            detectors=detectors,
            episodes=episodes,
            drifts=drifts,
        )


class StandingCollector(Collector):
    """Shows what was noted last, and what the store says of deliveries and mutes.

    Parameters
    ----------
    registry
        Where it is registered.
    database
        The open store; asked at each scrape.
    clock
        Wall-clock time.
    receivers
        Names of receivers.
    """

    def __init__(
        self, registry: CollectorRegistry, database: Database, clock: Clock, receivers: Iterable[str]
    ) -> None:
        self.noted = Standing()
        """Replaced as a whole, by one thread; read by others."""
        self.receivers = tuple(receivers)
        self._deliveries = StoreDeliveries(database)
        self._mutes = StoreMutes(database)
        self._clock = clock
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The families without samples; asked when they are registered."""
        yield from _of_tasks(Standing())
        yield from _of_store({}, {})

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families as they are now; asked at a scrape."""
        yield from _of_tasks(self.noted)
        waiting = {name: self._deliveries.waiting(name) for name in self.receivers}
        yield from _of_store(waiting, self._mutes.active(self._clock.now()))


def _of_tasks(standing: Standing) -> Iterator[GaugeMetricFamily]:
    place = ("topic", "partition")
    yield _gauge(
        "tapewatch_partitions",
        "Partitions this process follows: live, or following their stored journal after a start.",
        ("state",),
        {("live",): standing.live, ("recovering",): standing.recovering},
    )
    yield _gauge("tapewatch_source_up", "1 while the broker answers.", (), {(): int(standing.answers)})
    yield _gauge("tapewatch_lag_records", "Records in the log that are not read yet.", place, standing.lag)
    yield _gauge(
        "tapewatch_journal_pending_entries",
        "Journal entries that nothing visible depends on yet, so they are not written.",
        place,
        standing.pending,
    )
    yield _gauge("tapewatch_instruments", "Instruments a partition has had.", place, standing.instruments)
    yield _gauge(
        "tapewatch_detector_instruments",
        "Instruments by the state a detector is in for them.",
        ("detector", "status"),
        standing.detectors,
    )
    yield _gauge("tapewatch_open_episodes", "Episodes that go on.", ("rule",), standing.episodes)
    yield _gauge(
        "tapewatch_drift_series",
        "Series that drift is looked for in, by whether their reference is whole.",
        ("watched", "state"),
        standing.drifts,
    )


def _of_store(
    waiting: Mapping[str, Mapping[str, int]], muted: Mapping[str, float]
) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "tapewatch_deliveries_pending",
        "Deliveries that are owed and will go out by themselves.",
        ("receiver",),
        {(name,): counts[PENDING] for name, counts in waiting.items()},
    )
    yield _gauge(
        "tapewatch_deliveries_parked",
        "Deliveries refused for good, until somebody asks for them again.",
        ("receiver",),
        {(name,): counts[PARKED] for name, counts in waiting.items()},
    )
    yield _gauge(
        "tapewatch_rule_muted_until_timestamp_seconds",
        "When the mute of a rule ends; rules that speak are not here.",
        ("rule",),
        {(rule,): until for rule, until in muted.items()},
    )


def _gauge(
    name: str, documentation: str, labels: tuple[str, ...], values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
