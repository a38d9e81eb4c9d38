"""What state each rule is in: active, warming or inactive, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from streamer.events.batch import Kind
from streamer.pipeline.compile import fields_of
from streamer.pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule's state, and the reason where it is not active."""

    rule: str
    state: Literal["active", "warming", "inactive"]
    reason: str = ""


def rule_states(plan: Plan, statuses: Sequence[Mapping[str, Any]], *, ticks: bool) -> list[RuleState]:
    """The state of every rule, in order.

    Parameters
    ----------
    plan
        The rules.
    statuses
        What each task of the store last said of itself; empty where none ever ran.
    ticks
        Whether time is marked while nothing comes in.
    """
    seen = {field for status in statuses for field in status["seen"]}
    ready: dict[str, tuple[int, int]] = {}
    for status in statuses:
        for name, counts in status["detectors"].items():
            before = ready.get(name, (0, 0))
            ready[name] = (before[0] + counts["ready"], before[1] + status["instruments"])
    return [
        RuleState(rule.name, "inactive", "it is evaluated on ticks, and engine.ticks is off")
        if not ticks and rule.kinds == {Kind.TICK}
        else _state(plan, rule.name, rule.condition.names, seen, ready, bool(statuses))
        for rule in plan.rules
    ]


def _state(
    plan: Plan,
    rule: str,
    names: Iterable[str],
    seen: set[str],
    ready: Mapping[str, tuple[int, int]],
    has_run: bool,
) -> RuleState:
    missing = plan.inactive.get(rule)
    if missing:
        return RuleState(rule, "inactive", f"missing {', '.join(missing)}")
    if not has_run:
        return RuleState(rule, "warming", "the daemon has not consumed anything yet")
    absent = [field for field in fields_of(names, plan.detectors) if field not in seen]
    if absent:
        return RuleState(rule, "inactive", f"missing {', '.join(absent)} (no event had it so far)")
    waiting = []
    for detector in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        count, instruments = ready.get(detector, (0, 0))
        if count < instruments or not instruments:
            waiting.append(f"{detector} is ready for {count} of {instruments} instruments")
    if waiting:
        some = any(count for count, _ in ready.values())
        return RuleState(rule, "active" if some else "warming", "; ".join(waiting))
    return RuleState(rule, "active")
