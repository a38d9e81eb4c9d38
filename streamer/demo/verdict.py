"""Compares the planted anomalies with the alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator import Anomaly, rules_for

_GRACE_NS = 90 * NS_PER_SECOND  # alerts count for an anomaly until this long after its end
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FiredAlert:
    """An alert that fired."""

    rule: str
    symbol: str
    ts_ns: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> FiredAlert:
        """The alert of an alert body."""
        return cls(body["rule"], body["symbol"], body["ts_event_ns"])


@dataclass(frozen=True, slots=True)
class AnomalyResult:
    """One planted anomaly, and the alerts on it.

    Parameters
    ----------
    anomaly
        What was planted.
    caught_by
        The first alert of a rule that should detect it, None if there was none.
    also_fired
        Other rules that fired on it.
    """

    anomaly: Anomaly
    caught_by: FiredAlert | None
    also_fired: tuple[str, ...]

    @property
    def delay_s(self) -> float | None:
        """Seconds of event time from the anomaly's start to the alert."""
        return (
            None if self.caught_by is None else (self.caught_by.ts_ns - self.anomaly.start_ns) / NS_PER_SECOND
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a run.

    Parameters
    ----------
    results
        Every planted anomaly, by start time.
    false_alarms
        Alerts that no planted anomaly explains.
    symbol_days
        Instruments times simulated days of 24 hours.
    """

    results: tuple[AnomalyResult, ...]
    false_alarms: tuple[FiredAlert, ...]
    symbol_days: float

    @property
    def kinds(self) -> Mapping[str, tuple[int, int]]:
        """By kind: how many were caught, and how many were planted."""
        counts: dict[str, tuple[int, int]] = {}
        for each in self.results:
            caught, planted = counts.get(each.anomaly.kind, (0, 0))
            counts[each.anomaly.kind] = (caught + (each.caught_by is not None), planted + 1)
        return counts

    @property
    def false_alarms_per_symbol_day(self) -> float:
        """False alarms per instrument and simulated day."""
        return len(self.false_alarms) / self.symbol_days


def judge(planted: Sequence[Anomaly], alerts: Iterable[FiredAlert], symbols: int, seconds: float) -> Verdict:
    """Compare alerts with the planted anomalies.

    An anomaly is caught by the first alert of one of its rules on its instrument, from its start to 90 s
    after its end. It also explains alerts of other rules in that time; all others are false alarms.

    Parameters
    ----------
    planted
        The planted anomalies.
    alerts
        All alerts, in any order.
    symbols, seconds
        How many instruments ran, and for how long.

    Examples
    --------
    >>> truth = [Anomaly("fat_finger", "X", 10 * NS_PER_SECOND, 10 * NS_PER_SECOND)]
    >>> alerts = [FiredAlert("fat_finger", symbol, 12 * NS_PER_SECOND) for symbol in ("X", "Y")]
    >>> verdict = judge(truth, alerts, 2, 43_200.0)
    >>> verdict.results[0].delay_s, verdict.false_alarms_per_symbol_day
    (2.0, 1.0)
    """
    in_order = sorted(alerts, key=lambda alert: (alert.ts_ns, alert.symbol, alert.rule))
    explained: set[FiredAlert] = set()
    results = []
    for anomaly in planted:
        near = [alert for alert in in_order if _explains(anomaly, alert)]
        explained.update(near)
        caught_by = next((alert for alert in near if alert.rule in rules_for(anomaly)), None)
        others = {alert.rule for alert in near} - set(rules_for(anomaly))
        results.append(AnomalyResult(anomaly, caught_by, tuple(sorted(others))))
    false_alarms = tuple(alert for alert in in_order if alert not in explained)
    return Verdict(tuple(results), false_alarms, symbols * seconds / _DAY_S)


def _explains(anomaly: Anomaly, alert: FiredAlert) -> bool:
    within = anomaly.start_ns <= alert.ts_ns <= anomaly.end_ns + _GRACE_NS
    return within and alert.symbol == anomaly.symbol
