"""What state each rule is in: active, warming or inactive, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from streamer.messages.batch import Kind
from streamer.pipeline.compile import fields_of
from streamer.pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule's state, and the reason where it is not active."""

    rule: str
    state: Literal["active", "warming", "inactive"]
    reason: str = ""


def rule_states(plan: Plan, statuses: Sequence[Mapping[str, Any]], *, timers: bool) -> list[RuleState]:
    """The state of every rule, in order.

    Parameters
    ----------
    plan
        The rules.
    statuses
        What each task of the store last said of itself; empty where none ever ran.
    timers
        Whether time is marked while nothing comes in.
    """
    seen = {field for status in statuses for field in status["seen"]}
    ready: dict[str, tuple[int, int]] = {}
    broken: dict[str, tuple[str, str]] = {}
    for status in statuses:
        for name, reasons in status.get("quarantined", {}).items():
            broken.setdefault(name, next(iter(reasons.items())))
        outputs = {f"{name}.score": counts["ready"] for name, counts in status["detectors"].items()}
        # a status written by an older version says nothing of rarities: none is there
        outputs |= {f"{name}.rarity": count for name, count in status.get("rarities", {}).items()}
        for name, count in outputs.items():
            before = ready.get(name, (0, 0))
            ready[name] = (before[0] + count, before[1] + status["instruments"])
    return [
        RuleState(rule.name, "inactive", "it is evaluated on timers, and engine.ticks is off")
        if not timers and rule.kinds == {Kind.TIMER}
        else _state(plan, rule.name, rule.condition.names, seen, ready, broken, bool(statuses))
        for rule in plan.rules
    ]


def _state(
    plan: Plan,
    rule: str,
    names: Iterable[str],
    seen: set[str],
    ready: Mapping[str, tuple[int, int]],
    broken: Mapping[str, tuple[str, str]],
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
    waiting, some = [], True
    for output in (name for name in names if "." in name):
        count, instruments = ready.get(output, (0, 0))
        if count < instruments or not instruments:
            detector = output.partition(".")[0]
            why = "{}: {}".format(*broken[detector]) if detector in broken else ""
            why = f" (quarantined for {why})" if why else ""
            subject = output.removesuffix(".score")
            waiting.append(f"{subject} is ready for {count} of {instruments} instruments{why}")
            some = some and count > 0
    if waiting:
        return RuleState(rule, "active" if some else "warming", "; ".join(waiting))
    return RuleState(rule, "active")
