"""The alert as it is stored and sent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from alerts.durations import NS_PER_SECOND
from alerts.severity import Severity

_SOURCE_ORDER = ("log", "topic", "partition", "offset", "index", "tick")
_OVER = " (over: "


def rfc3339(ns: int) -> str:
    """A time in ns since 1970 UTC as RFC 3339 writes it, with all nine digits.

    Examples
    --------
    >>> rfc3339(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456789Z'
    """
    seconds, rest = divmod(ns, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def log_source(
    topic: str, partition: int, offset: int | None = None, index: int | None = None
) -> dict[str, str | int | None]:
    """The `source` of an alert about a partition; offset and index are those of an event, where it is one."""
    return {"topic": topic, "partition": partition, "offset": offset, "index": index}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Which rule raises an alert, and under which configuration.

    Parameters
    ----------
    name, version
        The rule, and a hash of what it says.
    severity
        How much it matters now.
    config_hash
        Of the configuration it was detected under.
    detector, model_version
        The detector that the rule names first, and its version; None without one.
    """

    name: str
    version: str
    severity: Severity
    config_hash: str
    detector: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an alert reports: when and where it was seen, and in which words.

    Parameters
    ----------
    ts_event_ns, source, text, episode
        As in the alert.
    venue, symbol
        The instrument, None where it is not about one.
    values
        What the rule names, as it was on that row.
    score, rarity_s
        Of the rule's detector on that row.
    """

    ts_event_ns: int
    source: Mapping[str, str | int | None]
    text: str
    venue: str | None = None
    symbol: str | None = None
    values: Mapping[str, float | str | None] = field(default_factory=dict)
    score: float | None = None
    rarity_s: float | None = None
    episode: Mapping[str, float | str | None] | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One transition of one alert.

    Parameters
    ----------
    id
        The alert's id: the same for all its transitions, and whenever it is derived again.
    origin
        ``detect``, or ``service`` for one that the service raises about itself.
    transition
        ``fired``, ``updated`` or ``resolved``.
    number
        The transition's number within the alert: 0 for ``fired``.
    rule, rule_version
        The rule, and a hash of what it says.
    severity
        How much it matters now.
    venue, symbol
        The instrument, None where it is not about one.
    ts_event_ns
        Event time of the row behind the transition, ns since 1970 UTC; in JSON also as RFC 3339.
    source
        Where that row came from: topic (or file), partition, offset, and index within the record;
        for a timer its number.
    values
        What the rule names, as it was on that row; None where it was missing.
    detector, score, model_version
        The detector the rule names first, what it said, and which it was; None without one.
    rarity_s
        How rare such a score is: it comes once in so many seconds; None while that is not known.
    config_hash
        Of the configuration it was detected under.
    text
        What it says to people: on an update what woke the reader, unless it has become worse since.
    episode
        What the episode has been: when it `began`; its `measure` and the `unit` of that, its `first` value,
        the `peak` (the worst) with its time `peak_ts`, and the `last` with which its comparison was true;
        which is `worse` where that is not the highest: the ``lowest``, or the ``farthest``; how often it has
        `reopened`, if it has. Rules without a comparison of numbers have no measure. None for
        alerts about the service, drifts, and those of versions that did not keep it.

    Examples
    --------
    >>> seen = Observation(
    ...     ts_event_ns=1_700_000_000_000_000_000, source=log_source("spot", 0, 7, 0), text="big",
    ...     venue="binance", symbol="BTCUSDT", values={"size": 512.0},
    ... )
    >>> alert = Alert.detected("0a", "fired", 0, AlertRule("fat_finger", "1f", "critical", "c0"), seen)
    >>> Alert.from_json(alert.to_json()) == alert
    True
    >>> alert.resolved("the task has ended").text
    'big (over: the task has ended)'
    """

    id: str
    origin: Literal["detect", "service"]
    transition: str
    number: int
    rule: str
    rule_version: str
    severity: Severity
    venue: str | None
    symbol: str | None
    ts_event_ns: int
    source: Mapping[str, str | int | None]
    values: Mapping[str, float | str | None]
    detector: str | None
    score: float | None
    rarity_s: float | None
    model_version: str | None
    config_hash: str
    text: str
    episode: Mapping[str, float | str | None] | None = None

    @classmethod
    def detected(
        cls, alert_id: str, transition: str, number: int, rule: AlertRule, seen: Observation
    ) -> Alert:
        """A transition that detection has derived."""
        return cls(
            id=alert_id,
            origin="detect",
            transition=transition,
            number=number,
            rule=rule.name,
            rule_version=rule.version,
            severity=rule.severity,
            venue=seen.venue,
            symbol=seen.symbol,
            ts_event_ns=seen.ts_event_ns,
            source=seen.source,
            values=seen.values,
            detector=rule.detector,
            score=seen.score,
            rarity_s=seen.rarity_s,
            model_version=rule.model_version,
            config_hash=rule.config_hash,
            text=seen.text,
            episode=seen.episode,
        )

    @classmethod
    def about_service(cls, alert_id: str, rule: AlertRule, seen: Observation) -> Alert:
        """An alert that the service raises about itself: it fires, and nothing resolves it."""
        return replace(cls.detected(alert_id, "fired", 0, rule, seen), origin="service")

    def resolved(self, why: str, at_ns: int | None = None) -> Alert:
        """The end of this alert without a row that ended it: the transition that follows this one.

        Parameters
        ----------
        why
            The reason, for people.
        at_ns
            The newest time that is known of its log, ns; None for that of this alert.
        """
        nowhere = {**self.source, "offset": None, "index": None, "tick": None}
        return replace(
            self,
            transition="resolved",
            number=self.number + 1,
            ts_event_ns=self.ts_event_ns if at_ns is None else max(at_ns, self.ts_event_ns),
            source={"log": self.source["log"]} if "log" in self.source else nowhere,
            values={},
            score=None,
            rarity_s=None,
            text=over(self.text, why),
        )

    @property
    def ts_event(self) -> str:
        """`ts_event_ns` as RFC 3339."""
        return rfc3339(self.ts_event_ns)

    def to_json(self) -> bytes:
        """The alert as one line of JSON, the same bytes for the same alert.

        Keys stand in the order of the parameters, those of `values` in alphabetical order; `episode` is
        absent where there is none. Numbers have the fewest digits that give them back; what is not finite is
        null. The text is UTF-8, with a question mark for half a surrogate pair, which has no UTF-8.
        """
        body: dict[str, Any] = {}
        for each in fields(self):
            body[each.name] = _finite(getattr(self, each.name))
            if each.name == "ts_event_ns":
                body["ts_event"] = self.ts_event
        known = [key for key in _SOURCE_ORDER if key in self.source]
        others = sorted(key for key in self.source if key not in _SOURCE_ORDER)
        body["source"] = {key: _finite(self.source[key]) for key in (*known, *others)}
        body["values"] = {key: _finite(self.values[key]) for key in sorted(self.values)}
        if self.episode is None:
            del body["episode"]
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")

    @classmethod
    def from_json(cls, body: bytes) -> Alert:
        """Read an alert from such a line.

        Raises
        ------
        ValueError
            When the line is not an alert.
        """
        read = json.loads(body)
        names = [each.name for each in fields(cls) if each.name != "episode"]
        missing = [name for name in names if name not in read] if isinstance(read, dict) else ["everything"]
        if missing:
            raise ValueError(f"not an alert: {', '.join(missing)} missing")
        return cls(**{name: read[name] for name in names}, episode=read.get("episode"))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def over(said: str, why: str) -> str:
    """The text of a resolved alert: its last text, so that it can be understood alone, and why it ended.

    Examples
    --------
    >>> over("BTCUSDT moved +26.6 bps in 10 s", "not true for 60s")
    'BTCUSDT moved +26.6 bps in 10 s (over: not true for 60s)'
    """
    return f"{said}{_OVER}{why})"


def over_parts(text: str) -> tuple[str, str]:
    """What `over` has joined: what was said, and why it ended; nothing there where no reason is given.

    Examples
    --------
    >>> over_parts(over("BTCUSDT moved +26.6 bps in 10 s", "not true for 60s"))
    ('BTCUSDT moved +26.6 bps in 10 s', 'not true for 60s')
    """
    said, mark, why = text.rpartition(_OVER)
    return (said, why[:-1]) if mark and why.endswith(")") else (text, "")
