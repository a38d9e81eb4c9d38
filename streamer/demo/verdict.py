"""What was planted against what was alerted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator import Anomaly, rules_for

_GRACE_NS = (
    90 * NS_PER_SECOND
)  # what an anomaly stirs up may be found, and settle, for so long behind its end
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert as it fired."""

    rule: str
    symbol: str
    ts_ns: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Fired:
        """The alert with this body."""
        return cls(body["rule"], body["symbol"], body["ts_event_ns"])


@dataclass(frozen=True, slots=True)
class Catch:
    """One planted anomaly, and what was said of it.

    Parameters
    ----------
    anomaly
        What was planted.
    by
        The first alert of a rule that ought to find it, None where there was none.
    also
        Other rules that fired on it.
    """

    anomaly: Anomaly
    by: Fired | None
    also: tuple[str, ...]

    @property
    def delay_s(self) -> float | None:
        """Event time from its first sign to the alert, in seconds."""
        return None if self.by is None else (self.by.ts_ns - self.anomaly.start_ns) / NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run did.

    Parameters
    ----------
    found
        Every planted anomaly, in the order they began.
    false_alarms
        Alerts that no planted anomaly explains.
    symbol_days
        Instruments times simulated days of 24 hours.
    """

    found: tuple[Catch, ...]
    false_alarms: tuple[Fired, ...]
    symbol_days: float

    @property
    def kinds(self) -> Mapping[str, tuple[int, int]]:
        """By kind: how many were caught, of how many planted."""
        counts: dict[str, tuple[int, int]] = {}
        for each in self.found:
            caught, planted = counts.get(each.anomaly.kind, (0, 0))
            counts[each.anomaly.kind] = (caught + (each.by is not None), planted + 1)
        return counts

    @property
    def false_alarms_per_symbol_day(self) -> float:
        """What an instrument costs a day for nothing."""
        return len(self.false_alarms) / self.symbol_days


def judge(planted: Sequence[Anomaly], fired: Iterable[Fired], symbols: int, seconds: float) -> Verdict:
    """Hold alerts against the truth.

    An anomaly is caught by the first alert of one of its own rules on its instrument, from its beginning to
    90 s behind its end. Alerts of other rules in that time are its doing too, and no false alarms; every
    alert outside is one.

    Parameters
    ----------
    planted
        The truth.
    fired
        All alerts, in any order.
    symbols, seconds
        How many instruments ran for how long.

    Examples
    --------
    >>> truth = [Anomaly("fat_finger", "X", 10 * NS_PER_SECOND, 10 * NS_PER_SECOND)]
    >>> alerts = [Fired("fat_finger", "X", 12 * NS_PER_SECOND), Fired("fat_finger", "Y", 12 * NS_PER_SECOND)]
    >>> verdict = judge(truth, alerts, 2, 43_200.0)
    >>> verdict.found[0].delay_s, verdict.false_alarms_per_symbol_day
    (2.0, 1.0)
    """
    alerts = sorted(fired, key=lambda alert: (alert.ts_ns, alert.symbol, alert.rule))
    explained: set[Fired] = set()
    found = []
    for anomaly in planted:
        near = [alert for alert in alerts if _explains(anomaly, alert)]
        explained.update(near)
        by = next((alert for alert in near if alert.rule in rules_for(anomaly)), None)
        others = {alert.rule for alert in near} - set(rules_for(anomaly))
        found.append(Catch(anomaly, by, tuple(sorted(others))))
    false_alarms = tuple(alert for alert in alerts if alert not in explained)
    return Verdict(tuple(found), false_alarms, symbols * seconds / _DAY_S)


def _explains(anomaly: Anomaly, alert: Fired) -> bool:
    within = anomaly.start_ns <= alert.ts_ns <= anomaly.end_ns + _GRACE_NS
    return within and alert.symbol == anomaly.symbol
