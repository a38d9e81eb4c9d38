"""Gauges: the engine's thread records their values about once a second, a scrape reads the last ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from alerts.clock import Clock
from detectors.models.model import STATUS_NAMES
from streamer.messages.logs import ALL, Log
from streamer.messages.records import Chunk, Partition
from streamer.pipeline.runner import Runner
from streamer.serve.health import Health
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.delivery_rows import PARKED, PENDING
from streamer.store.silences import StoredSilence, StoreSilences

Labels = tuple[str, ...]


def labels_of(partition: Partition) -> Labels:
    """A partition's labels: its topic and its number; ``*`` for all, as of a joined log.

    Examples
    --------
    >>> labels_of(Partition("spot", "t1", 0)), labels_of(Partition("spot+perp", "", ALL))
    (('spot', '0'), ('spot+perp', '*'))
    """
    return partition.topic, "*" if partition.partition == ALL else str(partition.partition)


def log_labels(log: Log) -> Labels:
    """A log's labels: its name, then topic and partition where it has one only.

    Examples
    --------
    >>> spot, perp = Partition("spot", "t1", 0), Partition("perp", "t2", 0)
    >>> log_labels(Log.of(spot)), log_labels(Log.joined(["spot", "perp"], 0, [spot, perp]))
    (('spot[0]', 'spot', '0'), ('spot+perp[0]', '', ''))
    """
    return str(log), *(("", "") if log.is_joined else labels_of(log.key))


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a partition; its position is that of the moment when it is asked for."""

    runner: Runner
    partition: Partition

    @property
    def position(self) -> int:
        """The next offset to fold."""
        return self.runner.positions.get(self.partition, 0)

    @property
    def awaited(self) -> frozenset[Labels]:
        """Other partitions of its log whose records it waits for."""
        return frozenset(map(labels_of, self.runner.awaited - {self.partition}))


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """The state of the tasks and of the source at one moment.

    Parameters
    ----------
    live, recovering
        Logs whose tasks fold new records, and those that still replay their stored journal.
    source_up
        Whether the source can be reached.
    ends, readers, read
        By topic and partition: one past its last known offset, who reads it, and up to where it was read if
        what came last was no record.
    pending, instruments
        By the labels of a log: journal entries not written yet, instruments.
    detectors
        By detector and status: instruments.
    episodes
        By rule: open episodes.
    drifts
        By watched name and state: series watched for drift.
    """

    live: int = 0
    recovering: int = 0
    source_up: bool = True
    ends: Mapping[Labels, int] = field(default_factory=dict)
    readers: Mapping[Labels, Reader] = field(default_factory=dict)
    read: Mapping[Labels, int] = field(default_factory=dict)
    pending: Mapping[Labels, int] = field(default_factory=dict)
    instruments: Mapping[Labels, int] = field(default_factory=dict)
    detectors: Mapping[Labels, int] = field(default_factory=dict)
    episodes: Mapping[Labels, int] = field(default_factory=dict)
    drifts: Mapping[Labels, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        runners: Mapping[Partition, Runner],
        ends: Mapping[Partition, int],
        source_up: bool,
        read: Mapping[Partition, int] = MappingProxyType({}),
    ) -> GaugeValues:
        """The values for these tasks; there is no lag for a partition whose log end is not in `ends`.

        Call it on the engine's thread: it reads the tasks' state.
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
            for rule, alerts in zip(task.plan.rules, task.open, strict=True):
                episodes[rule.name,] = episodes.get((rule.name,), 0) + len(alerts)
            for name, (watched, series, _) in task.drifts.watched().items():
                for state, number in (("warming", series - watched), ("watched", watched)):
                    drifts[name, state] = drifts.get((name, state), 0) + number
        readers = {
            labels_of(member): Reader(runner, member)
            for runner in runners.values()
            for member in runner.positions
        }
        logs = {log_labels(runner.log): runner for runner in runners.values()}
        waiting = {member for runner in runners.values() if runner.waits for member in runner.positions}
        return cls(
            live=live,
            recovering=len(runners) - live,
            source_up=source_up,
            ends={labels_of(each): end for each, end in ends.items() if labels_of(each) in readers},
            readers=readers,
            # what was read of a joined log may still wait for the records of another member
            read={
                labels_of(each): at
                for each, at in read.items()
                if labels_of(each) in readers and each not in waiting
            },
            pending={log: len(runner.journal.pending) for log, runner in logs.items()},
            instruments={log: len(runner.task.slots) for log, runner in logs.items()},
            detectors=detectors,
            episodes=episodes,
            drifts=drifts,
        )

    @property
    def lag(self) -> Mapping[Labels, int]:
        """Records not read yet, by topic and partition, by where their readers are now."""
        return self.behind({})

    def behind(self, asked: Mapping[Labels, int]) -> Mapping[Labels, int]:
        """The same, if the broker has also been asked for the ends of logs meanwhile."""
        ends = dict(self.ends)
        for place, end in asked.items():
            if place in self.readers:
                ends[place] = max(end, ends.get(place, 0))
        return {
            place: max(end - max(self.readers[place].position, self.read.get(place, 0)), 0)
            for place, end in ends.items()
        }

    def polled(self, chunks: Sequence[Chunk]) -> GaugeValues:
        """The same values, now that the logs are known to hold these records."""
        ends = dict(self.ends)
        for chunk in chunks:
            place = labels_of(chunk.partition)
            if place in self.readers and len(chunk.records):
                ends[place] = max(ends.get(place, 0), chunk.records[-1].offset + 1)
        return replace(self, ends=ends)


class GaugeCollector(Collector):
    """Exposes the values recorded last, and the store's deliveries and mutes.

    Parameters
    ----------
    registry
        Where it is registered.
    database
        The open store; queried at each scrape.
    clock
        Wall-clock time.
    receivers
        Names of receivers.
    """

    def __init__(
        self, registry: CollectorRegistry, database: Database, clock: Clock, receivers: Iterable[str]
    ) -> None:
        self.values = GaugeValues()
        """Replaced as a whole by the engine's thread, read by the others."""
        self.idle_s: Callable[[], float] = lambda: 0.0
        """For how long detection has finished nothing."""
        self.health: Callable[[], Health] = Health
        """How the service stands."""
        self.asked_ends: Callable[[], Mapping[Partition, int]] = dict
        """The ends of logs by what the broker was asked last."""
        self.receivers = tuple(receivers)
        self._deliveries = StoreDeliveries(database)
        self._silences = StoreSilences(database)
        self._clock = clock
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The families without samples, for registration."""
        yield from _of_tasks(GaugeValues(), {})
        yield _idle(0.0)
        yield from _of_health(Health())
        yield from _of_store({}, ())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families with their current values, for a scrape."""
        asked = {labels_of(log): end for log, end in self.asked_ends().items()}
        yield from _of_tasks(self.values, self.values.behind(asked))
        yield _idle(self.idle_s())
        yield from _of_health(self.health())
        waiting = {name: self._deliveries.waiting(name) for name in self.receivers}
        yield from _of_store(waiting, self._silences.mutes(self._clock.now()))


def _of_tasks(values: GaugeValues, behind: Mapping[Labels, int]) -> Iterator[GaugeMetricFamily]:
    place, log = ("topic", "partition"), ("log", "topic", "partition")
    yield _gauge(
        "tapewatch_partitions",
        "Assigned partitions: live, or still replaying their stored journal after a start.",
        ("state",),
        {("live",): values.live, ("recovering",): values.recovering},
    )
    yield _gauge("tapewatch_source_up", "1 while the broker can be reached.", (), {(): int(values.source_up)})
    yield _gauge("tapewatch_lag_records", "Records in the log not read yet.", place, behind)
    yield _gauge(
        "tapewatch_journal_pending_entries",
        "Journal entries not written yet: nothing visible depends on them.",
        log,
        values.pending,
    )
    yield _gauge("tapewatch_instruments", "Instruments seen in a log.", log, values.instruments)
    yield _gauge(
        "tapewatch_detector_instruments",
        "Instruments by the status of the detector's model for them.",
        ("detector", "status"),
        values.detectors,
    )
    yield _gauge("tapewatch_open_episodes", "Open alert episodes.", ("rule",), values.episodes)
    yield _gauge(
        "tapewatch_drift_series",
        "Series watched for drift, by whether the reference window is complete.",
        ("watched", "state"),
        values.drifts,
    )


def _idle(seconds: float) -> GaugeMetricFamily:
    return _gauge(
        "tapewatch_idle_seconds",
        "For how long detection has finished nothing: no poll, no batch, no call of a model.",
        (),
        {(): seconds},
    )


def _of_health(health: Health) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "tapewatch_healthy",
        "1 while all is well: detection and delivery go on wherever there is work for them.",
        (),
        {(): int(not health.causes)},
    )
    yield _gauge(
        "tapewatch_step_age_seconds",
        "Time since the last step was finished: a batch, a timer or a reload.",
        (),
        {(): health.step_age_s},
    )
    yield _gauge(
        "tapewatch_undelivered_age_seconds",
        "For how long the oldest alert on its way has waited; 0 where there is none.",
        (),
        {} if health.undelivered_s is None else {(): health.undelivered_s},
    )


def _of_store(
    waiting: Mapping[str, Mapping[str, int]], mutes: Sequence[StoredSilence]
) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "tapewatch_deliveries_pending",
        "Deliveries due; they are sent or retried automatically.",
        ("receiver",),
        {(name,): counts[PENDING] for name, counts in waiting.items()},
    )
    yield _gauge(
        "tapewatch_deliveries_parked",
        "Deliveries the receiver rejected for good; `tapewatch alerts --retry-parked` sends them again.",
        ("receiver",),
        {(name,): counts[PARKED] for name, counts in waiting.items()},
    )
    yield _gauge(
        "tapewatch_rule_muted_until_timestamp_seconds",
        "When the mute of a rule as a whole ends; rules that are not muted have no sample.",
        ("rule",),
        {(rule,): each.silence.ends_at for each in mutes if (rule := each.silence.rule) is not None},
    )
    yield _gauge(
        "tapewatch_mutes",
        "Mutes in force, those of single instruments and venues too.",
        (),
        {(): len(mutes)},
    )


def _gauge(
    name: str, documentation: str, labels: tuple[str, ...], values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
