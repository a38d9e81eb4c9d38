"""Alerts as they are stored, made up for tests of delivery."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from alerts.receivers.receiver import Delivery
from streamer.store.database import Database
from streamer.store.tables import outbox


def alert_body(alert_id: str = "a1", number: int = 0, **changes: Any) -> bytes:
    """The canonical JSON of one transition; `changes` replace fields."""
    transition = "fired" if number == 0 else "updated"
    body = {
        "id": alert_id,
        "origin": "detect",
        "transition": transition,
        "number": number,
        "rule": "fat_finger",
        "rule_version": "v1",
        "severity": "critical",
        "venue": "XNAS",
        "symbol": "ACME",
        "ts_event_ns": 1_767_623_400_000_000_000,
        "ts_event": "2026-01-05T14:30:00Z",
        "source": {"topic": "trades", "partition": 0, "offset": 17, "index": 0},
        "values": {"size": 512.0, "size_mean_1h": 8.25},
        "detector": None,
        "score": None,
        "rarity_s": None,
        "model_version": None,
        "config_hash": "c1",
        "text": "ACME traded 512 lots",
    }
    return json.dumps({**body, **changes}, ensure_ascii=False, separators=(",", ":")).encode()


def delivery(alert_id: str = "a1", number: int = 0, receiver: str = "desk", **more: Any) -> Delivery:
    """A delivery of such an alert; fields of `Delivery` by name, anything else goes into the body."""
    known = {name: more.pop(name) for name in [field.name for field in fields(Delivery)][4:] if name in more}
    return Delivery(alert_id, number, receiver, alert_body(alert_id, number, **more), **known)


def commit(database: Database, *alerts: tuple[str, int], **changes: Any) -> None:
    """Put transitions into the outbox, as a commit of detection does; `behind_s` is no part of the body."""
    behind_s = changes.pop("behind_s", None)
    with database.write() as connection:
        for alert_id, number in alerts:
            body = alert_body(alert_id, number, **changes)
            shown = json.loads(body)
            connection.execute(
                outbox.insert().values(
                    alert_id=alert_id,
                    number=number,
                    body=body,
                    created_at=42.0,
                    behind_s=behind_s,
                    **{
                        name: shown[name]
                        for name in ("origin", "transition", "rule", "severity", "venue", "symbol")
                    },
                    ts_event_ns=shown["ts_event_ns"],
                    config_hash=shown["config_hash"],
                )
            )
