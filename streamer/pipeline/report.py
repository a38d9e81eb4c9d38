"""Turns a step of an episode into the alert that is sent and the record of why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.alert import Alert, AlertRule, Observation, log_source, over
from alerts.episodes import FIRED, RESOLVED, TRANSITIONS, Steps
from alerts.language.expression_columns import ExpressionColumns as RuleColumns
from alerts.rules import Rule
from alerts.severity import SEVERITIES
from detectors.detector import Detector
from detectors.event_columns import KIND_NAMES, Columns
from streamer.messages.batch import Batch
from streamer.messages.fold_version import code_version
from streamer.messages.outcome import NearMiss, Transition
from streamer.messages.records import Partition
from streamer.pipeline.identity import alert_id
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.plan import Plan

Value = float | str | None

HELD_BY_FOR = "for"
"""What holds a near miss back: the rule's `for`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows came from: a partition, and the timer's number where they are a timer's."""

    partition: Partition
    timer: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReportRows:
    """One batch on its way through a task.

    Parameters
    ----------
    batch, columns
        The same n rows, as decoded and as detectors see them.
    numbers
        float64[n] by name: event fields, then features, then scores, as they are computed.
    origin
        Where they came from.
    """

    batch: Batch
    columns: Columns
    numbers: dict[str, NDArray[np.float64]]
    origin: Origin


class OpenAlert(NamedTuple):
    """An episode that has fired and not resolved: its alert's id, and what it said last."""

    id: str
    text: str


class Reporter:
    """Writes the alerts of one batch.

    Parameters
    ----------
    plan, detectors, slots
        Of the task.
    rows
        The batch, with every column computed.
    seen
        The same columns as the rules saw them.
    """

    def __init__(
        self, plan: Plan, detectors: Sequence[Detector], slots: Slots, rows: ReportRows, seen: RuleColumns
    ) -> None:
        self._plan = plan
        self._models = {detector.name: detector.version for detector in detectors}
        self._slots = slots
        self._rows = rows
        self._seen = seen

    def report(self, rule: Rule, opened: dict[int, OpenAlert], steps: Steps, at: int) -> Transition:
        """One step of an episode as a transition; `opened` (by slot) is kept up to date."""
        row, step = int(steps.row[at]), int(steps.kind[at])
        severity, number = int(steps.severity[at]), int(steps.number[at])
        slot = int(self._rows.columns.slot[row])
        values = {name: self._seen.value(name, row) for name in rule.names}
        if step == RESOLVED:
            # the row that ends an episode may be a quote or a timer, without what the text speaks of
            found, said = opened.pop(slot)
            text = over(said, f"not true for {rule.settings.clear}" if rule.clear_ns else "not true any more")
        else:
            found = self._new_id(rule, row, slot) if step == FIRED else opened[slot].id
            text = rule.render(values)
            opened[slot] = OpenAlert(found, text)
        seen = self._observation(rule, row, values, text)
        alert = Alert.detected(found, TRANSITIONS[step], number, self._rule(rule, severity), seen)
        is_timer = self._rows.origin.timer is not None
        return Transition(
            alert_id=found,
            number=number,
            transition=alert.transition,
            rule=rule.name,
            severity=alert.severity,
            instrument=self._slots.instruments[slot],
            ts_event_ns=alert.ts_event_ns,
            body=alert.to_json(),
            decision=_as_json(self._decision(rule, row, values)),
            offset=None if is_timer else int(self._rows.batch.offset[row]),
            index=None if is_timer else int(self._rows.batch.index[row]),
        )

    def near_miss(self, rule: Rule, row: int, severity: int) -> NearMiss:
        """A row on which a rule's condition is true, and its `for` not complete."""
        slot = int(self._rows.columns.slot[row])
        values = {name: self._seen.value(name, row) for name in rule.names}
        found = self._new_id(rule, row, slot)
        seen = self._observation(rule, row, values, rule.render(values))
        alert = Alert.detected(found, TRANSITIONS[FIRED], 0, self._rule(rule, severity), seen)
        said = json.loads(alert.to_json())
        for name in ("origin", "transition", "number"):
            del said[name]
        about = {**said, "held_by": HELD_BY_FOR, HELD_BY_FOR: rule.settings.for_}
        is_timer = self._rows.origin.timer is not None
        return NearMiss(
            id=found,
            held_by=HELD_BY_FOR,
            body=_as_json({"near_miss": about, **self._decision(rule, row, values)}),
            offset=None if is_timer else int(self._rows.batch.offset[row]),
            index=None if is_timer else int(self._rows.batch.index[row]),
        )

    def _new_id(self, rule: Rule, row: int, slot: int) -> str:
        batch, origin = self._rows.batch, self._rows.origin
        is_timer = origin.timer is not None
        return alert_id(
            rule.name,
            rule.version,
            tuple(self._slots.instruments[slot]),
            detector_of(rule),
            origin.partition,
            None if is_timer else int(batch.offset[row]),
            None if is_timer else int(batch.index[row]),
            origin.timer,
        )

    def _rule(self, rule: Rule, severity: int) -> AlertRule:
        detector = detector_of(rule)
        model_version = self._models[detector] if detector else None
        return AlertRule(
            rule.name, rule.version, SEVERITIES[severity], self._plan.config_hash, detector, model_version
        )

    def _observation(self, rule: Rule, row: int, values: dict[str, Value], text: str) -> Observation:
        instrument = self._slots.instruments[int(self._rows.columns.slot[row])]
        detector = detector_of(rule)
        score = self._seen.value(f"{detector}.score", row) if detector else None
        rarity = self._seen.value(f"{detector}.rarity", row) if detector else None
        return Observation(
            ts_event_ns=int(self._rows.batch.ts[row]),
            source=self._source(row),
            text=text,
            venue=instrument.venue,
            symbol=instrument.symbol,
            values=values,
            score=score if isinstance(score, float) else None,
            rarity_s=rarity if isinstance(rarity, float) else None,
        )

    def _source(self, row: int) -> dict[str, str | int | None]:
        batch, origin = self._rows.batch, self._rows.origin
        topic, partition = origin.partition.topic, origin.partition.partition
        if origin.timer is not None:
            return {**log_source(topic, partition), "tick": origin.timer}
        return log_source(topic, partition, int(batch.offset[row]), int(batch.index[row]))

    def _decision(self, rule: Rule, row: int, values: dict[str, Value]) -> dict[str, Any]:
        is_timer = self._rows.origin.timer is not None
        event: dict[str, Any] = {"kind": KIND_NAMES[self._rows.batch.kind[row]]}
        if not is_timer:
            event |= self._rows.batch.event(row)
        return {
            "event": event,
            "features": {name: self._seen.value(name, row) for name in self._plan.features},
            "scores": {name: self._seen.value(f"{name}.score", row) for name in self._models},
            "rarities": {name: self._seen.value(f"{name}.rarity", row) for name in self._models},
            "rule": {
                "when": rule.when,
                "explained": rule.condition.explain(values),
                "settings": rule.summary,
            },
            "versions": {
                "config_hash": self._plan.config_hash,
                "rule_version": rule.version,
                "models": self._models,
                "code": code_version(),
            },
        }


def _as_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def detector_of(rule: Rule) -> str | None:
    """The detector a rule names first, None where it names none.

    A detector's outputs are the only names with a dot in them.
    """
    return next((name.partition(".")[0] for name in rule.names if "." in name), None)
