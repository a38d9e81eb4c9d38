"""How often each rule has fired, and for how long it could have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.language.rarity_rates import Asked, asked_rates
from alerts.rules import Rule
from detectors.calibration import Calibrator
from detectors.detector import Detector
from streamer.messages.outcome import Transition
from streamer.messages.records import NO_TIME
from streamer.pipeline.plan import Plan

_LONGEST_GAP_NS = 3_600_000_000_000  # nobody can say what was missed in a longer silence
_DAY_S = 86_400.0
_NS = 1e9

NOTHING_COUNTED: Mapping[str, Any] = {"passed_ns": 0, "rules": {}}
"""The document of a task that has not counted anything."""


class Rates:
    """Counts of one task: alerts by rule, and time.

    Time is event time from a rule's first event on, a silence counting for an hour at most; of a detector,
    the time of its instruments with rarities, added up.

    Parameters
    ----------
    plan, detectors, calibrators
        The task's.
    """

    def __init__(self, plan: Plan, detectors: Sequence[Detector], calibrators: Sequence[Calibrator]) -> None:
        self._rules = plan.rules
        self._calibrators = {
            detector.name: calibrator for detector, calibrator in zip(detectors, calibrators, strict=True)
        }
        versions = {
            detector.name: f"{detector.version}:{calibrator.spec}"
            for detector, calibrator in zip(detectors, calibrators, strict=True)
        }
        self._keys = {rule.name: _key(rule, versions) for rule in plan.rules}
        self._passed_ns = 0
        self._fired = {rule.name: 0 for rule in plan.rules}
        self._since: dict[str, tuple[int, dict[str, float]]] = {}
        self._begin(plan.rules)

    def pass_time(self, before: int, after: int, ts: NDArray[np.int64]) -> None:
        """Let time pass with events that were let in.

        Parameters
        ----------
        before, after
            The watermark before and after them, ns.
        ts
            int64[n], ns, in arrival order.
        """
        if not len(ts):
            return
        before = int(ts[0]) if before == NO_TIME else before
        passed = after - before
        if passed > _LONGEST_GAP_NS:
            marks = np.maximum.accumulate(np.concatenate(([before], ts)))
            passed = int(np.minimum(np.diff(marks), _LONGEST_GAP_NS).sum())
        self._passed_ns += passed

    def count(self, transitions: Iterable[Transition]) -> None:
        """Count those that fired."""
        for each in transitions:
            if each.transition == "fired" and each.rule in self._fired:
                self._fired[each.rule] += 1

    def document(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        rules = {self._keys[name]: [self._fired[name], *self._since[name]] for name in self._fired}
        return {"passed_ns": self._passed_ns, "rules": rules}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Go on from a document; rules that it does not have, or not on the same detectors, begin now."""
        self._passed_ns = int(document["passed_ns"])
        kept = document["rules"]
        self._begin(rule for rule in self._rules if self._keys[rule.name] not in kept)
        for name, key in self._keys.items():
            if key in kept:
                fired, since_ns, lived = kept[key]
                self._fired[name], self._since[name] = int(fired), (int(since_ns), dict(lived))

    def status(self) -> dict[str, Any]:
        """By rule: its version, alerts, seconds watched, and seconds of instruments by detector."""
        return {
            rule.name: {
                "version": rule.version,
                "fired": self._fired[rule.name],
                "watched_s": (self._passed_ns - self._since[rule.name][0]) / _NS,
                "lived_s": {
                    name: self._calibrators[name].watched_s() - since
                    for name, since in self._since[rule.name][1].items()
                },
            }
            for rule in self._rules
        }

    def _begin(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            asked = asked_rates(rule.condition.predicate)
            lived = {rate.detector: self._calibrators[rate.detector].watched_s() for rate in asked}
            self._since[rule.name] = self._passed_ns, lived


@dataclass(frozen=True, slots=True)
class RuleRate:
    """How often a rule fired over all tasks, against how often it was asked to.

    Parameters
    ----------
    rule
        Its name.
    fired
        Alerts.
    watched_s
        Seconds of event time in which it could have.
    asked
        What its condition asks for, empty for one that names no rarity.
    lived_s
        Seconds of instruments with rarities, by detector that `asked` names.
    """

    rule: str
    fired: int
    watched_s: float
    asked: tuple[Asked, ...]
    lived_s: Mapping[str, float]

    @property
    def due(self) -> float:
        """How many alerts were asked for, at most, in that time."""
        return sum(self.lived_s.get(rate.detector, 0.0) / rate.seconds for rate in self.asked)

    @property
    def instrument_days(self) -> float:
        """Days of instruments in which rarities could have asked for it."""
        return max((self.lived_s.get(rate.detector, 0.0) for rate in self.asked), default=0.0) / _DAY_S

    @property
    def asked_a_day(self) -> float:
        """Alerts a day and instrument that were asked for, at most."""
        return sum(_DAY_S / rate.seconds for rate in self.asked)

    @property
    def a_day(self) -> float | None:
        """Alerts a day: for each instrument where a rarity was asked for; None while no time has passed."""
        days = self.instrument_days if self.asked else self.watched_s / _DAY_S
        return self.fired / days if days > 0 else None


def rule_rates(plan: Plan, statuses: Sequence[Mapping[str, Any]]) -> list[RuleRate]:
    """The rates of every rule that a task has something to say of, in order.

    Parameters
    ----------
    plan
        The rules; what was counted for another version of one is left.
    statuses
        What each task of the store last said of itself.
    """
    found = []
    for rule in plan.rules:
        said = [status.get("rates", {}).get(rule.name) for status in statuses]
        counted = [each for each in said if each and each["version"] == rule.version]
        if not counted:
            continue
        asked = asked_rates(rule.condition.predicate)
        lived = {
            rate.detector: sum(each["lived_s"].get(rate.detector, 0.0) for each in counted) for rate in asked
        }
        watched_s = max(each["watched_s"] for each in counted)
        found.append(RuleRate(rule.name, sum(each["fired"] for each in counted), watched_s, asked, lived))
    return found


def _key(rule: Rule, versions: Mapping[str, str]) -> str:
    asked = asked_rates(rule.condition.predicate)
    named = [f"{rate.detector}:{versions[rate.detector]}" for rate in asked]
    return "|".join([f"{rule.name}:{rule.version}", *named])
