"""A task's state: copied for a checkpoint, taken up again, carried over to another configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from alerts.alert import Alert, AlertRule, Observation, log_source, over
from alerts.severity import SEVERITIES
from detectors.event_columns import State
from streamer.messages.outcome import Outcome, Transition
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.snapshot import Snapshot, pack, unpack
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import OpenAlert
from streamer.pipeline.rule_rates import NOTHING_COUNTED
from streamer.pipeline.task import Task, Timer


def snapshot(task: Task) -> Snapshot:
    """A full copy of what the task remembers; the task may go on at once."""
    n = len(task.slots)
    parts: dict[str, State] = {"task": {"clocks": task.clocks[:n].copy()}, "features": task.features.state()}
    for detector in task.detectors:
        parts[_detector_key(detector.name, detector.version)] = {
            **detector.state(),
            "seen_status": task.status[detector.name][:n].copy(),
        }
    for detector, calibrator in zip(task.detectors, task.calibrators, strict=True):
        parts[_rarity_key(detector.name, detector.version, calibrator.spec)] = calibrator.state()
    for rule, bank in zip(task.plan.rules, task.episodes, strict=True):
        parts[_rule_key(rule.name, rule.version)] = bank.state()
    parts |= task.drifts.state()
    meta: dict[str, Any] = {
        "config_hash": task.plan.config_hash,
        "instruments": task.slots.instruments.copy(),
        "watermark": task.watermark,
        "tick": [task.last_timer.number, task.last_timer.ts_ns],
        "open": {
            _rule_key(rule.name, rule.version): [[slot, *alert] for slot, alert in entries.items()]
            for rule, entries in zip(task.plan.rules, task.open, strict=True)
        },
        "floods": task.floods.document(),
        "rates": task.rates.document(),
        "seen": sorted(task.seen),
        "ignored": task.ignored.copy(),
        "late": task.late,
    }
    return Snapshot(meta, pack(parts))


def restore(plan: Plan, partition: Partition, taken: Snapshot) -> Task:
    """A task that goes on where the snapshot was taken.

    What the snapshot holds of features, detectors and rules that the plan does not have any
    more is left; what the plan has and the snapshot does not starts afresh.
    """
    task = Task(plan, partition)
    meta, parts = taken.meta, unpack(taken.arrays)
    task.slots.restore([(venue, symbol) for venue, symbol in meta["instruments"]])
    task.grow()
    n = len(task.slots)
    task.clocks[:n] = parts["task"]["clocks"]
    task.watermark = int(meta["watermark"])
    task.last_timer = Timer(*(int(part) for part in meta["tick"]))
    task.floods.restore(meta["floods"])
    task.seen = set(meta["seen"])
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
    # a checkpoint of an older version has none: they are counted from here on
    task.rates.restore(meta.get("rates", NOTHING_COUNTED))
    return task


def reload(task: Task, plan: Plan) -> tuple[Task, Outcome]:
    """Go on under another configuration.

    State whose specification is the same is kept, the rest warms anew. An episode whose rule is
    gone, or says something else now, is resolved: nobody would ever resolve it otherwise.

    Returns
    -------
    tuple
        The task under the new plan, and the transitions that the change itself brings.
    """
    fresh = restore(plan, task.partition, snapshot(task))
    kept = {_rule_key(rule.name, rule.version) for rule in plan.rules}
    closed: list[Transition] = []
    for number, rule in enumerate(task.plan.rules):
        if _rule_key(rule.name, rule.version) in kept:
            continue
        for slot, found in sorted(task.open[number].items()):
            closed.append(_closed(task, number, slot, found))
    return fresh, Outcome(tuple(closed))


def _closed(task: Task, number: int, slot: int, opened: OpenAlert) -> Transition:
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


def _restore_episodes(task: Task, opened: Mapping[str, Any], parts: Mapping[str, State]) -> None:
    for number, rule in enumerate(task.plan.rules):
        key = _rule_key(rule.name, rule.version)
        kept = parts.get(key)
        if kept is not None:
            task.episodes[number].restore(kept)
            task.open[number] = {slot: OpenAlert(found, text) for slot, found, text in opened.get(key, [])}


def _detector_key(name: str, version: str) -> str:
    return f"detector:{name}:{version}"


def _rarity_key(name: str, version: str, spec: str) -> str:
    return f"{_detector_key(name, version)}:{spec}"


def _rule_key(name: str, version: str) -> str:
    return f"rule:{name}:{version}"


def quarantined(task: Task, limit: int = 5) -> dict[str, dict[str, str]]:
    """By detector and instrument: why its model there is out of use, the first `limit` of each."""
    found = {}
    for detector in task.detectors:
        reasons = sorted(detector.quarantined().items())[:limit]
        if reasons:
            found[detector.name] = {" ".join(task.slots.instruments[slot]): why for slot, why in reasons}
    return found


def status_document(task: Task) -> dict[str, Any]:
    """What `check` shows of a task: fields seen, detectors' readiness, failed models, open episodes."""
    n = len(task.slots)
    counts = {
        name: {
            state: int(np.count_nonzero(column[:n] == code))
            for code, state in enumerate(("warming", "ready", "quarantined"))
        }
        for name, column in task.status.items()
    }
    return {
        "instruments": n,
        "watermark_ns": None if task.watermark == NO_TIME else task.watermark,
        "seen": sorted(task.seen),
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
        "open": {
            rule.name: len(entries)
            for rule, entries in zip(task.plan.rules, task.open, strict=True)
            if entries
        },
        "ignored": dict(task.ignored),
        "late": task.late,
    }
