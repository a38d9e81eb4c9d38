"""Alerts about the service itself; no part of the fold, so their ids are their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alerts.alert import Alert
from alerts.severity import Severity

SERVICE_ORIGIN: Final = "service"
DELIVERY_PARKED, DEAD_LETTER_FLOOD, LOG_GAP = "delivery_parked", "dead_letter_flood", "log_gap"
DELIVERY_SUMMARY, HEARTBEAT = "delivery_summary", "heartbeat"
SERVICE_RULES: Final = (DELIVERY_PARKED, DEAD_LETTER_FLOOD, LOG_GAP, DELIVERY_SUMMARY, HEARTBEAT)
"""The rule names of all alerts about the service."""

_ID_HEX_DIGITS = 32
_VERSION = "1"  # of what these alerts say


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something that happened to the service, and what people are told of it.

    Parameters
    ----------
    rule
        One of `SERVICE_RULES`.
    identity
        What distinguishes it from all others of the rule: the same identity gives the same id.
    severity, ts_event_ns, source, text, values, config_hash
        As in the alert.

    Examples
    --------
    >>> ServiceEvent("heartbeat", (1,), "info", ts_event_ns=0, source={}, text="at work").alert().id
    '7fc446356deb2fe620784be1150ef806'
    """

    rule: str
    identity: tuple[str | int | float, ...]
    severity: Severity
    ts_event_ns: int
    source: Mapping[str, Any]
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    config_hash: str = ""

    def alert(self) -> Alert:
        """The alert about it; it fires once, and nothing resolves it."""
        name = json.dumps([SERVICE_ORIGIN, self.rule, *self.identity])
        return Alert(
            id=hashlib.sha256(name.encode()).hexdigest()[:_ID_HEX_DIGITS],
            origin=SERVICE_ORIGIN,
            transition="fired",
            number=0,
            rule=self.rule,
            rule_version=_VERSION,
            severity=self.severity,
            venue=None,
            symbol=None,
            ts_event_ns=self.ts_event_ns,
            source=dict(self.source),
            values=dict(self.values),
            detector=None,
            score=None,
            rarity_s=None,
            model_version=None,
            config_hash=self.config_hash,
            text=self.text,
        )
