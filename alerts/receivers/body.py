"""An alert's stored body, read for receivers that show it to people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.alert import over_parts
from alerts.plain_text import lines_of, one_line, shows
from alerts.receivers.receiver import Delivery
from alerts.rounding import rounded
from alerts.short_id import short_id
from alerts.subjects import subject_of, without_subject


@dataclass(frozen=True, slots=True)
class ReadableEpisode:
    """What a body says about its episode so far.

    Parameters
    ----------
    began
        Event time at which it fired, seconds since 1970 UTC.
    measure
        What the rule measures, empty where it has none; then there are no values.
    first, peak, last
        The measure when the episode fired, at its most extreme, and at the last true evaluation, for people.
    peak_at
        Event time of the peak, seconds since 1970 UTC.
    reopened
        How often it has come back after its end.
    is_said
        True when the alert's text shows the first value.
    """

    began: float
    measure: str = ""
    first: str = ""
    peak: str = ""
    last: str = ""
    peak_at: float = math.nan
    reopened: int = 0
    is_said: bool = False


@dataclass(frozen=True, slots=True)
class ReadableAlert:
    """What a receiver shows of a transition. Nothing in it breaks a line or obeys a terminal but `text`.

    Parameters
    ----------
    alert_id, number
        The episode, and the number of the transition in it.
    transition
        ``fired``, ``updated`` or ``resolved``.
    severity, rule
        As in the body.
    subject
        Venue and symbol, empty for alerts about the service.
    text
        What the rule says, without the symbol in front, which `subject` has; it may have several lines.
    over
        Why it ended, empty where that is not known.
    ts_event
        RFC 3339, to the millisecond.
    at
        The same in seconds since 1970 UTC.
    values
        What the rule names, as text, in the body's order, where `text` does not show it.
    episode
        The episode so far; None for alerts about the service, and in bodies of earlier versions.
    title
        The first line of an alert about the service that has several; `text` then has the others.
    is_of_row
        Whether an event or a timer caused this transition: not at the end of a log, or of a rule.
    new_criticals
        Of a summary: how many of those that it names are news to the receiver; None for other alerts, and
        for summaries of versions that did not count them.
    """

    alert_id: str
    number: int
    transition: str
    severity: str
    rule: str
    subject: str
    text: str
    over: str
    ts_event: str
    at: float
    values: Mapping[str, str]
    episode: ReadableEpisode | None = None
    title: str = ""
    is_of_row: bool = True
    new_criticals: int | None = None

    @property
    def short_id(self) -> str:
        """The id as people see it."""
        return short_id(self.alert_id)

    @property
    def is_over(self) -> bool:
        """Whether this is the end of its episode."""
        return self.transition == "resolved"

    @property
    def name(self) -> str:
        """Rule and subject, or the title."""
        return self.title or " ".join(part for part in (self.rule, self.subject) if part)

    @property
    def lasted_s(self) -> float | None:
        """How long the episode had lasted by this transition; None where that is not known.

        It is not known where no row ended it, nor where its times were wrong.
        """
        if self.episode is None or self.at < self.episode.began or (self.is_over and not self.is_of_row):
            return None
        return self.at - self.episode.began


def read_body(delivery: Delivery) -> ReadableAlert:
    """Read the stored body of a delivery.

    Examples
    --------
    >>> body = b'{"transition": "fired", "severity": "warning", "rule": "crossed_book", "venue": "XNAS", '
    >>> body += b'"symbol": "ACME", "ts_event": "2026-01-05T14:30:00Z", "values": {"spread_bps": -2.5123}, '
    >>> body += b'"text": "ACME: bid above ask"}'
    >>> alert = read_body(Delivery("a1", 0, "desk", body))
    >>> alert.name, alert.text, dict(alert.values)
    ('crossed_book XNAS ACME', 'Bid above ask', {'spread_bps': '-2.51'})
    """
    body: dict[str, Any] = json.loads(delivery.body)
    source = body.get("source") or {}
    subject = one_line(subject_of(body["venue"], body["symbol"]))
    said, why_over = _text_of(body)
    is_list = body.get("origin") == "service" and "\n" in said
    title, _, said = said.partition("\n") if is_list else ("", "", said)
    return ReadableAlert(
        alert_id=delivery.alert_id,
        number=delivery.number,
        transition=body["transition"],
        severity=body["severity"],
        rule=one_line(body["rule"]),
        subject=subject,
        text=said,
        over=why_over,
        ts_event=_to_milliseconds(body["ts_event"]),
        at=_seconds(body["ts_event"]),
        values=_values(body, said),
        episode=_episode(body.get("episode"), said),
        title=title.removesuffix(":"),
        is_of_row=any(source.get(name) is not None for name in ("offset", "tick")) or not source,
        new_criticals=source.get("new_criticals"),
    )


def _text_of(body: Mapping[str, Any]) -> tuple[str, str]:
    said, why_over = str(body["text"] or ""), ""
    if body["transition"] == "resolved":
        said, why_over = over_parts(said)
    lines = lines_of(said, (body["venue"], body["symbol"], *body["values"].values()))
    is_named = "symbol" in body["values"]
    plain = without_subject("\n".join(lines), one_line(body["symbol"] or ""), is_named=is_named)
    return plain, one_line(why_over)


def _values(body: Mapping[str, Any], said: str) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in body["values"].items():
        if name in ("venue", "symbol"):
            continue  # they are the subject
        if value is None or not (value == "" or shows(said, value, name=name)):
            shown[one_line(name)] = one_line(rounded(value, name=name))
    return shown


def _episode(found: Any, said: str) -> ReadableEpisode | None:
    if not isinstance(found, Mapping) or "began" not in found:
        return None
    began, reopened = _seconds(found["began"]), int(found.get("reopened") or 0)
    measure, unit = one_line(str(found.get("measure") or "")), one_line(str(found.get("unit") or ""))
    if not measure or any(found.get(name) is None for name in ("first", "peak", "last")):
        return ReadableEpisode(began, reopened=reopened)
    first, peak, last = (rounded(found[name], unit, measure) for name in ("first", "peak", "last"))
    peak_at = _seconds(found["peak_ts"]) if found.get("peak_ts") else math.nan
    is_said = shows(said, found["first"], unit, measure)
    return ReadableEpisode(began, measure, first, peak, last, peak_at, reopened, is_said)


def _seconds(time: str) -> float:
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _to_milliseconds(time: str) -> str:
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction[:3]:0<3}Z"
