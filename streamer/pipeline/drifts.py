"""Drift detection in one task: from its columns to the watched series, and from drifts to alerts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from alerts.rules import rows_of
from detectors.detector import Detector
from detectors.drift import DriftBank
from detectors.event_columns import State
from detectors.features import parse_feature
from detectors.kernels import kernel
from streamer.messages.outcome import Transition
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.drift_plan import Watch
from streamer.pipeline.drift_report import DriftReporter
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import EnrichedBatch

RowTransition = tuple[int, int, Transition]
"""A transition with its row, and its rule's number."""

_PER_MINUTE = 60.0
_VERSION_HEX_DIGITS = 16


class Drifts:
    """Watches the plan's names for drift, on one-second aggregates of event time.

    A row belongs to the second of the highest event time up to it; timers do not advance that. So a file
    gives the same drifts as the live run, and an outage is not a drift. Where the watermark was wrong, what
    is open is set back with it, and goes on: the highest time must not keep a second open until the log is
    there. The running time would not do: it stands still in a series with longer steps than `max_ahead`.

    Parameters
    ----------
    plan, detectors, slots
        The task's.
    """

    def __init__(self, plan: Plan, detectors: Sequence[Detector], slots: Slots) -> None:
        self._plan = plan
        self._models = {detector.name: detector.version for detector in detectors}
        self._slots = slots
        self._per_instrument = plan.drift.per_instrument
        self._banks = {
            watch.name: DriftBank(watch.block_s, summed=True, scale_floor=_PER_MINUTE / watch.block_s)
            if watch.source == "alerts"
            else DriftBank(watch.block_s)
            for watch in plan.drift.watches
        }
        self._versions = {watch.name: self._version(watch) for watch in plan.drift.watches}
        self._highest_ts = int(NO_TIME)
        self.grow(0)

    def grow(self, n_slots: int) -> None:
        """Make room for every instrument that has a slot."""
        for bank in self._banks.values():
            bank.grow(n_slots if self._per_instrument else 1)

    def step(self, rows: EnrichedBatch, transitions: Sequence[RowTransition]) -> list[RowTransition]:
        """Feed a batch of events or a timer, with all its columns; returns the alerts of the drifts in it.

        Parameters
        ----------
        rows
            The batch.
        transitions
            Those of rules: alerts that fired count for `alert_rate`, drifts do not.
        """
        if not self._banks or not len(rows.batch):
            return []
        if rows.source.timer is not None:
            self._count_alerts(rows, transitions)
            return []
        second = np.empty(len(rows.batch), np.int64)
        self._highest_ts = int(_running_seconds(rows.batch.ts, self._highest_ts, second))
        series = self._series(rows)
        alerts: list[RowTransition] = []
        for number, watch in enumerate(self._plan.drift.watches, len(self._plan.rules)):
            value = self._value(watch, rows, transitions)
            for drift in self._banks[watch.name].step(series, second, value):
                reporter = DriftReporter(self._plan, self._models, rows)
                transition = reporter.report(watch, self._versions[watch.name], drift)
                alerts.append((drift.row, number, transition))
        return alerts

    def _count_alerts(self, rows: EnrichedBatch, transitions: Sequence[RowTransition]) -> None:
        """Count alerts that a timer fired towards the open second."""
        series = self._series(rows)
        for watch in self._plan.drift.watches:
            if watch.source == "alerts":
                for row, _, transition in transitions:
                    if transition.transition == "fired":
                        self._banks[watch.name].add(int(series[row]), _PER_MINUTE)

    def set_back(self, to: int) -> None:
        """The watermark was wrong, and is set back to this time, ns."""
        if self._highest_ts > to:
            self._highest_ts = to
            for bank in self._banks.values():
                bank.set_back(max(to, 0) // NS_PER_SECOND)

    def forget(self, slot: int) -> None:
        """Make one instrument's own series as before its first row; those of the log keep what it gave."""
        if self._per_instrument:
            for bank in self._banks.values():
                bank.forget(slot)

    def watched(self) -> dict[str, tuple[int, int, int]]:
        """By watched name: series with a complete reference, all series, and drifts so far."""
        return {name: bank.watched() for name, bank in self._banks.items()}

    def state(self) -> dict[str, State]:
        """An exact copy of the state, with a part for each watched name."""
        if not self._banks:
            return {}
        parts = {self._key(name): bank.state() for name, bank in self._banks.items()}
        return {"drift": {"reached": np.array([self._highest_ts], np.int64)}, **parts}

    def restore(self, parts: Mapping[str, State]) -> None:
        """Continue from a copy; its parts with other specifications are ignored."""
        if "drift" in parts:
            self._highest_ts = int(parts["drift"]["reached"][0].item())
        for name, bank in self._banks.items():
            kept = parts.get(self._key(name))
            if kept is not None:
                bank.restore(kept)
        self.grow(len(self._slots))

    def _series(self, rows: EnrichedBatch) -> NDArray[np.int32]:
        return rows.columns.slot if self._per_instrument else np.zeros(len(rows.batch), np.int32)

    def _value(
        self, watch: Watch, rows: EnrichedBatch, transitions: Sequence[RowTransition]
    ) -> NDArray[np.float64]:
        """The new values of the watched name, NaN on rows without one."""
        if watch.source == "alerts":
            fired = np.zeros(len(rows.batch))
            for row, _, transition in transitions:
                fired[row] += _PER_MINUTE * (transition.transition == "fired")
            return fired
        value = rows.numbers[watch.name]
        if watch.source == "score":
            return value  # NaN where the detector did not score
        return np.where(rows_of(watch.kinds, rows.columns.kind), value, np.nan)

    def _key(self, name: str) -> str:
        return f"drift:{name}:{self._versions[name]}"

    def _version(self, watch: Watch) -> str:
        if watch.source == "alerts":
            definition = json.dumps([[rule.name, rule.version] for rule in self._plan.rules])
        elif watch.detector is not None:
            definition = self._models[watch.detector]
        else:
            definition = parse_feature(watch.name).spec
        identity = [watch.name, definition, self._banks[watch.name].spec, self._per_instrument]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_VERSION_HEX_DIGITS]


@kernel
def _running_seconds(ts: NDArray[np.int64], highest: int, second: NDArray[np.int64]) -> int:
    """Give each row the second of the highest event time up to it; returns the highest event time."""
    last = -1
    for i in range(ts.shape[0]):
        highest = max(highest, int(ts[i]))
        if last < 0 or not 0 <= highest - last * NS_PER_SECOND < NS_PER_SECOND:
            last = max(highest // NS_PER_SECOND, 0)
        second[i] = last
    return highest
