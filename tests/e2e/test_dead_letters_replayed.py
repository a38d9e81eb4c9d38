"""Dead letters go back into their topic on request, and are new input for a daemon that can read them now."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import forked
from daemon import SECRETS, Daemon, alerts_of, configure, tapewatch
from kafka import KafkaConsumer, TopicPartition
from stores import ask, consumed

from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish
from streamer.store.database import open_store

T0 = 1_767_623_400_000_000_000
S = 1_000_000_000


def trade(at_s: int, size: float) -> bytes:
    event = {"event_type": "trade", "venue": "x", "symbol": "ACME", "ts_event": T0 + at_s * S}
    return json.dumps(event | {"price": 10.0, "size": size}).encode()


SENT = [
    Outgoing(T0, None, trade(0, 1.0), (), 1),
    Outgoing(T0 + S, None, trade(1, 2.0), (), 0),
    Outgoing(T0 + 2 * S, None, trade(2, 3.0), (), 1),
    Outgoing(T0 + 3 * S, b"key", None, (), 0),
    Outgoing(T0 + 4 * S, None, b"{" + b"x" * 70_000, (), 0),
]


def read(bootstrap: str, topic: str, partition: int) -> list[Any]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    one = TopicPartition(topic, partition)
    consumer.assign([one])
    consumer.seek_to_beginning(one)
    end = consumer.end_offsets([one])[one]
    found: list[Any] = []
    while len(found) < end:
        for records in consumer.poll(timeout_ms=1000).values():
            found += records
    consumer.close()
    return found


def interactive(config: Path, answer: str) -> subprocess.CompletedProcess[str]:
    return forked.tapewatch("dead-letters", "--replay", "-c", config, given=answer, environ=SECRETS)


def test_they_go_back_whole_marked_and_once(broker: str, topic_factory: Any, tmp_path: Path) -> None:
    topic = topic_factory("events", 2, {"retention.ms": "-1"})
    rules = {"any": {"when": "size > 0", "clear": "1s"}}
    config = configure(
        "binance.yaml",
        tmp_path,
        bootstrap=broker,
        topics={topic: "x"},
        rules=rules,
        detectors={},
        drift={"watch": ["alert_rate"]},
        receivers={"tty": {"console": {}}},
        route={"to": ["tty"]},
    )
    store = config.with_suffix(".db")
    publish(SENT, PublishTarget(KafkaSettings(bootstrap=broker), topic))
    letters = "SELECT n, partition, offset, reason, replayed_at FROM dead_letters ORDER BY partition, offset"
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: len(ask(store, letters)) == 5, "five dead letters")
        assert daemon.stop() == 0
    by_place = {(partition, offset): n for n, partition, offset, _, _ in ask(store, letters)}
    first = str(by_place[1, 0])

    assert interactive(config, "").returncode == 2
    declined = interactive(config, "n\n")
    assert declined.returncode == 130
    assert "publish 3 records again" in declined.stderr
    unknown = tapewatch("dead-letters", "-c", config, "--replay", "--yes", "--id", "999", expect=2)
    assert "no dead letter has id 999" in unknown.stderr
    assert [len(read(broker, topic, number)) for number in (0, 1)] == [3, 2], "nothing has gone so far"

    one = tapewatch("dead-letters", "-c", config, "--replay", "--yes", "--id", first)
    assert one.stdout.startswith("replayed 1 of 1 record")
    rest = tapewatch("dead-letters", "-c", config, "--replay", "--yes")
    assert rest.stdout.startswith("replayed 2 of 2 records")
    for words in ("1 larger than", "1 without a value", "1 replayed before"):
        assert f"not replayed: {words}" in rest.stderr
    assert "nothing to replay" in tapewatch("dead-letters", "-c", config, "--replay", "--yes").stdout

    marked = [(partition, offset) for _, partition, offset, _, at in ask(store, letters) if at is not None]
    assert marked == [(0, 0), (1, 0), (1, 1)]
    shown = tapewatch("dead-letters", "-c", config, "--json", "--id", first).stdout
    assert json.loads(shown)["replayed_at"] > 1e9
    new = {number: read(broker, topic, number) for number in (0, 1)}
    again = [(number, record) for number, before in ((0, 3), (1, 2)) for record in new[number][before:]]
    assert [(number, record.value) for number, record in again] == [
        (0, SENT[1].value),
        (1, SENT[0].value),
        (1, SENT[2].value),
    ]
    assert [dict(record.headers) for _, record in again] == [
        {"tapewatch-dead-letter": f"{topic}/{place}".encode()} for place in ("0/0", "1/0", "1/1")
    ]
    assert [record.timestamp for _, record in again] == [(T0 + at * S) // 1_000_000 for at in (1, 0, 2)]
    assert {record.key for _, record in again} == {None}

    config.write_text(config.read_text().replace("format: binance", "format: tapewatch"))
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: consumed(store) == 8, "the replayed records consumed")
        daemon.wait_until(lambda: len(alerts_of(config)) >= 2, "alerts of what could not be read before")
        assert daemon.stop() == 0
    fired = [alert for alert in alerts_of(config) if alert["transition"] == "fired"]
    assert {(alert["source"]["partition"], alert["source"]["offset"]) for alert in fired} >= {(0, 3), (1, 2)}
    assert len(ask(store, letters)) == 5, "none of them is a dead letter again"


def test_without_a_broker_nothing_is_marked(tmp_path: Path) -> None:
    config = configure("binance.yaml", tmp_path, topics={"spot.x": "binance"})
    store = config.with_suffix(".db")
    open_store(str(store)).close()
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(
            "INSERT INTO tasks "
            "(id, topic, incarnation, partition, epoch, position, config_hash, code_version, started_at) "
            "VALUES (1, 'spot.x', 'i', 0, 0, 1, 'c', 'v', 1.0)",
        )
        connection.execute(
            "INSERT INTO dead_letters "
            "(task_id, topic, partition, offset, index_, reason, detail, value, size) "
            "VALUES (1, 'spot.x', 0, 5, 0, 'bad_json', '', x'7b', 1), "
            "(1, 'spot.x', 0, 5, 1, 'no_time', '', x'7b', 1)"
        )
    done = tapewatch("dead-letters", "-c", config, "--replay", "--yes", expect=1)
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert ask(store, "SELECT count(*) FROM dead_letters WHERE replayed_at IS NOT NULL") == [(0,)]
