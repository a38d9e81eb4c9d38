"""Turns a step of an episode into its alert and the record of the decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.alert import Alert, AlertRule, Observation, over
from alerts.episodes import FIRED, RESOLVED, TRANSITIONS, Extremes
from alerts.language.expression_columns import ExpressionColumns as RuleColumns
from alerts.rules import Rule
from alerts.severity import SEVERITIES
from detectors.detector import Detector
from detectors.event_columns import KIND_NAMES, Columns
from streamer.messages.batch import Batch
from streamer.messages.fold_version import code_version
from streamer.messages.logs import Log
from streamer.messages.outcome import NearMiss, Transition
from streamer.pipeline.identity import EventReference, alert_id
from streamer.pipeline.open_alerts import OpenAlert, RuleAlerts, episode_body
from streamer.pipeline.plan import Plan

Value = float | str | None

_NOTHING = Extremes()

HELD_BY_FOR = "for"
"""The rule's key that held a near miss back."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where rows came from: a log, and the timer's number if they are a timer's."""

    log: Log
    timer: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EnrichedBatch:
    """A batch with the columns that a task has computed for it.

    Parameters
    ----------
    batch, columns
        The same n rows as decoded, and as detectors see them.
    numbers
        float64[n] by name: event fields and features; then scores and rarities, as they are computed.
    source
        Where the rows came from.
    """

    batch: Batch
    columns: Columns
    numbers: dict[str, NDArray[np.float64]]
    source: RowSource


@dataclass(frozen=True, slots=True)
class EpisodeStep:
    """A transition of an episode, before its alert is built.

    Parameters
    ----------
    row
        The row that caused it.
    kind
        `FIRED`, `UPDATED` or `RESOLVED` of `alerts.episodes`.
    severity
        Code of the severity.
    number
        The transition's number in its episode.
    news
        Whether it says something worse than before; see `Steps.news`.
    extremes
        What the episode has been.
    """

    row: int
    kind: int
    severity: int
    number: int
    news: bool = True
    extremes: Extremes = _NOTHING


class Reporter:
    """Builds the alerts and near misses of one batch.

    Parameters
    ----------
    plan, detectors
        The task's.
    rows
        The batch, with all columns computed.
    columns
        The columns that the rules were evaluated on.
    """

    def __init__(
        self,
        plan: Plan,
        detectors: Sequence[Detector],
        rows: EnrichedBatch,
        columns: RuleColumns,
    ) -> None:
        self._plan = plan
        self._models = {detector.name: detector.version for detector in detectors}
        self._rows = rows
        self._columns = columns

    def report(
        self,
        rule: Rule,
        alerts: RuleAlerts,
        step: EpisodeStep,
        kept: Callable[[int], Mapping[str, float]],
    ) -> Transition:
        """Build the transition of an episode's step, and keep the rule's alerts up to date.

        Parameters
        ----------
        rule, alerts, step
            Whose step it is, and what happened.
        kept
            What the rule names, as it was on an instrument's last true evaluation; see `Episodes.kept`.
        """
        row, slot = step.row, int(self._rows.columns.slot[step.row])
        values = {name: self._columns.value(name, row) for name in rule.names}
        if step.kind == RESOLVED:
            # the resolving row may be a quote or a timer, without the fields that the text names
            current = alerts.resolve(slot, may_return=rule.flap_ns > 0)
            current = current._replace(text=over(current.text, _why_over(rule, step)))
        elif step.kind == FIRED:
            began_ns = int(self._rows.batch.ts[row])
            said = self._said(rule, row, values, kept)
            current = alerts.fire(slot, OpenAlert(self._new_id(rule, row), said, began_ns))
        else:
            current = alerts.go_on(slot, self._said(rule, row, values, kept) if step.news else None)
        episode = episode_body(rule, current.began_ns, step.extremes)
        alert, event = self._alert(rule, current, step, values, episode), self._event(row)
        return Transition(
            alert_id=current.id,
            number=step.number,
            transition=alert.transition,
            rule=rule.name,
            severity=alert.severity,
            instrument=self._rows.batch.instrument_of(row),
            ts_event_ns=alert.ts_event_ns,
            body=alert.to_json(),
            decision=_as_json(self._decision(rule, row, values)),
            offset=event.offset,
            index=event.index,
            source=event.source,
        )

    def near_miss(self, rule: Rule, row: int, severity: int) -> NearMiss:
        """Build the near miss of a row on which a rule's condition is true, but its `for` is not complete."""
        values = {name: self._columns.value(name, row) for name in rule.names}
        candidate = OpenAlert(self._new_id(rule, row), rule.render(values), int(self._rows.batch.ts[row]))
        alert = self._alert(rule, candidate, EpisodeStep(row, FIRED, severity, 0), values)
        body = json.loads(alert.to_json())
        for name in ("origin", "transition", "number"):
            del body[name]
        body |= {"held_by": HELD_BY_FOR, HELD_BY_FOR: rule.settings.for_}
        event = self._event(row)
        return NearMiss(
            id=candidate.id,
            held_by=HELD_BY_FOR,
            body=_as_json({"near_miss": body, **self._decision(rule, row, values)}),
            offset=event.offset,
            index=event.index,
            source=event.source,
        )

    def _said(
        self,
        rule: Rule,
        row: int,
        values: Mapping[str, Value],
        kept: Callable[[int], Mapping[str, float]],
    ) -> str:
        """The text; where a timer has completed `for`, in the words of the last true evaluation."""
        if int(self._rows.batch.kind[row]) in rule.kinds:
            return rule.render(values)
        return rule.render({**values, **kept(int(self._rows.columns.slot[row]))})

    def _new_id(self, rule: Rule, row: int) -> str:
        instrument = self._rows.batch.instrument_of(row)
        return alert_id(rule.name, rule.version, tuple(instrument), detector_of(rule), self._event(row))

    def _event(self, row: int) -> EventReference:
        batch, source = self._rows.batch, self._rows.source
        if source.timer is not None:
            return EventReference(source.log.key, timer=source.timer)
        place = int(batch.source[row]), int(batch.offset[row]), int(batch.index[row])
        return EventReference.of(source.log, *place)

    def _alert(
        self,
        rule: Rule,
        current: OpenAlert,
        step: EpisodeStep,
        values: dict[str, Value],
        episode: dict[str, Value] | None = None,
    ) -> Alert:
        observation = replace(self._observation(rule, step.row, values, current.text), episode=episode)
        decided = self._rule(rule, step.severity)
        return Alert.detected(current.id, TRANSITIONS[step.kind], step.number, decided, observation)

    def _rule(self, rule: Rule, severity: int) -> AlertRule:
        detector = detector_of(rule)
        model_version = self._models[detector] if detector else None
        return AlertRule(
            rule.name, rule.version, SEVERITIES[severity], self._plan.config_hash, detector, model_version
        )

    def _observation(self, rule: Rule, row: int, values: dict[str, Value], text: str) -> Observation:
        instrument = self._rows.batch.instrument_of(row)
        detector = detector_of(rule)
        score = self._columns.value(f"{detector}.score", row) if detector else None
        rarity = self._columns.value(f"{detector}.rarity", row) if detector else None
        return Observation(
            ts_event_ns=int(self._rows.batch.ts[row]),
            source=self._event(row).document(self._rows.source.log),
            text=text,
            venue=instrument.venue,
            symbol=instrument.symbol,
            values=values,
            score=score if isinstance(score, float) else None,
            rarity_s=rarity if isinstance(rarity, float) else None,
        )

    def _decision(self, rule: Rule, row: int, values: dict[str, Value]) -> dict[str, Any]:
        event: dict[str, Any] = {"kind": KIND_NAMES[self._rows.batch.kind[row]]}
        if self._rows.source.timer is None:
            event |= self._rows.batch.event(row)
        return {
            "event": event,
            "features": {name: self._columns.value(name, row) for name in self._plan.features},
            "scores": {name: self._columns.value(f"{name}.score", row) for name in self._models},
            "rarities": {name: self._columns.value(f"{name}.rarity", row) for name in self._models},
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


def _why_over(rule: Rule, step: EpisodeStep) -> str:
    clear, clear_ns = rule.settings.clear, rule.clear_ns
    if step.extremes.reopened and rule.flap_ns > clear_ns:
        clear, clear_ns = str(rule.settings.flap), rule.flap_ns
    return f"not true for {clear}" if clear_ns else "not true any more"


def _as_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def detector_of(rule: Rule) -> str | None:
    """The first detector that a rule names, None if it names none.

    Only names of detectors' outputs contain a dot.
    """
    return next((name.partition(".")[0] for name in rule.names if "." in name), None)
