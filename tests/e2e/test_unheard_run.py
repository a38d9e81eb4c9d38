"""A daemon whose standard error nobody can be told by goes on detecting and delivering."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

CONFIG = """
source:
  kafka: {bootstrap: %s, group: unheard, start: earliest}
  topics: [{match: %s, format: tapewatch}]
store: t.db
serve: {address: "off"}
rules: {big: {when: price > 5}}
receivers: {tty: {console: {}}, desk: {file: {path: alerts.jsonl}}}
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stderr", [pytest.param("full", marks=pytest.mark.long), "without a reader"])
def test_alerts_are_delivered_and_a_stop_is_a_clean_one(
    broker: str, topic_factory: Any, tmp_path: Path, stderr: str
) -> None:
    topic, alerts = topic_factory("trades", 1), tmp_path / "alerts.jsonl"
    (tmp_path / "tapewatch.yaml").write_text(CONFIG % (broker, topic))
    producer = KafkaProducer(bootstrap_servers=broker)
    event = {"event_type": "trade", "venue": "x", "symbol": "A", "ts_event": time.time_ns()}
    producer.send(topic, json.dumps({**event, "price": 10.0, "size": 1.0}).encode()).get(30)
    producer.close()
    read, gone = os.pipe()
    os.close(read)
    with Path("/dev/full").open("w") as full:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "streamer", "run"], cwd=tmp_path, stderr=full if stderr == "full" else gone
        )
    os.close(gone)
    while not (alerts.exists() and b"\n" in alerts.read_bytes()):
        assert daemon.poll() is None
        time.sleep(0.05)
    daemon.terminate()
    assert daemon.wait(30) == 0
