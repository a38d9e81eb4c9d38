"""How often each rule has fired, and for how long it could have fired."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.durations import lasting
from alerts.language.rarity_rates import RarityRate, rarity_rates
from alerts.rules import Rule
from detectors.calibration import Calibrator
from detectors.detector import Detector
from detectors.features import parse_feature
from streamer.messages.outcome import Transition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.plan import Plan

_DAY_S = 86_400.0
_NS = float(NS_PER_SECOND)

NOTHING_COUNTED: Mapping[str, Any] = {"passed_ns": 0, "rules": {}}
"""The document of a task without counts."""


class Rates:
    """Alerts by rule in one task, and the time they are related to.

    For a rule that is the event time since it was added, where a silence counts for an hour at most; for a
    detector the total time of its instruments with rarities. What a watermark that was wrong had counted is
    taken back when it is set back, an hour at most, too: else every lie would add an hour.

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
        self.passed_ns = 0
        """Event time that has passed; `ClockGuard` counts it."""
        self._fired = {rule.name: 0 for rule in plan.rules}
        self._features = {name: parse_feature(name).spec for name in plan.features}
        self._features_since = dict.fromkeys(self._features.values(), 0)
        self._since: dict[str, tuple[int, dict[str, float]]] = {}
        self._begin(plan.rules)

    @property
    def counted_from_ns(self) -> int:
        """What had passed when the newest rule was added: a clock that is set back leaves so much."""
        return max((since_ns for since_ns, _ in self._since.values()), default=0)

    def count(self, transitions: Iterable[Transition]) -> None:
        """Count alerts that fired."""
        for each in transitions:
            if each.transition == "fired" and each.rule in self._fired:
                self._fired[each.rule] += 1

    def document(self) -> dict[str, Any]:
        """The counts as JSON values."""
        rules = {self._keys[name]: [self._fired[name], *self._since[name]] for name in self._fired}
        return {"passed_ns": self.passed_ns, "rules": rules, "features": dict(self._features_since)}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Continue from a document; rules that are new, changed, or on other detectors start at 0.

        So do features; a document from before they were counted says nothing, and then they count as old.
        """
        self.passed_ns = int(document["passed_ns"])
        followed = document.get("features")
        for spec in self._features_since:
            new = 0 if followed is None else self.passed_ns
            self._features_since[spec] = int((followed or {}).get(spec, new))
        counts = document["rules"]
        self._begin(rule for rule in self._rules if self._keys[rule.name] not in counts)
        for name, key in self._keys.items():
            if key in counts:
                fired, since_ns, instrument_s = counts[key]
                self._fired[name], self._since[name] = int(fired), (int(since_ns), dict(instrument_s))

    def status(self) -> dict[str, Any]:
        """By rule: its version, alerts, seconds watched, and instrument-seconds by detector."""
        return {
            rule.name: {
                "version": rule.version,
                "fired": self._fired[rule.name],
                "watched_s": (self.passed_ns - self._since[rule.name][0]) / _NS,
                "lived_s": {
                    name: max(self._calibrators[name].watched_s() - since, 0.0)  # a lie may be taken back
                    for name, since in self._since[rule.name][1].items()
                },
            }
            for rule in self._rules
        }

    def followed_s(self) -> dict[str, float]:
        """By feature, seconds of event time since it has been computed."""
        return {
            name: max(self.passed_ns - self._features_since[spec], 0) / _NS
            for name, spec in self._features.items()
        }

    def _begin(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            requested = rarity_rates(rule.condition.predicate)
            instrument_s = {rate.detector: self._calibrators[rate.detector].watched_s() for rate in requested}
            self._since[rule.name] = self.passed_ns, instrument_s


@dataclass(frozen=True, slots=True)
class RuleRate:
    """How often a rule fired over all tasks, and how often its rarities request it to.

    Parameters
    ----------
    rule
        Its name.
    fired
        Number of alerts.
    watched_s
        Seconds of event time in which it could have fired.
    requested
        The rates that its condition requests; empty if it names no rarity.
    instrument_s
        Total seconds of the instruments with rarities, by detector in `requested`.
    """

    rule: str
    fired: int
    watched_s: float
    requested: tuple[RarityRate, ...]
    instrument_s: Mapping[str, float]

    @property
    def expected(self) -> float:
        """The maximum number of alerts requested for that time."""
        return sum(self.instrument_s.get(rate.detector, 0.0) / rate.seconds for rate in self.requested)

    @property
    def instrument_days(self) -> float:
        """Instrument-days with rarities, of the detector that has most."""
        instrument_s = (self.instrument_s.get(rate.detector, 0.0) for rate in self.requested)
        return max(instrument_s, default=0.0) / _DAY_S

    @property
    def requested_per_day(self) -> float:
        """The maximum number of alerts requested per instrument and day."""
        return sum(_DAY_S / rate.seconds for rate in self.requested)

    @property
    def per_day(self) -> float | None:
        """Alerts per day, for a rule on a rarity per instrument and day.

        None before a whole day has passed: what came in some minutes says nothing about a day.
        """
        return self.fired / self._days if self._days >= 1 else None

    @property
    def ratio(self) -> float | None:
        """Alerts over those requested at most; None before a whole day has passed, and without a request."""
        return self.fired / self.expected if self._days >= 1 and self.expected > 0 else None

    @property
    def so_far(self) -> str:
        """Alerts and the time they came in, in words, and their rate once a day has passed.

        Examples
        --------
        >>> RuleRate("spike", 2, 288.0, (), {}).so_far, RuleRate("spike", 40, 181_440.0, (), {}).so_far
        ('2 in 4m48s', '40 in 2d2h, 19 a day')
        """
        each = " each" if self.requested else ""
        of = " of instruments" if self.requested else ""
        rate = "" if self.per_day is None else f", {_figure(self.per_day)} a day{each}"
        return f"{self.fired:,} in {lasting(self._days * _DAY_S).replace(' ', '')}{of}{rate}"

    @property
    def asked_for(self) -> str:
        """The rate that its rarities request, in words; empty without one."""
        return f"{_figure(self.requested_per_day)} a day each" if self.requested else ""

    @property
    def _days(self) -> float:
        return self.instrument_days if self.requested else self.watched_s / _DAY_S


def rule_rates(plan: Plan, statuses: Sequence[Mapping[str, Any]]) -> list[RuleRate]:
    """The rates of every rule that a task has counts of, in order.

    Parameters
    ----------
    plan
        The rules; counts of other versions of a rule are ignored.
    statuses
        The last status of each task in the store.
    """
    rates = []
    for rule in plan.rules:
        all_counts = [status.get("rates", {}).get(rule.name) for status in statuses]
        counts = [each for each in all_counts if each and each["version"] == rule.version]
        if not counts:
            continue
        requested = rarity_rates(rule.condition.predicate)
        instrument_s = {
            rate.detector: sum(each["lived_s"].get(rate.detector, 0.0) for each in counts)
            for rate in requested
        }
        fired, watched_s = sum(each["fired"] for each in counts), max(each["watched_s"] for each in counts)
        rates.append(RuleRate(rule.name, fired, watched_s, requested, instrument_s))
    return rates


def _figure(number: float) -> str:
    """Two significant digits, or all those before the decimal point."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _key(rule: Rule, versions: Mapping[str, str]) -> str:
    requested = rarity_rates(rule.condition.predicate)
    detectors = [f"{rate.detector}:{versions[rate.detector]}" for rate in requested]
    return "|".join([f"{rule.name}:{rule.version}", *detectors])
