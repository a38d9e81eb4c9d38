"""A join that is written later, because the service said so: what it ends, and where its log goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from stores import ask

from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish

NOW_NS = time.time_ns()
RULES = {
    "big": {"when": "size > 50", "clear": "1d"},
    "big_while_busy": {"when": "size > 5 and order_rate_10s > 0.1", "on": "trade", "clear": "1d"},
}


def event(kind: str, at: int, **fields: Any) -> Outgoing:
    ts = NOW_NS + at * 10**8
    document = {"event_type": kind, "venue": "xex", "symbol": "ACME", "ts_event": ts, **fields}
    return Outgoing(ts, None, json.dumps(document).encode(), (), 0)


def trades(first: int, count: int, size: float = 10.0) -> list[Outgoing]:
    return [event("trade", first + n, price=100.0, size=size) for n in range(count)]


def orders(first: int, count: int) -> list[Outgoing]:
    own = {"order_id": "1", "action": "new", "side": "buy", "size": 1.0, "price": 100.0}
    return [event("order", first + n, **own) for n in range(count)]


def write(path: Path, broker: str, topics: list[str], **source: Any) -> Path:
    kafka = {"bootstrap": broker, "group": path.parent.name, "start": "earliest"}
    document = {
        "source": {"kafka": kafka, "topics": [{"match": topics}], **source},
        "store": str(path.with_suffix(".db")),
        "rules": RULES,
        "receivers": {"kept": {"file": {"path": str(path.with_suffix(".jsonl"))}}},
        "serve": {"address": "off"},
        "engine": {"ticks": "off"},
        "checkpoint": {"every": "1s"},
    }
    path.write_text(json.dumps(document))
    return path


def fired(store: Path) -> list[tuple[str, str]]:
    return [tuple(row) for row in ask(store, "SELECT rule, transition FROM outbox WHERE origin = 'detect'")]


def service_texts(store: Path, rule: str) -> list[str]:
    bodies = ask(store, "SELECT body FROM outbox WHERE origin = 'service' AND rule = ?", rule)
    return [json.loads(body)["text"] for (body,) in bodies]


@pytest.mark.timeout(400)
def test_topics_are_joined_because_it_was_told(broker: str, topic_factory: Any, tmp_path: Path) -> None:
    first, second = topic_factory("trades"), topic_factory("orders")
    kafka = KafkaSettings(bootstrap=broker)

    def send(topic: str, records: list[Outgoing]) -> None:
        publish(records, PublishTarget(kafka, topic))

    path = write(tmp_path / "tapewatch.yaml", broker, [first, second])
    store = path.with_suffix(".db")
    send(first, [*trades(0, 9), *trades(9, 1, 100.0)])
    send(second, orders(0, 10))
    with Daemon(path) as daemon:
        daemon.wait_until(lambda: service_texts(store, "instrument_split"), "that ACME is in both")
        assert daemon.stop() == 0
    (told,) = service_texts(store, "instrument_split")
    assert f"ACME of xex is in {first}[0] and in {second}[0]" in told
    assert f"Write join: [{first}, {second}] below source" in told
    assert fired(store) == [("big", "fired")], "what stands in two logs never meets"

    write(path, broker, [first, second], join=[first, second])
    send(second, [*orders(12, 5), *orders(150, 5)])  # what came within 10 s is known once 10 s have passed
    send(first, [*trades(14, 5), *trades(155, 5)])
    with Daemon(path) as daemon:
        daemon.wait_until(lambda: ("big_while_busy", "fired") in fired(store), "that they meet")
        assert daemon.stop() == 0
    assert ("big", "resolved") in fired(store)
    (ended,) = service_texts(store, "log_ended")
    assert first in ended
    assert second in ended
    joined = ask(
        store,
        "SELECT m.topic, m.position FROM members m JOIN tasks t ON t.id = m.task_id "
        "WHERE t.topic = ? AND t.ended_at IS NULL ORDER BY place",
        f"{first}+{second}",
    )
    assert joined == [(first, 10), (second, 10)], "it goes on where the others were"
