"""The drifts of one task: from its columns to the watched series, and from a drift to an alert."""

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
from streamer.messages.outcome import Transition
from streamer.messages.records import NO_TIME
from streamer.pipeline.drift_plan import Watch
from streamer.pipeline.drift_report import DriftReporter
from streamer.pipeline.event_clocks import reach
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import ReportRows

Judged = tuple[int, int, Transition]
"""A transition with the row that brought it, and its rule's number."""

_PER_MINUTE = 60.0
_VERSION_HEX_DIGITS = 16


class Drifts:
    """Watches what the plan says, on one-second aggregates of event time.

    A row belongs to the second of the highest event time that the task has seen up to it; timers do
    not move that. So a file gives what a live run gave, and an outage is no drift.

    Parameters
    ----------
    plan, detectors, slots
        Of the task.
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
        self._reached = int(NO_TIME)
        self.grow(0)

    def grow(self, n_slots: int) -> None:
        """Make room for every instrument that has a slot."""
        for bank in self._banks.values():
            bank.grow(n_slots if self._per_instrument else 1)

    def step(self, rows: ReportRows, judged: Sequence[Judged]) -> list[Judged]:
        """Look at a batch of events or a timer, with everything computed; the drifts that it brings to light.

        Parameters
        ----------
        rows
            The batch.
        judged
            What rules made of it: alerts that fired count for `alert_rate`, drifts do not.
        """
        if not self._banks or not len(rows.batch):
            return []
        if rows.origin.timer is not None:
            self._count_alerts(rows, judged)
            return []
        second = np.empty(len(rows.batch), np.int64)
        self._reached = int(reach(rows.batch.ts, self._reached, second))
        series = self._series(rows)
        found: list[Judged] = []
        for number, watch in enumerate(self._plan.drift.watches, len(self._plan.rules)):
            value = self._value(watch, rows, judged)
            for drift in self._banks[watch.name].step(series, second, value):
                reporter = DriftReporter(self._plan, self._models, self._slots, rows)
                transition = reporter.report(watch, self._versions[watch.name], drift)
                found.append((drift.row, number, transition))
        return found

    def _count_alerts(self, rows: ReportRows, judged: Sequence[Judged]) -> None:
        """Count alerts that a timer fired with the open second."""
        series = self._series(rows)
        for watch in self._plan.drift.watches:
            if watch.source == "alerts":
                for row, _, transition in judged:
                    if transition.transition == "fired":
                        self._banks[watch.name].add(int(series[row]), _PER_MINUTE)

    def watched(self) -> dict[str, tuple[int, int, int]]:
        """By watched name: how many series every monitor watches, how many there are, and their drifts."""
        return {name: bank.watched() for name, bank in self._banks.items()}

    def state(self) -> dict[str, State]:
        """An exact copy of the state, a part for each watched name."""
        if not self._banks:
            return {}
        parts = {self._key(name): bank.state() for name, bank in self._banks.items()}
        return {"drift": {"reached": np.array([self._reached], np.int64)}, **parts}

    def restore(self, parts: Mapping[str, State]) -> None:
        """Go on from a copy; what it holds of other specifications is left."""
        if "drift" in parts:
            self._reached = int(parts["drift"]["reached"][0].item())
        for name, bank in self._banks.items():
            kept = parts.get(self._key(name))
            if kept is not None:
                bank.restore(kept)
        self.grow(len(self._slots))

    def _series(self, rows: ReportRows) -> NDArray[np.int32]:
        return rows.columns.slot if self._per_instrument else np.zeros(len(rows.batch), np.int32)

    def _value(self, watch: Watch, rows: ReportRows, judged: Sequence[Judged]) -> NDArray[np.float64]:
        """The watched name's new values, NaN on rows that bring none."""
        if watch.source == "alerts":
            fired = np.zeros(len(rows.batch))
            for row, _, transition in judged:
                fired[row] += _PER_MINUTE * (transition.transition == "fired")
            return fired
        value = rows.numbers[watch.name]
        if watch.source == "score":
            return value  # NaN where the detector was not asked
        return np.where(rows_of(watch.kinds, rows.columns.kind), value, np.nan)

    def _key(self, name: str) -> str:
        return f"drift:{name}:{self._versions[name]}"

    def _version(self, watch: Watch) -> str:
        if watch.source == "alerts":
            of = json.dumps([[rule.name, rule.version] for rule in self._plan.rules])
        elif watch.detector is not None:
            of = self._models[watch.detector]
        else:
            of = parse_feature(watch.name).spec
        said = [watch.name, of, self._banks[watch.name].spec, self._per_instrument]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:_VERSION_HEX_DIGITS]
