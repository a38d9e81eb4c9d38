"""What the service says of itself in numbers; fed at the edge, nothing in the fold knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.registry import CollectorRegistry

from alerts.one_shot import DRIFT
from alerts.severity import SEVERITIES
from detectors.models.model import STATUS_NAMES
from streamer.decoding.dead_letter_reasons import Reason
from streamer.messages.records import Partition
from streamer.notify.delivery_watch import DeliveryOutcome
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Work
from streamer.serve.histogram import BulkHistogram

_TRANSITIONS = ("fired", "updated", "resolved")
_OUTCOMES: tuple[DeliveryOutcome, ...] = ("delivered", "retried", "parked", "summarised", "muted")
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0, 2.0, 5.0, 10.0, 100.0)
_STEP_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_AGE_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_RELOADS = ("refused", "taken_over")
_KEPT_FLOODS = 10_000
_NS = 1e9


class Metrics:
    """Counters and histograms of what happens.

    Labels have values that are known from the configuration, and are there from the start; those by topic
    and partition come with the partitions.

    Parameters
    ----------
    registry
        Where they are registered.
    plan
        Names rules and detectors.
    receivers
        Names of receivers.
    version
        Of the code.
    """

    def __init__(
        self, registry: CollectorRegistry, plan: Plan, receivers: Sequence[str], version: str
    ) -> None:
        # a second series for each counter, with a time that nobody asks for
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._version = version
        self._build = Info("tapewatch_build", "The running code and configuration.", registry=registry)
        self._business(registry)
        self._model(registry)
        self._latency(registry)
        self._operation(registry)
        self._upkeep(registry)
        self._floods: dict[tuple[Partition, str, int, int], int] = {}
        self.configured(plan, receivers)

    def configured(self, plan: Plan, receivers: Sequence[str]) -> None:
        """Name another configuration, and have every label value it knows there with a 0."""
        self._build.info({"version": self._version, "config_hash": plan.config_hash})
        for rule in plan.rules:
            for code in sorted({rule.severity, *(code for code, _ in rule.escalations)}):
                for transition in _TRANSITIONS:
                    self._transitions.labels(rule.name, SEVERITIES[code], transition)
        for detector in plan.detectors:
            self._scores.observe(detector, ())
            for status in STATUS_NAMES:
                self._scored.labels(detector, status)
        for watch in plan.drift.watches:
            self._drifts.labels(watch.name)
            self._transitions.labels(DRIFT, plan.drift.severity, "fired")
        for receiver in receivers:
            self._to_delivered.labels(receiver)
            for outcome in _OUTCOMES:
                self._deliveries.labels(receiver, outcome)

    def watch(self, work: Work, now: float) -> None:
        """Count what a batch brought; what is derived again after a restart was counted before it.

        Parameters
        ----------
        work
            The batch's outcome.
        now
            Wall-clock seconds.
        """
        if not work.live:
            self._rederived.labels(work.task.partition.topic).inc(work.records)
            return
        self._records.labels(work.task.partition.topic).inc(work.records)
        for each in work.outcome.transitions:
            self._transitions.labels(each.rule, each.severity, each.transition).inc()
            if each.transition == "fired":
                self._to_decision.observe(max(now - each.ts_event_ns / _NS, 0.0))
        for scores in work.outcome.scores:
            counts = np.bincount(scores.status, minlength=len(STATUS_NAMES))
            for status, name in enumerate(STATUS_NAMES):
                self._scored.labels(scores.detector, name).inc(int(counts[status]))
            self._scores.observe(scores.detector, scores.score)
        for letter in work.outcome.dead:
            self._dead.labels(letter.reason).inc()
        for flood in work.outcome.floods:
            self._flood(work.task.partition, (flood.reason, flood.minute, flood.first_offset), flood.count)

    def delivery(
        self, receiver: str, outcome: DeliveryOutcome, count: int = 1, waited_s: float | None = None
    ) -> None:
        """Count what became of deliveries; a `streamer.notify.delivery_watch.DeliveryWatch`."""
        self._deliveries.labels(receiver, outcome).inc(count)
        if waited_s is not None:
            self._to_delivered.labels(receiver).observe(waited_s)

    def batch(self, step_s: float, since_poll_s: float) -> None:
        """Note how long a batch took, and how long after its records were polled it was decided."""
        self._step.observe(step_s)
        self._since_poll.observe(since_poll_s)

    def source(self, *, raw: bool) -> None:
        """Note whether Kafka's record batches are read as columns."""
        self._raw.set(int(raw))

    def checkpoint(self, size: int, took_s: float, now: float) -> None:
        """Note a checkpoint that was completed: bytes, seconds, and when (wall-clock seconds)."""
        self._checkpoints.inc()
        self._checkpoint_bytes.set(size)
        self._checkpoint_s.set(took_s)
        self._checkpoint_at.set(now)

    def started(self, now: float) -> None:
        """Note when this process began, wall-clock seconds."""
        self._started.set(now)

    def reload(self, taken_over: bool) -> None:
        """Note that the configuration was read again, and was taken over or refused."""
        self._reloads.labels(_RELOADS[taken_over]).inc()
        self._reload_good.set(int(taken_over))

    def _flood(self, partition: Partition, place: tuple[str, int, int], count: int) -> None:
        """A flood is told as it stands, so what is new is the difference to what it was."""
        key = (partition, *place)
        self._dead.labels(place[0]).inc(max(count - self._floods.pop(key, 0), 0))
        self._floods[key] = count
        while len(self._floods) > _KEPT_FLOODS:
            del self._floods[next(iter(self._floods))]

    def _business(self, registry: CollectorRegistry) -> None:
        self._transitions = Counter(
            "tapewatch_alert_transitions",
            "Transitions of alerts that detection decided.",
            ["rule", "severity", "transition"],
            registry=registry,
        )
        self._deliveries = Counter(
            "tapewatch_deliveries",
            "Deliveries by what became of them; one that is put off counts as retried each time.",
            ["receiver", "outcome"],
            registry=registry,
        )

    def _model(self, registry: CollectorRegistry) -> None:
        self._scored = Counter(
            "tapewatch_scored_events",
            "Events a detector looked at, by the state it was in for that instrument.",
            ["detector", "status"],
            registry=registry,
        )
        self._drifts = Counter(
            "tapewatch_drifts", "Drifts found, by what was watched.", ["watched"], registry=registry
        )
        self._scores = BulkHistogram(
            "tapewatch_score", "Scores of ready detectors.", "detector", _SCORES, registry
        )

    def _latency(self, registry: CollectorRegistry) -> None:
        self._to_decision = Histogram(
            "tapewatch_event_to_decision_seconds",
            "From an alert's event time to its commit; holds what the event's clock and ours differ by.",
            buckets=_AGE_S,
            registry=registry,
        )
        self._since_poll = Histogram(
            "tapewatch_poll_to_decision_seconds",
            "From the poll that brought a batch's records to their outcome, on one clock.",
            buckets=_STEP_S,
            registry=registry,
        )
        self._step = Histogram(
            "tapewatch_batch_seconds",
            "Time a batch took: decoding, detection, and the commit where there was one.",
            buckets=_STEP_S,
            registry=registry,
        )
        self._to_delivered = Histogram(
            "tapewatch_decision_to_delivered_seconds",
            "From an alert's commit to its receiver's yes.",
            ["receiver"],
            buckets=_AGE_S,
            registry=registry,
        )

    def totals(self, ignored: Mapping[str, int], drifts: Mapping[str, int], late: int) -> None:
        """Note what tasks count themselves: what is not used and drifts, both by name, and late events."""
        for name, count in ignored.items():
            self._ignored.labels(name).inc(count)
        for name, count in drifts.items():
            self._drifts.labels(name).inc(count)
        self._late.inc(late)

    def _operation(self, registry: CollectorRegistry) -> None:
        self._records = Counter("tapewatch_records", "Records consumed.", ["topic"], registry=registry)
        self._raw = Gauge(
            "tapewatch_kafka_raw",
            "1 while Kafka's record batches are read as columns, 0 where they are read record by record.",
            registry=registry,
        )
        self._rederived = Counter(
            "tapewatch_rederived_records",
            "Records consumed once more after a start, following the journal.",
            ["topic"],
            registry=registry,
        )
        self._dead = Counter(
            "tapewatch_dead_letters",
            "Records and events that could not be used.",
            ["reason"],
            registry=registry,
        )
        for reason in Reason:
            self._dead.labels(reason.value)
        self._ignored = Counter(
            "tapewatch_ignored_messages",
            "Messages that the format knows and does not use.",
            ["name"],
            registry=registry,
        )
        self._late = Counter(
            "tapewatch_late_events", "Events behind their instrument's clock.", registry=registry
        )

    def _upkeep(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "tapewatch_reloads",
            "Times the configuration was read again, by what became of it.",
            ["outcome"],
            registry=registry,
        )
        for outcome in _RELOADS:
            self._reloads.labels(outcome)
        self._reload_good = Gauge(
            "tapewatch_config_last_reload_successful",
            "0 while the configuration's file was read last and refused, so that an older one is at work.",
            registry=registry,
        )
        self._reload_good.set(1)
        self._started = Gauge(
            "tapewatch_start_time_seconds",
            "When this process began, in seconds since 1970; it changes with every restart.",
            registry=registry,
        )
        self._checkpoints = Counter(
            "tapewatch_checkpoints", "Checkpoints completed, one a task.", registry=registry
        )
        self._checkpoint_bytes = Gauge(
            "tapewatch_checkpoint_bytes", "Size of the last checkpoint's file.", registry=registry
        )
        self._checkpoint_s = Gauge(
            "tapewatch_checkpoint_seconds", "Time the last checkpoint took to write.", registry=registry
        )
        self._checkpoint_at = Gauge(
            "tapewatch_checkpoint_timestamp_seconds",
            "When the last checkpoint was completed, 0 before the first.",
            registry=registry,
        )
