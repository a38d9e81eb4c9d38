"""Prometheus counters and histograms of the service, updated outside the fold, which does not know them."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.registry import CollectorRegistry

from alerts.one_shot import DRIFT
from alerts.severity import SEVERITIES
from detectors.models.model import STATUS_NAMES
from streamer.decoding.dead_letter_reasons import Reason
from streamer.messages.floods import Flood
from streamer.messages.records import PAUSE_REASONS, Partition, PausedPartition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.checkpointing import CompletedCheckpoint
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import StepResult
from streamer.serve.histogram import BulkHistogram
from streamer.store.pruning import PRUNED

_TRANSITIONS = ("fired", "updated", "resolved")
_OUTCOMES = ("delivered", "retried", "parked", "summarised", "digested", "superseded", "muted")
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0, 2.0, 5.0, 10.0, 100.0)
_STEP_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_AGE_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_RELOAD_OUTCOMES = ("refused", "taken_over")  # by whether it was accepted
_KEPT_FLOODS = 10_000
_NS = float(NS_PER_SECOND)


class Metrics:
    """Counters and histograms of the running service.

    Label values that the configuration knows exist from the start with 0; topics and partitions appear
    with their first records.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    plan
        Its rules, detectors and drift watches give label values.
    receivers
        Names of receivers.
    version
        The code's version.
    """

    def __init__(
        self, registry: CollectorRegistry, plan: Plan, receivers: Sequence[str], version: str
    ) -> None:
        # no `_created` series beside each counter
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._version = version
        self._build = Info("tapewatch_build", "The running code and configuration.", registry=registry)
        self._business(registry)
        self._model(registry)
        self._latency(registry)
        self._operation(registry)
        self._upkeep(registry)
        self._floods: dict[tuple[Partition, str, int, int, int], int] = {}
        self.configure(plan, receivers)

    def configure(self, plan: Plan, receivers: Sequence[str]) -> None:
        """Publish the configuration's hash, and give each of its label values a series at 0."""
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

    def watch(self, step: StepResult, now: float) -> Mapping[str, int]:
        """Count the results of a step; what a replayed journal yields was counted before the restart.

        Parameters
        ----------
        step
            What the step did.
        now
            Wall-clock seconds.

        Returns
        -------
        Mapping[str, int]
            New dead letters by reason, those too that are not kept one by one.
        """
        counter = self._records if step.live else self._rederived
        for topic, count in step.counts.items():
            counter.labels(topic).inc(count)
        if not step.live:
            return {}
        for each in step.outcome.transitions:
            self._transitions.labels(each.rule, each.severity, each.transition).inc()
            if each.transition == "fired":
                self._to_decision.observe(max(now - each.ts_event_ns / _NS, 0.0))
        for scores in step.outcome.scores:
            counts = np.bincount(scores.status, minlength=len(STATUS_NAMES))
            for status, name in enumerate(STATUS_NAMES):
                self._scored.labels(scores.detector, name).inc(int(counts[status]))
            self._scores.observe(scores.detector, scores.score)
        dead = Counts(letter.reason for letter in step.outcome.dead)
        for flood in step.outcome.floods:
            dead[flood.reason] += self._increase(step.task.partition, flood)
        for reason, count in dead.items():
            self._dead.labels(reason).inc(count)
        return dead

    def delivery(self, receiver: str, outcome: str, count: int = 1, waited_s: float | None = None) -> None:
        """Count outcomes of deliveries; a `streamer.notify.delivery_watch.DeliveryWatch`."""
        self._deliveries.labels(receiver, outcome).inc(count)
        if waited_s is not None:
            self._to_delivered.labels(receiver).observe(waited_s)

    def batch(self, step_s: float, since_poll_s: float) -> None:
        """Observe how long a batch took, and the time from the poll of its records to its outcome."""
        self._step.observe(step_s)
        self._since_poll.observe(since_poll_s)

    def source(self, *, raw: bool) -> None:
        """Record whether Kafka's record batches are decoded as columns."""
        self._raw.set(int(raw))

    def paused(self, partitions: Sequence[PausedPartition]) -> None:
        """Record the partitions that are not read on until somebody does something."""
        counts = Counts(each.reason for each in partitions)
        for reason in PAUSE_REASONS:
            self._paused.labels(reason).set(counts[reason])

    def checkpoint(self, completed: CompletedCheckpoint, now: float) -> None:
        """Record a completed checkpoint, and when that was (wall-clock seconds)."""
        self._checkpoints.inc()
        self._checkpoint_bytes.set(completed.size)
        self._checkpoint_state.set(completed.state_size)
        self._checkpoint_s.set(completed.took_s)
        self._checkpoint_share.set(completed.share)
        self._checkpoint_at.set(now)

    def upkeep(self, pruned: Mapping[str, int], size: int, free: int) -> None:
        """Record what was pruned from the store, the bytes of its file, and those that nothing uses."""
        for name, count in pruned.items():
            self._pruned.labels(name).inc(count)
        self._store_bytes.set(size)
        self._store_free.set(free)

    def started(self, now: float) -> None:
        """Record when this process started, wall-clock seconds."""
        self._started.set(now)

    def reload(self, accepted: bool) -> None:
        """Count a reload of the configuration, accepted or refused."""
        self._reloads.labels(_RELOAD_OUTCOMES[accepted]).inc()
        self._reload_succeeded.set(int(accepted))

    def _increase(self, partition: Partition, flood: Flood) -> int:
        """A flood comes with its running total, so only the increase since last time counts."""
        key = (partition, flood.reason, flood.minute, flood.first_source, flood.first_offset)
        increase = max(flood.count - self._floods.pop(key, 0), 0)
        self._floods[key] = flood.count
        while len(self._floods) > _KEPT_FLOODS:
            del self._floods[next(iter(self._floods))]
        return increase

    def _business(self, registry: CollectorRegistry) -> None:
        self._transitions = Counter(
            "tapewatch_alert_transitions",
            "Alert transitions decided by detection.",
            ["rule", "severity", "transition"],
            registry=registry,
        )
        self._deliveries = Counter(
            "tapewatch_deliveries",
            "Deliveries by outcome; every attempt that is put off counts as retried.",
            ["receiver", "outcome"],
            registry=registry,
        )

    def _model(self, registry: CollectorRegistry) -> None:
        self._scored = Counter(
            "tapewatch_scored_events",
            "Events passed to a detector, by its status for the instrument.",
            ["detector", "status"],
            registry=registry,
        )
        self._drifts = Counter(
            "tapewatch_drifts", "Drifts detected, by watched name.", ["watched"], registry=registry
        )
        self._scores = BulkHistogram(
            "tapewatch_score", "Scores of ready detectors.", "detector", _SCORES, registry
        )

    def _latency(self, registry: CollectorRegistry) -> None:
        self._to_decision = Histogram(
            "tapewatch_event_to_decision_seconds",
            "From an alert's event time to its commit; includes the offset between the two clocks.",
            buckets=_AGE_S,
            registry=registry,
        )
        self._since_poll = Histogram(
            "tapewatch_poll_to_decision_seconds",
            "From the poll that returned a batch's records to their outcome, on one clock.",
            buckets=_STEP_S,
            registry=registry,
        )
        self._step = Histogram(
            "tapewatch_batch_seconds",
            "Time a batch took: decoding, detection, and the commit if there was one.",
            buckets=_STEP_S,
            registry=registry,
        )
        self._to_delivered = Histogram(
            "tapewatch_decision_to_delivered_seconds",
            "From an alert's commit to its acceptance by the receiver.",
            ["receiver"],
            buckets=_AGE_S,
            registry=registry,
        )

    def totals(
        self,
        ignored: Mapping[str, int],
        drifts: Mapping[str, int],
        late: int,
        clocks: Mapping[str, int],
    ) -> None:
        """Add what tasks count themselves: ignored messages and drifts by name, late events, clocks set back.

        Parameters
        ----------
        ignored, drifts, late
            Increases since the last time.
        clocks
            Those of `ClockGuard.counts`.
        """
        for name, count in ignored.items():
            self._ignored.labels(name).inc(count)
        for name, count in drifts.items():
            self._drifts.labels(name).inc(count)
        self._late.inc(late)
        self._steps_back.labels("instrument").inc(clocks.get("instrument_steps_back", 0))
        self._steps_back.labels("log").inc(clocks.get("log_steps_back", 0))
        self._far_off.inc(clocks.get("far_off", 0))

    def _operation(self, registry: CollectorRegistry) -> None:
        self._records = Counter("tapewatch_records", "Records consumed.", ["topic"], registry=registry)
        self._raw = Gauge(
            "tapewatch_kafka_raw",
            "1 if Kafka's record batches are decoded as columns, 0 if record by record.",
            registry=registry,
        )
        self._paused = Gauge(
            "tapewatch_paused_partitions",
            "Partitions that are not read on until somebody does something, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in PAUSE_REASONS:
            self._paused.labels(reason)
        self._rederived = Counter(
            "tapewatch_rederived_records",
            "Records consumed again after a start, replaying the journal.",
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
            "Messages of types that the format knows and ignores.",
            ["name"],
            registry=registry,
        )
        self._late = Counter(
            "tapewatch_late_events", "Events earlier than their instrument's latest one.", registry=registry
        )
        self._steps_back = Counter(
            "tapewatch_clock_steps_back",
            "Clocks that were wrong and were set back: of instruments, or of a log (its watermark).",
            ["clock"],
            registry=registry,
        )
        for clock in ("instrument", "log"):
            self._steps_back.labels(clock)
        self._far_off = Counter(
            "tapewatch_far_off_events",
            "Events dated a year or more from their record's time, or from their log's.",
            registry=registry,
        )

    def _upkeep(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "tapewatch_reloads",
            "Configuration reloads by outcome.",
            ["outcome"],
            registry=registry,
        )
        for outcome in _RELOAD_OUTCOMES:
            self._reloads.labels(outcome)
        self._reload_succeeded = Gauge(
            "tapewatch_config_last_reload_successful",
            "0 if the last reload was refused and the previous configuration is still running.",
            registry=registry,
        )
        self._reload_succeeded.set(1)
        self._started = Gauge(
            "tapewatch_start_time_seconds",
            "When this process started, in seconds since 1970.",
            registry=registry,
        )
        self._pruned = Counter(
            "tapewatch_pruned_rows",
            "Rows that were deleted from the store because they are older than they are kept.",
            ["table"],
            registry=registry,
        )
        for name in PRUNED:
            self._pruned.labels(name)
        self._store_bytes = Gauge(
            "tapewatch_store_bytes",
            "Size of the store's file, 0 until it is pruned for the first time.",
            registry=registry,
        )
        self._store_free = Gauge(
            "tapewatch_store_free_bytes",
            "Bytes of the store's file that nothing uses.",
            registry=registry,
        )
        self._checkpoints = Counter(
            "tapewatch_checkpoints", "Completed checkpoints, one for each task.", registry=registry
        )
        self._checkpoint_bytes = Gauge(
            "tapewatch_checkpoint_bytes",
            "Size of the last checkpoint file: of what had changed, or of the whole state.",
            registry=registry,
        )
        self._checkpoint_state = Gauge(
            "tapewatch_checkpoint_state_bytes",
            "Size of the whole state that the last checkpoint was taken of.",
            registry=registry,
        )
        self._checkpoint_share = Gauge(
            "tapewatch_checkpoint_share",
            "Share of the time that checkpoints take; above 0.02 only where recovery would otherwise take "
            "longer than twice `checkpoint.every`.",
            registry=registry,
        )
        self._checkpoint_s = Gauge(
            "tapewatch_checkpoint_seconds", "Time the last checkpoint took to write.", registry=registry
        )
        self._checkpoint_at = Gauge(
            "tapewatch_checkpoint_timestamp_seconds",
            "When the last checkpoint was completed; 0 before the first.",
            registry=registry,
        )
