"""Turns a drift into its alert and the record of the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping

from alerts.alert import Alert, AlertRule, Observation
from alerts.one_shot import DRIFT
from detectors.drift import Drift
from detectors.event_columns import KIND_NAMES
from streamer.messages.fold_version import code_version
from streamer.messages.outcome import Transition
from streamer.pipeline.drift_plan import Watch
from streamer.pipeline.identity import EventReference, alert_id
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import EnrichedBatch, Value


class DriftReporter:
    """Builds the drift alerts of one batch.

    Parameters
    ----------
    plan, models
        The task's; models are detectors' versions by name.
    rows
        The batch.
    """

    def __init__(self, plan: Plan, models: Mapping[str, str], rows: EnrichedBatch) -> None:
        self._plan = plan
        self._models = models
        self._rows = rows

    def report(self, watch: Watch, version: str, drift: Drift) -> Transition:
        """The only transition of a drift: it fires and is never resolved."""
        batch, log = self._rows.batch, self._rows.source.log
        place = int(batch.source[drift.row]), int(batch.offset[drift.row]), int(batch.index[drift.row])
        event = EventReference.of(log, *place)
        instrument = batch.instrument_of(drift.row) if self._plan.drift.per_instrument else None
        subject = (watch.name, *(instrument or ()))
        where = str(log) if instrument is None else " ".join(instrument)
        alert = Alert.detected(
            alert_id(DRIFT, version, subject, watch.detector, event),
            "fired",
            0,
            AlertRule(
                DRIFT,
                version,
                self._plan.drift.severity,
                self._plan.config_hash,
                watch.detector,
                self._models[watch.detector] if watch.detector else None,
            ),
            Observation(
                ts_event_ns=int(batch.ts[drift.row]),
                source=event.document(log),
                text=f"{where}: {_description(watch, drift)}",
                venue=instrument.venue if instrument else None,
                symbol=instrument.symbol if instrument else None,
                values=_values(watch, drift),
            ),
        )
        return Transition(
            alert_id=alert.id,
            number=0,
            transition=alert.transition,
            rule=DRIFT,
            severity=alert.severity,
            instrument=instrument,
            ts_event_ns=alert.ts_event_ns,
            body=alert.to_json(),
            decision=self._decision(watch, version, drift),
            offset=event.offset,
            index=event.index,
            source=event.source,
        )

    def _decision(self, watch: Watch, version: str, drift: Drift) -> bytes:
        record = {
            "event": {
                "kind": KIND_NAMES[self._rows.batch.kind[drift.row]],
                **self._rows.batch.event(drift.row),
            },
            "rule": {
                "when": f"{watch.name} drifts",
                "explained": _description(watch, drift),
                "settings": {"monitor": drift.evidence.monitor, "seconds_per_value": drift.span_s},
            },
            "versions": {
                "config_hash": self._plan.config_hash,
                "rule_version": version,
                "models": dict(self._models),
                "code": code_version(),
            },
        }
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


def _values(watch: Watch, drift: Drift) -> dict[str, Value]:
    before, after = drift.before, drift.after
    return {
        "watched": watch.name,
        "monitor": drift.evidence.monitor,
        "from": before.middle,
        "from_low": before.low,
        "from_high": before.high,
        "to": after.middle,
        "to_low": after.low,
        "to_high": after.high,
        "statistic": drift.evidence.statistic,
        "threshold": drift.evidence.threshold,
        "seconds_per_value": float(drift.span_s),
    }


def _description(watch: Watch, drift: Drift) -> str:
    before, after = drift.before, drift.after
    span = (
        f"80 % of values were between {before.low:.4g} and {before.high:.4g}, "
        f"they are now between {after.low:.4g} and {after.high:.4g}"
    )
    if drift.evidence.statistic is None:
        return f"{watch.name} has drifted from {before.middle:.4g} to {after.middle:.4g} ({span})"
    psi, threshold = drift.evidence.statistic, drift.evidence.threshold
    return f"the distribution of {watch.name} has drifted: {span} (PSI {psi:.2f}, above {threshold:.2f})"
