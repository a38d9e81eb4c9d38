"""The state of each rule: active, warming or inactive, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alerts.rules import Rule
from streamer.messages.batch import Kind
from streamer.pipeline.compile import fields_of
from streamer.pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state of one rule, and the reason if it is not fully active."""

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
        The last status of each task in the store; empty before the first run.
    timers
        Whether timers mark the time while no records come.
    """
    progress = _Progress.of(statuses)
    return [
        RuleState(rule.name, "inactive", "it is evaluated on timers, and engine.ticks is off")
        if not timers and rule.kinds == {Kind.TIMER}
        else _state(plan, rule, progress)
        for rule in plan.rules
    ]


@dataclass(frozen=True, slots=True)
class _Progress:
    """What all tasks together have seen and learned.

    Outputs (`tape.score`) have the number of instruments that they are ready for, and of all instruments;
    quarantined detectors have the instrument and reason of one failure.
    """

    has_run: bool
    fields_seen: frozenset[str]
    outputs: Mapping[str, tuple[int, int]]
    quarantined: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, statuses: Sequence[Mapping[str, Any]]) -> _Progress:
        outputs: dict[str, tuple[int, int]] = {}
        quarantined: dict[str, tuple[str, str]] = {}
        for status in statuses:
            for name, reasons in status.get("quarantined", {}).items():
                quarantined.setdefault(name, next(iter(reasons.items())))
            counts = {f"{name}.score": count["ready"] for name, count in status["detectors"].items()}
            # statuses of older versions have no rarities
            counts |= {f"{name}.rarity": count for name, count in status.get("rarities", {}).items()}
            for name, count in counts.items():
                ready, instruments = outputs.get(name, (0, 0))
                outputs[name] = (ready + count, instruments + status["instruments"])
        fields_seen = frozenset(field for status in statuses for field in status["seen"])
        return cls(bool(statuses), fields_seen, outputs, quarantined)


def _state(plan: Plan, rule: Rule, progress: _Progress) -> RuleState:
    names = rule.condition.names
    missing = plan.inactive.get(rule.name)
    if missing:
        return RuleState(rule.name, "inactive", f"missing {', '.join(missing)}")
    if not progress.has_run:
        return RuleState(rule.name, "warming", "the daemon has not consumed anything yet")
    absent = [field for field in fields_of(names, plan.detectors) if field not in progress.fields_seen]
    if absent:
        return RuleState(rule.name, "inactive", f"missing {', '.join(absent)} (no event had it so far)")
    waiting, all_started = [], True
    for output in (name for name in names if "." in name):
        ready, instruments = progress.outputs.get(output, (0, 0))
        if ready < instruments or not instruments:
            waiting.append(_waiting(output, ready, instruments, progress))
            all_started = all_started and ready > 0
    if waiting:
        return RuleState(rule.name, "active" if all_started else "warming", "; ".join(waiting))
    return RuleState(rule.name, "active")


def _waiting(output: str, ready: int, instruments: int, progress: _Progress) -> str:
    failure = progress.quarantined.get(output.partition(".")[0])
    reason = "" if failure is None else f" (quarantined for {failure[0]}: {failure[1]})"
    return f"{output.removesuffix('.score')} is ready for {ready} of {instruments} instruments{reason}"
