"""An alert's stored body, read for receivers that show it to people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.receivers.receiver import Delivery


@dataclass(frozen=True, slots=True)
class ReadableAlert:
    """What a receiver shows of a transition.

    Parameters
    ----------
    alert_id, number
        The episode, and the number of the transition in it.
    transition
        ``fired``, ``updated`` or ``resolved``.
    severity, rule, text
        As in the body.
    subject
        Venue and symbol, empty for alerts about the service.
    ts_event
        RFC 3339, to the millisecond.
    values
        The fields and features the rule names, as text, in the body's order.
    """

    alert_id: str
    number: int
    transition: str
    severity: str
    rule: str
    subject: str
    text: str
    ts_event: str
    values: Mapping[str, str]

    @property
    def headline(self) -> str:
        """Severity (or RESOLVED), rule and subject on one line."""
        state = "RESOLVED" if self.transition == "resolved" else self.severity.upper()
        return " ".join(part for part in (state, self.rule, self.subject) if part)


def read_body(delivery: Delivery) -> ReadableAlert:
    """Read the stored body of a delivery.

    Examples
    --------
    >>> body = b'{"transition": "fired", "severity": "warning", "rule": "crossed_book", "venue": "XNAS", '
    >>> body += b'"symbol": "ACME", "ts_event": "2026-01-05T14:30:00Z", "values": {"spread_bps": -2.5}, '
    >>> body += b'"text": "ACME is crossed"}'
    >>> read_body(Delivery("a1", 0, "desk", body)).headline
    'WARNING crossed_book XNAS ACME'
    """
    body: dict[str, Any] = json.loads(delivery.body)
    return ReadableAlert(
        alert_id=delivery.alert_id,
        number=delivery.number,
        transition=body["transition"],
        severity=body["severity"],
        rule=body["rule"],
        subject=" ".join(part for part in (body["venue"], body["symbol"]) if part),
        text=body["text"] or "",
        ts_event=_to_milliseconds(body["ts_event"]),
        values={name: _text(value) for name, value in body["values"].items()},
    )


def one_line(text: str) -> str:
    r"""Make text safe for one line on a terminal: unprintable characters become spaces.

    Examples
    --------
    >>> one_line("ACME\x1b[2J is\ncrossed")
    'ACME [2J is crossed'
    """
    return "".join(character if character.isprintable() else " " for character in text)


def _to_milliseconds(time: str) -> str:
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction[:3]:0<3}Z"


def _text(value: object) -> str:
    if value is None:
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
