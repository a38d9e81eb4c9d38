"""A task's state: copied for a checkpoint, restored from it, carried over to another configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from alerts.alert import Alert, AlertRule, Observation, log_source, over
from alerts.severity import SEVERITIES
from detectors.event_columns import State
from detectors.models.model import STATUS_NAMES
from streamer.messages.outcome import Outcome, Transition
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.snapshot import Snapshot, pack, unpack
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import OpenAlert
from streamer.pipeline.rule_rates import NOTHING_COUNTED
from streamer.pipeline.task import Task, Timer


def snapshot(task: Task) -> Snapshot:
    """A full copy of the task's state; the task can continue at once."""
    n = len(task.slots)
    parts: dict[str, State] = {"task": {"clocks": task.clocks[:n].copy()}, "features": task.features.state()}
    for detector in task.detectors:
        parts[_detector_key(detector.name, detector.version)] = {
            **detector.state(),
            "seen_status": task.status[detector.name][:n].copy(),
        }
    for detector, calibrator in zip(task.detectors, task.calibrators, strict=True):
        parts[_rarity_key(detector.name, detector.version, calibrator.spec)] = calibrator.state()
    for rule, episodes in zip(task.plan.rules, task.episodes, strict=True):
        parts[_rule_key(rule.name, rule.version)] = episodes.state()
    parts |= task.drifts.state()
    meta: dict[str, Any] = {
        "config_hash": task.plan.config_hash,
        "instruments": task.slots.instruments.copy(),
        "watermark": task.watermark,
        "tick": [task.last_timer.number, task.last_timer.ts_ns],
        "open": {
            _rule_key(rule.name, rule.version): [[slot, *alert] for slot, alert in alerts.items()]
            for rule, alerts in zip(task.plan.rules, task.open, strict=True)
        },
        "floods": task.floods.document(),
        "rates": task.rates.document(),
        "seen": sorted(task.fields_seen),
        "ignored": task.ignored.copy(),
        "late": task.late,
    }
    return Snapshot(meta, pack(parts))


def restore(plan: Plan, partition: Partition, snapshot: Snapshot) -> Task:
    """A task that continues from a snapshot.

    State of features, detectors and rules that the plan no longer has is dropped; those that the snapshot
    does not have start afresh.
    """
    task = Task(plan, partition)
    meta, parts = snapshot.meta, unpack(snapshot.arrays)
    task.slots.restore([(venue, symbol) for venue, symbol in meta["instruments"]])
    task.grow()
    n = len(task.slots)
    task.clocks[:n] = parts["task"]["clocks"]
    task.watermark = int(meta["watermark"])
    task.last_timer = Timer(*(int(part) for part in meta["tick"]))
    task.floods.restore(meta["floods"])
    task.fields_seen = set(meta["seen"])
    task.ignored = dict(meta["ignored"])
    task.late = int(meta["late"])
    task.features.restore_known(parts.get("features", {}))
    for detector in task.detectors:
        kept = parts.get(_detector_key(detector.name, detector.version))
        if kept is not None:
            task.status[detector.name][:n] = kept.pop("seen_status")
            detector.restore(kept)
    for detector, calibrator in zip(task.detectors, task.calibrators, strict=True):
        kept = parts.get(_rarity_key(detector.name, detector.version, calibrator.spec))
        if kept is not None:
            calibrator.restore(kept)
    _restore_episodes(task, meta["open"], parts)
    task.drifts.restore(parts)
    # checkpoints of older versions have no counts: counting starts here
    task.rates.restore(meta.get("rates", NOTHING_COUNTED))
    return task


def reload(task: Task, plan: Plan) -> tuple[Task, Outcome]:
    """Carry a task over to another configuration.

    State with an unchanged specification is kept, the rest warms up again. Open episodes of rules that were
    removed or changed are resolved, since no later event could resolve them.

    Returns
    -------
    tuple
        The task under the new plan, and the transitions that the change causes.
    """
    fresh = restore(plan, task.partition, snapshot(task))
    unchanged = {_rule_key(rule.name, rule.version) for rule in plan.rules}
    resolved: list[Transition] = []
    for number, rule in enumerate(task.plan.rules):
        if _rule_key(rule.name, rule.version) in unchanged:
            continue
        for slot, alert in sorted(task.open[number].items()):
            resolved.append(_resolved(task, number, slot, alert))
    return fresh, Outcome(tuple(resolved))


def _resolved(task: Task, number: int, slot: int, opened: OpenAlert) -> Transition:
    rule, instrument = task.plan.rules[number], task.slots.instruments[slot]
    following, severity = task.episodes[number].closing(slot)
    alert = Alert.detected(
        opened.id,
        "resolved",
        following,
        AlertRule(rule.name, rule.version, SEVERITIES[severity], task.plan.config_hash),
        Observation(
            ts_event_ns=max(task.watermark, task.last_timer.ts_ns, 0),
            source=log_source(task.partition.topic, task.partition.partition),
            text=over(opened.text, "the rule was changed or removed"),
            venue=instrument.venue,
            symbol=instrument.symbol,
        ),
    )
    decision = {
        "event": {"kind": "reload"},
        "rule": {"when": rule.when, "settings": rule.summary},
        "versions": {"config_hash": task.plan.config_hash, "rule_version": rule.version},
    }
    return Transition(
        alert_id=opened.id,
        number=following,
        transition="resolved",
        rule=rule.name,
        severity=alert.severity,
        instrument=instrument,
        ts_event_ns=alert.ts_event_ns,
        body=alert.to_json(),
        decision=json.dumps(decision).encode(),
        offset=None,
        index=None,
    )


def _restore_episodes(task: Task, alerts: Mapping[str, Any], parts: Mapping[str, State]) -> None:
    for number, rule in enumerate(task.plan.rules):
        key = _rule_key(rule.name, rule.version)
        kept = parts.get(key)
        if kept is not None:
            task.episodes[number].restore(kept)
            task.open[number] = {
                slot: OpenAlert(alert_id, text) for slot, alert_id, text in alerts.get(key, [])
            }


def _detector_key(name: str, version: str) -> str:
    return f"detector:{name}:{version}"


def _rarity_key(name: str, version: str, spec: str) -> str:
    return f"{_detector_key(name, version)}:{spec}"


def _rule_key(name: str, version: str) -> str:
    return f"rule:{name}:{version}"


def quarantined(task: Task, limit: int = 5) -> dict[str, dict[str, str]]:
    """By detector and instrument, why the model is quarantined; the first `limit` instruments of each."""
    quarantined_by_detector = {}
    for detector in task.detectors:
        if detector.control.reason is not None:
            quarantined_by_detector[detector.name] = {"all instruments": detector.control.reason}
            continue
        reasons = sorted(detector.quarantined().items())[:limit]
        if reasons:
            quarantined_by_detector[detector.name] = {
                " ".join(task.slots.instruments[slot]): reason for slot, reason in reasons
            }
    return quarantined_by_detector


def status_document(task: Task) -> dict[str, Any]:
    """What `check` shows of a task: fields seen, status of detectors, failed models, open episodes."""
    n = len(task.slots)
    counts = {
        name: {state: int(np.count_nonzero(column[:n] == code)) for code, state in enumerate(STATUS_NAMES)}
        for name, column in task.status.items()
    }
    return {
        "instruments": n,
        "watermark_ns": None if task.watermark == NO_TIME else task.watermark,
        "seen": sorted(task.fields_seen),
        "detectors": counts,
        "rarities": {
            detector.name: calibrator.ready()
            for detector, calibrator in zip(task.detectors, task.calibrators, strict=True)
        },
        "drifts": {
            name: dict(zip(("watched", "series", "drifts"), counts, strict=True))
            for name, counts in task.drifts.watched().items()
        },
        "rates": task.rates.status(),
        "quarantined": quarantined(task),
        "controlled": {
            detector.name: detector.control.reason
            for detector in task.detectors
            if detector.control.reason is not None
        },
        "open": {
            rule.name: len(alerts) for rule, alerts in zip(task.plan.rules, task.open, strict=True) if alerts
        },
        "ignored": dict(task.ignored),
        "late": task.late,
    }
