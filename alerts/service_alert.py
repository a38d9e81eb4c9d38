"""Alerts about the service itself; no part of the fold, so their ids are their own."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from alerts.alert import Alert, AlertRule, Observation
from alerts.severity import Severity

SERVICE_ORIGIN: Final = "service"
DELIVERY_PARKED, DEAD_LETTER_FLOOD, LOG_GAP = "delivery_parked", "dead_letter_flood", "log_gap"
LOG_ENDED: Final = "log_ended"
DETECTION_ANEW, STORE_OLDER = "detection_anew", "store_older"
DAMAGED_RANGE, PARTITION_PAUSED = "damaged_range", "partition_paused"
CLOCK_SET_BACK, TIME_FAR_OFF = "clock_set_back", "time_far_off"
INSTRUMENTS_FULL, INSTRUMENT_SPLIT = "instruments_full", "instrument_split"
DELIVERY_SUMMARY, DELIVERY_DIGEST, HEARTBEAT = "delivery_summary", "delivery_digest", "heartbeat"
DETECTION_STUCK, DETECTOR_QUARANTINED = "detection_stuck", "detector_quarantined"
SERVICE_RULES: Final = (
    DELIVERY_PARKED,
    DEAD_LETTER_FLOOD,
    LOG_GAP,
    LOG_ENDED,
    DETECTION_ANEW,
    STORE_OLDER,
    DAMAGED_RANGE,
    PARTITION_PAUSED,
    CLOCK_SET_BACK,
    TIME_FAR_OFF,
    INSTRUMENTS_FULL,
    INSTRUMENT_SPLIT,
    DETECTION_STUCK,
    DETECTOR_QUARANTINED,
    DELIVERY_SUMMARY,
    DELIVERY_DIGEST,
    HEARTBEAT,
)
"""The rule names of all alerts about the service."""

_ID_HEX_DIGITS = 32
_VERSION = "1"  # of what these alerts say


def service_alert(
    rule: str,
    identity: tuple[str | int | float, ...],
    severity: Severity,
    seen: Observation,
    config_hash: str = "",
) -> Alert:
    """An alert about the service; it fires once, and nothing resolves it.

    Parameters
    ----------
    rule
        One of `SERVICE_RULES`.
    identity
        What distinguishes it from all others of the rule: the same identity gives the same id.
    severity
        How much it matters.
    seen
        When and where, and in which words.
    config_hash
        The configuration that runs.

    Examples
    --------
    >>> seen = Observation(ts_event_ns=0, source={}, text="at work")
    >>> service_alert("heartbeat", (1,), "info", seen).id
    '7fc446356deb2fe620784be1150ef806'
    """
    name = json.dumps([SERVICE_ORIGIN, rule, *identity])
    alert_id = hashlib.sha256(name.encode()).hexdigest()[:_ID_HEX_DIGITS]
    return Alert.about_service(alert_id, AlertRule(rule, _VERSION, severity, config_hash), seen)
