"""The state of each rule: active, warming or inactive, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alerts.durations import remaining
from alerts.rules import Rule
from streamer.messages.batch import Kind
from streamer.pipeline.plan import Plan
from streamer.pipeline.rule_logs import LogFields, Unmet, logs_of, unmet
from streamer.pipeline.rule_windows import longest_s, rule_windows, windows_left


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state of one rule, and the reason if it is not fully active.

    Parameters
    ----------
    rule
        Its name.
    state
        Whether it can fire now, later, or never.
    reason
        Why not, or what it waits for.
    left_s
        While it warms: seconds of event time until its windows have passed in the log that is furthest.
    """

    rule: str
    state: Literal["active", "warming", "inactive"]
    reason: str = ""
    left_s: float = 0.0

    @property
    def shown(self) -> str:
        """The state for people.

        Examples
        --------
        >>> RuleState("spike", "warming", left_s=3_450.0).shown
        'warming, 58m left'
        """
        return f"{self.state}, {remaining(self.left_s)} left" if self.left_s else self.state


def rule_states(
    plan: Plan,
    statuses: Sequence[Mapping[str, Any]],
    *,
    timers: bool,
    sampled: Mapping[str, LogFields] | None = None,
) -> list[RuleState]:
    """The state of every rule, in order.

    Parameters
    ----------
    plan
        The rules.
    statuses
        The last status of each task in the store; empty before the first run.
    timers
        Whether timers mark the time while no records come.
    sampled
        What the newest records of each topic hold; None where nobody has looked.
    """
    seen = _Seen(_Progress.of(statuses), logs_of(statuses), dict(sampled or {}))
    return [
        RuleState(rule.name, "inactive", "it is evaluated on timers, and engine.ticks is off")
        if not timers and rule.kinds == {Kind.TIMER}
        else _state(plan, rule, seen)
        for rule in plan.rules
    ]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the daemon has seen so far, in all and by log, and what the newest records hold by topic."""

    progress: _Progress
    logs: Mapping[str, LogFields]
    sampled: Mapping[str, LogFields]


@dataclass(frozen=True, slots=True)
class _Progress:
    """What all tasks together have seen and learned.

    Outputs (`tape.score`) have the number of instruments that they are ready for, and of all instruments;
    quarantined detectors have the instrument and reason of one failure; `followed_s` is by log and feature.
    """

    has_run: bool
    outputs: Mapping[str, tuple[int, int]]
    quarantined: Mapping[str, tuple[str, str]]
    followed_s: Sequence[Mapping[str, float]]

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
        followed_s = [status["followed_s"] for status in statuses if "followed_s" in status]
        return cls(bool(statuses), outputs, quarantined, followed_s)


def _state(plan: Plan, rule: Rule, seen: _Seen) -> RuleState:
    never = _never(plan, rule, seen)
    if never is not None:
        return never
    names, progress = rule.condition.names, seen.progress
    windows = rule_windows(names, plan.detectors)
    if not progress.has_run:
        reason = "the daemon has not consumed anything yet"
        return RuleState(rule.name, "warming", reason, longest_s(windows))
    waiting, all_started = [], True
    for output in (name for name in names if "." in name):
        ready, instruments = progress.outputs.get(output, (0, 0))
        if ready < instruments or not instruments:
            waiting.append(_waiting(output, ready, instruments, progress))
            all_started = all_started and ready > 0
    left = windows_left(windows, progress.followed_s)
    reason = "; ".join(filter(None, [left.reason, *waiting]))
    can_fire = all_started and not left.seconds
    return RuleState(rule.name, "active" if can_fire else "warming", reason, left.seconds)


def _never(plan: Plan, rule: Rule, seen: _Seen) -> RuleState | None:
    """Why a rule is not evaluated, by the formats, then by what was consumed, then by the newest records."""
    missing = plan.inactive.get(rule.name)
    if missing:
        return RuleState(rule.name, "inactive", f"missing {', '.join(missing)}")
    formats = {feed.match: feed.format.provides for feed in plan.feeds}
    by_format = unmet(rule, plan.detectors, formats)
    if by_format is not None:
        return _unmet_state(rule, by_format, "")
    by_log = unmet(rule, plan.detectors, seen.logs)
    if seen.progress.has_run:
        return None if by_log is None else _unmet_state(rule, by_log, " (no event had it so far)")
    by_sample = unmet(rule, plan.detectors, seen.sampled) if seen.sampled else None
    if by_sample is None:
        return None
    if by_sample.kinds_missing:  # such as a halt: it may still come
        reason = f"nothing consumed yet; no {_listed(by_sample.missing)} among the newest records"
        windows = rule_windows(rule.condition.names, plan.detectors)
        return RuleState(rule.name, "warming", reason, longest_s(windows))
    return _unmet_state(rule, by_sample, " (in none of the newest records)")


def _unmet_state(rule: Rule, found: Unmet, where: str) -> RuleState:
    reason = found.apart or f"missing {', '.join(found.missing)}{where}"
    return RuleState(rule.name, "inactive", reason)


def _listed(missing: Sequence[str]) -> str:
    return ", ".join(part.removesuffix(" events") for part in missing)


def _waiting(output: str, ready: int, instruments: int, progress: _Progress) -> str:
    failure = progress.quarantined.get(output.partition(".")[0])
    reason = "" if failure is None else f" (quarantined for {failure[0]}: {failure[1]})"
    return f"{output.removesuffix('.score')} is ready for {ready} of {instruments} instruments{reason}"
