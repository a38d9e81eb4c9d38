"""One episode as Slack gets it, from its beginning to its end, and the summary of a minute with too many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.message import SlackMessage, called, message, reply, rise
from alerts.rule_settings import RulesSettings

OPENS = datetime(2026, 1, 5, 14, 30, tzinfo=UTC).timestamp()
RULE = RulesSettings.model_validate({"extends": ["crypto"]}).enabled["price_spike"]
STORM = [
    ("BTCUSDT", "moved -312.4 bps in 10 s"),
    ("ETHUSDT", "moved -288.0 bps in 10 s"),
    ("SOLUSDT", "moved -451.9 bps in 10 s"),
    ("XRPUSDT", "moved -236.7 bps in 10 s"),
]


@dataclass(frozen=True)
class Situation:
    """A message, the body it was made from, and how the channel shows it."""

    name: str
    sent: SlackMessage
    body: Mapping[str, Any]
    kind: str = "message"
    note: str = ""


def situations() -> list[Situation]:
    """Fired, updated, escalated, resolved, and a summary."""
    fired = _delivery(0, "warning", _episode(0, (-31.0, 0), -31.0), None)
    updated = _delivery(1, "warning", _episode(30, (-74.6, 12), -48.2), "warning")
    risen = _delivery(2, "critical", _episode(41, (-212.3, 41), -212.3), "warning")
    over = _delivery(3, "critical", _episode(152, (-212.3, 41), -41.7), "critical", is_over=True)
    summary = _summary()
    return [
        Situation("It begins", message(fired), _body(fired)),
        Situation("Updated: the same message, edited", message(updated), _body(updated)),
        Situation(
            "It becomes critical: edited, and a reply that the channel shows too",
            rise(risen, called(risen, ["<!here>"])),
            _body(risen),
            note="replied to a thread: ⚠️ WARNING price_spike binance BTCUSDT",
        ),
        Situation("It is over: edited, and a reply in the thread", message(over), _body(over)),
        Situation("", reply(over), _body(over), "reply"),
        Situation("More than the channel takes", message(summary), _body(summary)),
    ]


def announced() -> list[str]:
    """What a phone is told: of a beginning, a rise, an end and a summary; edits notify nobody."""
    texts = [each.sent.text for each in situations()]
    return [texts[0], texts[2], texts[4], texts[5]]


def _episode(after: int, peak: tuple[float, int], last: float) -> dict[str, Any]:
    return {
        "began": _time(0),
        "measure": "return_bps_10s",
        "unit": "bps",
        "first": -31.0,
        "peak": peak[0],
        "peak_ts": _time(peak[1]),
        "last": last,
        "seen": _time(after),
    }


def _delivery(
    number: int, severity: str, episode: dict[str, Any], told: str | None, *, is_over: bool = False
) -> Delivery:
    moved = episode["peak"]
    usual = moved / 3.9
    text = f"BTCUSDT moved {moved:+.1f} bps in 10 s, {usual:+.1f} of its usual deviations"
    body = {
        "transition": "resolved" if is_over else "updated" if number else "fired",
        "severity": severity,
        "rule": "price_spike",
        "venue": "binance",
        "symbol": "BTCUSDT",
        "ts_event": episode.pop("seen"),
        "values": {"return_bps_10s": moved, "return_bps_10s_z_1h": usual, "symbol": "BTCUSDT"},
        "text": f"{text} (over: not true for 60s)" if is_over else text,
        "episode": episode,
    }
    alert_id = "8678b19a8645bc577f3316be6c5aed74"
    return Delivery(alert_id, number, "desk", json.dumps(body).encode(), why=RULE.why or "", told=told)


def _summary() -> Delivery:
    named = "\n".join(f"• price_spike binance {symbol}: {symbol} {what}" for symbol, what in STORM)
    body = {
        "origin": "service",
        "transition": "fired",
        "severity": "critical",
        "rule": "delivery_summary",
        "venue": None,
        "symbol": None,
        "ts_event": _time(200),
        "values": {},
        "text": f"31 more than desk takes at 20 messages a minute\n{named}\n"
        "price_band 19 (binance BTCUSDT 12, 4 more), volume_spike 8 (binance ETHUSDT 8)",
    }
    return Delivery("b07c55d2a1904ad3", 0, "desk", json.dumps(body).encode())


def _time(after: int) -> str:
    return f"{datetime.fromtimestamp(OPENS + after, UTC):%Y-%m-%dT%H:%M:%S}.000000000Z"


def _body(delivery: Delivery) -> Mapping[str, Any]:
    body: dict[str, Any] = json.loads(delivery.body)
    return body
