"""A day of operation in a minute: broker away, Slack away, mute and unmute; metrics tell of each."""

from __future__ import annotations

import re
import socket
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker.local import LocalBroker, free_port
from captured import COMMITTED, FILES
from daemon import Daemon, configure, tapewatch
from fakes.exposition import fetch, lint, value
from fakes.slack import server_error
from kafka import KafkaAdminClient

CAPTURE = COMMITTED / "spot_btcusdt.gz"
TOPIC = "spot.day"
SECRETS = re.compile("xoxb|whsec|Bearer", re.IGNORECASE)


class Metrics:
    """What the daemon serves."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.address = ("127.0.0.1", port)
        self.pages: list[str] = []

    def get(self, path: str) -> tuple[int, str]:
        try:
            return fetch(self.address, path)
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def value(self, name: str, **labels: str) -> float:
        self.pages.append(self.get("/metrics")[1])
        return value(self.pages[-1], name, **labels) or 0.0

    def wait(
        self, name: str, reached: Callable[[float], bool], timeout_s: float = 60.0, **labels: str
    ) -> None:
        what = f"{name}{labels}"
        self.daemon.wait_until(lambda: reached(self.value(name, **labels)), what, timeout_s)


@pytest.mark.timeout(300)
def test_metrics_tell_of_everything(own_broker: Any, slack: Any, tmp_path: Path) -> None:
    broker: LocalBroker = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({TOPIC: {"num_partitions": 1}}, wait_for_metadata=True)
    admin.close()
    port = free_port()
    config = configure(
        "sensitive.yaml",
        tmp_path,
        bootstrap=broker.bootstrap,
        slack=slack,
        topics={TOPIC: "binance"},
        files=FILES,
        checkpoint={"every": "1s"},
        serve={"address": f"127.0.0.1:{port}"},
        heartbeat={"to": "ops", "every": "10s"},
    )

    def publish(limit: int) -> None:
        tapewatch("publish", "-c", config, "-t", TOPIC, "--limit", str(limit), CAPTURE)

    publish(2000)
    with Daemon(config) as daemon:
        metrics = Metrics(daemon, port)
        daemon.wait_until(lambda: metrics.get("/readyz")[0] == 200, "ready", 90)
        assert metrics.get("/healthz") == (200, '{"status": "ok"}\n')
        metrics.wait("tapewatch_kafka_raw", lambda raw: raw == 1)
        metrics.wait("tapewatch_records_total", lambda count: count == 2000)
        metrics.wait("tapewatch_lag_records", lambda lag: lag == 0, topic=TOPIC)
        metrics.wait("tapewatch_checkpoints_total", lambda count: count > 0)
        metrics.wait("tapewatch_deliveries_pending", lambda count: count == 0, receiver="ops")
        fired = metrics.value("tapewatch_alert_transitions_total", transition="fired")
        assert fired > 3
        delivered = metrics.value("tapewatch_deliveries_total", receiver="ops", outcome="delivered")
        assert delivered >= fired

        broker.kill()
        metrics.wait("tapewatch_source_up", lambda up: up == 0)
        assert metrics.get("/healthz")[0] == 200
        broker.start()
        metrics.wait("tapewatch_source_up", lambda up: up == 1)

        for method in ("chat.postMessage", "chat.update"):
            slack.always(method, server_error())
        publish(2000)
        metrics.wait("tapewatch_records_total", lambda count: count == 4000)
        metrics.wait("tapewatch_deliveries_total", lambda n: n > 0, receiver="desk", outcome="retried")
        assert metrics.value("tapewatch_deliveries_pending", receiver="desk") > 0
        for method in ("chat.postMessage", "chat.update"):
            slack.always(method, None)
        metrics.wait("tapewatch_deliveries_pending", lambda count: count == 0, receiver="desk")

        rules = ("big_trade", "quick_move", "odd_tape", "wide_spread", "busy_feed")
        for rule in rules:
            tapewatch("mute", rule, "--for", "1h", "-c", config)
        assert metrics.value("tapewatch_rule_muted_until_timestamp_seconds", rule="big_trade") > 1e9
        publish(6000)
        metrics.wait("tapewatch_records_total", lambda count: count == 10_000)
        metrics.wait("tapewatch_deliveries_total", lambda n: n > 0, receiver="ops", outcome="muted")
        for rule in rules:
            tapewatch("mute", rule, "--off", "-c", config)
        assert metrics.value("tapewatch_rule_muted_until_timestamp_seconds") == 0
        beats = [post for post in slack.of("webhook/ops") if post.arguments["rule"] == "heartbeat"]
        assert len(beats) >= 2
        assert sum(beat.arguments["values"]["records"] for beat in beats) <= 10_000
        assert daemon.stop() == 0, daemon.output()[-3000:]

    said = daemon.output() + "".join(metrics.pages)
    assert "Traceback" not in said
    assert not SECRETS.search(said)
    assert lint(metrics.pages[-1]) == []


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        hook = {"console": {}}
        config = configure(
            "binance.yaml",
            tmp_path,
            topics={"spot.x": "binance"},
            files=FILES,
            receivers={"tty": hook},
            route={"to": ["tty"]},
            serve={"address": address},
        )
        done = tapewatch("run", "-c", config, expect=1)
    (line,) = [line for line in done.stderr.splitlines() if "serve.address" in line]
    assert line == (
        f"serve.address: {address} is in use: stop what listens there, or give another address, or off"
    )
    assert "Traceback" not in done.stderr
