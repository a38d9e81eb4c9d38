"""A task's state: copied for a checkpoint, restored from it, carried over to another configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.event_columns import State
from detectors.models.model import STATUS_NAMES, ModelStateError
from detectors.slot_arrays import LentRows, lending
from streamer.decoding.event_fields import KIND_NAMES, kinds_with
from streamer.messages.batch import Kind
from streamer.messages.logs import Log
from streamer.messages.outcome import Outcome, Transition
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.snapshot import Snapshot, pack, unpack
from streamer.pipeline.member_states import MemberStates
from streamer.pipeline.open_alerts import OpenAlert
from streamer.pipeline.plan import Plan
from streamer.pipeline.resolving import Cause, EndedEpisode, resolve
from streamer.pipeline.rule_rates import NOTHING_COUNTED
from streamer.pipeline.task import Task, Timer


def snapshot(task: Task) -> Snapshot:
    """A full copy of the task's state; the task can continue at once.

    Raises
    ------
    detectors.models.model.ModelStateError
        When the state of a detector's model cannot be copied.
    """
    return _snapshot(task, [(detector, detector.state()) for detector in task.detectors])


@dataclass(frozen=True, slots=True, eq=False)
class LentState:
    """A task's state without a copy of its arrays: valid until the task steps.

    Parameters
    ----------
    snapshot
        Its arrays are the task's own, or small copies.
    touched
        bool[slots] by name of an array, which of its entries can have changed since `Task.touched` was
        cleared; an array that has no entry here can have changed anywhere.
    """

    snapshot: Snapshot
    touched: Mapping[str, NDArray[np.bool_]]


def lent_state(task: Task) -> LentState:
    """The task's state to be looked at, and where it can have changed.

    Raises
    ------
    detectors.models.model.ModelStateError
        When the state of a detector's model cannot be copied.
    """
    n = len(task.slots)
    with lending():
        lent = _snapshot(task, [(detector, detector.state()) for detector in task.detectors], lend=True)
    slots = task.touched.slots(n)
    if slots is None:
        return LentState(lent, {})
    by_timers = {
        _rule_key(rule.name, rule.version)
        for number, rule in enumerate(task.plan.rules)
        if task.touched.rule(number)
    }
    by_events = {_rule_key(rule.name, rule.version) for rule in task.plan.rules} - by_timers
    touched = {}
    for name, array in lent.arrays.items():
        part = name.partition("|")[0]
        is_of_slots = isinstance(array, LentRows) and part.startswith(_BY_EVENTS)
        if len(array) == n and (is_of_slots or part in by_events):
            touched[name] = slots
    return LentState(lent, touched)


def _snapshot(task: Task, states: Sequence[tuple[Detector, State]], *, lend: bool = False) -> Snapshot:
    seen_status = task.seen_status()
    parts: dict[str, State] = {"task": task.guard.state(), "features": task.features.state()}
    for detector, state in states:
        parts[_detector_key(detector.name, detector.version)] = {
            **state,
            "seen_status": seen_status[detector.name],
        }
    for detector, calibrator in zip(task.detectors, task.calibrators, strict=True):
        parts[_rarity_key(detector.name, detector.version, calibrator.spec)] = calibrator.state()
    for rule, episodes in zip(task.plan.rules, task.episodes, strict=True):
        parts[_rule_key(rule.name, rule.version)] = episodes.state(lend=lend)
    parts |= task.drifts.state()
    if task.members is not None:
        parts |= task.members.state()
    meta: dict[str, Any] = {
        "config_hash": task.plan.config_hash,
        "instruments": task.slots.instruments.copy(),
        "clock_guard": task.guard.document(),
        "clock_notices": task.clock_notices.document(),
        "place_notices": task.place_notices.document(),
        "tick": [task.last_timer.number, task.last_timer.ts_ns],
        "open": {
            _rule_key(rule.name, rule.version): [[slot, *alert] for slot, alert in alerts.open.items()]
            for rule, alerts in zip(task.plan.rules, task.alerts, strict=True)
        },
        "waiting": {
            _rule_key(rule.name, rule.version): [[slot, *alert] for slot, alert in alerts.waiting.items()]
            for rule, alerts in zip(task.plan.rules, task.alerts, strict=True)
            if alerts.waiting
        },
        "measures": {_rule_key(rule.name, rule.version): rule.measures.identity for rule in task.plan.rules},
        "floods": task.floods.document(),
        "rates": task.rates.document(),
        "seen": sorted(task.fields_seen),
        "kinds": sorted(int(kind) for kind in task.kinds_seen),
        "ignored": task.ignored.copy(),
    }
    if task.members is not None:
        meta["members"] = task.members.document()
    return Snapshot(meta, pack(parts))


def restore(plan: Plan, log: Log | Partition, snapshot: Snapshot) -> Task:
    """A task that continues from a snapshot.

    State of features, detectors and rules that the plan no longer has is dropped; those that the snapshot
    does not have start afresh.
    """
    task = Task(plan, log)
    meta, parts = snapshot.meta, unpack(snapshot.arrays)
    task.slots.restore([(venue, symbol) for venue, symbol in meta["instruments"]])
    task.grow()
    n = len(task.slots)
    task.last_timer = Timer(*(int(part) for part in meta["tick"]))
    _restore_clocks(task, meta, parts["task"])
    if "place_notices" in meta:  # fold 5 had none: no instrument was forgotten
        task.place_notices.restore(meta["place_notices"])
    task.floods.restore(meta["floods"])
    task.fields_seen = set(meta["seen"])
    kinds = meta.get("kinds")  # of older versions: those whose fields were all there
    task.kinds_seen = kinds_with(task.fields_seen) if kinds is None else {Kind(kind) for kind in kinds}
    task.ignored = dict(meta["ignored"])
    if task.members is not None:
        task.members.restore(meta["members"], parts)
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
    _restore_episodes(task, meta, parts)
    task.drifts.restore(parts)
    # checkpoints of older versions have no counts: counting starts here
    task.rates.restore(meta.get("rates", NOTHING_COUNTED))
    return task


def _restore_clocks(task: Task, meta: Mapping[str, Any], kept: State) -> None:
    if "clock_guard" in meta:
        task.guard.restore(meta["clock_guard"], kept)
        task.clock_notices.restore(meta["clock_notices"])
    else:  # fold 3, in which nothing could refute a clock
        task.guard.restore_maxima(
            int(meta["watermark"]), task.last_timer.ts_ns, kept["clocks"], int(meta["late"])
        )


def reload(task: Task, plan: Plan) -> tuple[Task, Outcome]:
    """Carry a task over to another configuration.

    State with an unchanged specification is kept, the rest warms up again. Open episodes of rules that were
    removed or changed are resolved, since no later event could resolve them.

    Returns
    -------
    tuple
        The task under the new plan, and the transitions that the change causes.
    """
    fresh = restore(plan, task.log, _snapshot(task, _copied(task.detectors)))
    unchanged = {_rule_key(rule.name, rule.version) for rule in plan.rules}
    resolved: list[Transition] = []
    for number, rule in enumerate(task.plan.rules):
        if _rule_key(rule.name, rule.version) in unchanged:
            continue
        for slot, alert in sorted(task.open[number].items()):
            resolved.append(_resolved(task, number, slot, alert))
    return fresh, Outcome(tuple(resolved))


def _resolved(task: Task, number: int, slot: int, opened: OpenAlert) -> Transition:
    cause = Cause("reload", "the rule was changed or removed", max(task.guard.now, 0))
    instrument, closing = task.slots.instruments[slot], task.episodes[number].closing(slot)
    episode = EndedEpisode(task.plan.rules[number], instrument, opened, closing)
    return resolve(episode, task.log, task.plan.config_hash, cause)


def _copied(detectors: Sequence[Detector]) -> list[tuple[Detector, State]]:
    """The states of detectors that can be copied; the others begin anew."""
    states = []
    for detector in detectors:
        with suppress(ModelStateError):
            states.append((detector, detector.state()))
    return states


def _restore_episodes(task: Task, meta: Mapping[str, Any], parts: Mapping[str, State]) -> None:
    measures = meta.get("measures", {})  # fold 4 kept none
    for number, rule in enumerate(task.plan.rules):
        key = _rule_key(rule.name, rule.version)
        kept = parts.get(key)
        if kept is None:
            continue
        episodes, alerts = task.episodes[number], task.alerts[number]
        episodes.restore(kept)
        if measures.get(key) != rule.measures.identity:
            episodes.forget_measures()
        for slot, alert_id, text, *began in meta["open"].get(key, []):
            alerts.open[slot] = OpenAlert(alert_id, text, began[0] if began else episodes.fired_at(slot))
        for slot, alert_id, text, began_ns in meta.get("waiting", {}).get(key, []):
            alerts.waiting[slot] = OpenAlert(alert_id, text, began_ns)


_BY_EVENTS = ("features", "detector:")
"""Parts whose arrays by slot are changed by events of the slot alone, and never by a timer."""


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
        "kinds": [KIND_NAMES[kind] for kind in sorted(task.kinds_seen) if kind != Kind.TIMER],
        "followed_s": task.rates.followed_s(),
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
        "clocks": task.guard.counts,
        "places": {"forgotten": task.place_notices.forgotten, "refused": task.place_notices.refused},
        **({} if task.members is None else {"members": _members(task, task.members)}),
    }


def _members(task: Task, states: MemberStates) -> list[dict[str, Any]]:
    """The members of a joined log: which the others go on without, and how many came late after that."""
    members = zip(task.log.members, states.idle, states.late, strict=True)
    return [
        {"topic": member.topic, "partition": member.partition, "idle": idle, "late": late}
        for member, idle, late in members
    ]
