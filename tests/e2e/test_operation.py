"""A day of operation, by simulation: the real process, a real broker, and what metrics tell of it.

The events are those of a simulated day of three instruments, 13:30 to 20:00 by event time, with every kind of
anomaly planted twice. They come in seven parts, and around each part something happens that happens in
operation. Nothing may be lost by it: what the store has, receivers heard, but for what was muted.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from broker.local import LocalBroker, free_port
from captured import FILES
from daemon import Daemon, configure, edited, tapewatch
from day import Part, missed, simulated_day
from fakes.slack import server_error
from heard import assert_complete_and_in_order
from kafka import KafkaAdminClient
from scraping import Metrics, problems
from stores import STILL_TO_BE_SENT, ask, bodies

from streamer.sources.simulator import rules_for

TOPIC = "market.day"
SECRETS = re.compile("xoxb|whsec|Bearer", re.IGNORECASE)
POSTS = ("chat.postMessage", "chat.update")
RULES = {"extends": ["crypto", "market-data-quality", "surveillance"], "locked_book": {"disabled": True}}
WIDE = {"when": "spread_bps > 15bps", "severity": "info", "clear": "60s"}


@dataclass
class Operation:
    """A daemon at work through a day, and everything around it."""

    broker: LocalBroker
    slack: Any
    config: Path
    metrics: Metrics
    published: int = 0

    @property
    def store(self) -> Path:
        return self.config.with_suffix(".db")

    @property
    def config_hash(self) -> str:
        found = re.search(
            r'^tapewatch_build_info\{config_hash="(\w+)"', self.metrics.get("/metrics")[1], re.M
        )
        assert found is not None
        return found[1]

    def publish(self, part: Part) -> None:
        """The next hours happen, and are read."""
        self.metrics.mark()
        part.publish(self.broker.bootstrap, TOPIC)
        self.published += len(part.records)
        self.metrics.wait("tapewatch_records_total", lambda count: count == self.published)
        self.metrics.wait("tapewatch_lag_records", lambda lag: lag == 0, topic=TOPIC)

    def deliver(self) -> None:
        """Wait until nothing is owed."""
        daemon = self.metrics.daemon
        daemon.wait_until(lambda: not self.owed("ops") + self.owed("desk"), "everything delivered")

    def owed(self, receiver: str) -> int:
        """Alerts that are on their way to a receiver."""
        waiting = "SELECT count(*) FROM deliveries WHERE receiver = ? AND " + STILL_TO_BE_SENT
        ((unrouted,),) = ask(self.store, "SELECT count(*) FROM outbox WHERE routed = 0")
        ((count,),) = ask(self.store, waiting, receiver)
        return int(unrouted + count)

    def tell(self, part: Part) -> None:
        """A part whose anomalies were all found, and of whose alerts every receiver heard."""
        self.publish(part)
        self.deliver()
        assert missed(part, self.alerts()) == []
        for receiver in ("desk", "ops"):
            arrived = self.metrics.grown("tapewatch_deliveries_total", receiver=receiver, outcome="delivered")
            assert arrived >= self.metrics.grown("tapewatch_alert_transitions_total")

    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in bodies(self.store)]

    def heartbeats(self) -> list[dict[str, Any]]:
        posts = [post.arguments for post in self.slack.of("webhook/ops")]
        return [dict(post) for post in posts if post["rule"] == "heartbeat"]

    def hang_up(self, outcome: str) -> None:
        """SIGHUP, and wait for what becomes of it."""
        self.metrics.mark()
        os.kill(self.metrics.daemon.pid, signal.SIGHUP)
        grown = self.metrics.grown
        self.metrics.daemon.wait_until(
            lambda: grown("tapewatch_reloads_total", outcome=outcome) == 1, outcome
        )


@pytest.fixture
def operation(own_broker: Any, slack: Any, tmp_path: Path) -> Any:
    broker: LocalBroker = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({TOPIC: {"num_partitions": 1}}, wait_for_metadata=True)
    admin.close()
    port = free_port()
    config = configure(
        "binance.yaml",
        tmp_path,
        bootstrap=broker.bootstrap,
        slack=slack,
        topics={TOPIC: "sim"},
        rules=RULES,
        route={"to": ["desk", "ops"], "routes": [{"when": "origin == service", "to": ["ops"]}]},
        checkpoint={"every": "1s"},
        serve={"address": f"127.0.0.1:{port}"},
        heartbeat={"to": "ops", "every": "10s"},
    )

    def adapt(document: Any) -> None:
        document["source"]["topics"] = [{"match": TOPIC, "format": "tapewatch"}]
        for receiver in ("desk", "ops"):
            document["receivers"][receiver]["cap"] = "off"  # a day in a minute would be a storm

    edited(config, adapt)
    with Daemon(config) as daemon:
        yield Operation(broker, slack, config, Metrics(daemon, port))


def opening(day: Operation, part: Part) -> None:
    metrics = day.metrics
    metrics.daemon.wait_until(lambda: metrics.get("/readyz")[0] == 200, "ready", 90)
    assert metrics.get("/healthz") == (200, '{"status": "ok"}\n')
    assert metrics.value("tapewatch_source_up") == 1
    assert metrics.value("tapewatch_kafka_raw") == 1
    assert metrics.value("tapewatch_config_last_reload_successful") == 1
    day.tell(part)
    metrics.wait("tapewatch_checkpoints_total", lambda count: count > 0)


def another_configuration(day: Operation, part: Part) -> None:
    before = day.config_hash
    edited(day.config, lambda document: document["rules"].update(wide=WIDE))
    day.hang_up("taken_over")
    day.metrics.daemon.wait_until(lambda: day.config_hash != before, "another configuration's hash")
    assert 'rule="wide"' in day.metrics.get("/metrics")[1], "what a new rule has not done yet is there as 0"
    day.tell(part)
    assert day.metrics.grown("tapewatch_alert_transitions_total", rule="wide", transition="fired") > 0


def a_broken_configuration(day: Operation, part: Part) -> None:
    before, right = day.config_hash, day.config.read_text()
    edited(day.config, lambda document: document["rules"]["wide"].update(when="spred_bps > 15bps"))
    day.hang_up("refused")
    assert day.metrics.value("tapewatch_config_last_reload_successful") == 0
    assert day.config_hash == before
    assert day.metrics.get("/healthz")[0] == day.metrics.get("/readyz")[0] == 200
    day.tell(part)
    day.config.write_text(right)
    day.hang_up("taken_over")
    assert day.metrics.value("tapewatch_config_last_reload_successful") == 1
    assert day.config_hash == before


def broker_away(day: Operation, part: Part) -> None:
    metrics = day.metrics
    day.broker.kill()
    metrics.wait("tapewatch_source_up", lambda up: up == 0)
    metrics.daemon.wait_until(
        lambda: day.heartbeats()[-1]["values"]["source"] == "not answering", "a heartbeat that says so", 30
    )
    assert metrics.get("/healthz")[0] == 200
    day.broker.start()
    metrics.wait("tapewatch_source_up", lambda up: up == 1)
    day.tell(part)


def slack_away(day: Operation, part: Part) -> None:
    metrics = day.metrics
    for method in POSTS:
        day.slack.always(method, server_error())
    day.publish(part)
    metrics.daemon.wait_until(lambda: not day.owed("ops"), "the other receiver goes on")
    metrics.daemon.wait_until(
        lambda: metrics.grown("tapewatch_deliveries_total", receiver="desk", outcome="retried") > 0, "retried"
    )
    assert metrics.grown("tapewatch_deliveries_total", receiver="desk", outcome="delivered") == 0
    assert metrics.value("tapewatch_deliveries_pending", receiver="desk") > 0
    for method in POSTS:
        day.slack.always(method, None)
    day.deliver()
    assert metrics.value("tapewatch_deliveries_pending") == 0
    transitions = metrics.grown("tapewatch_alert_transitions_total")
    assert metrics.grown("tapewatch_deliveries_total", receiver="desk", outcome="delivered") == transitions


def muted(day: Operation, part: Part) -> None:
    metrics, rule = day.metrics, rules_for(part.planted[0])[0]
    tapewatch("mute", rule, "--for", "1h", "-c", day.config)
    assert metrics.value("tapewatch_rule_muted_until_timestamp_seconds", rule=rule) > 1e9
    day.publish(part)
    day.deliver()
    assert missed(part, day.alerts()) == [], "muted, and yet detected"
    unsaid = metrics.grown("tapewatch_alert_transitions_total", rule=rule)
    said = metrics.grown("tapewatch_alert_transitions_total") - unsaid
    assert unsaid > 0 < said
    for receiver in ("desk", "ops"):
        assert metrics.grown("tapewatch_deliveries_total", receiver=receiver, outcome="muted") == unsaid
    assert metrics.grown("tapewatch_deliveries_total", receiver="desk", outcome="delivered") == said


def unmuted(day: Operation, part: Part) -> None:
    rule = day.metrics.pages[-1].split('_muted_until_timestamp_seconds{rule="')[1].split('"')[0]
    tapewatch("mute", rule, "--off", "-c", day.config)
    assert day.metrics.value("tapewatch_rule_muted_until_timestamp_seconds") == 0
    day.tell(part)
    assert day.metrics.grown("tapewatch_deliveries_total", outcome="muted") == 0


STEPS = (opening, another_configuration, a_broken_configuration, broker_away, slack_away, muted, unmuted)


@pytest.mark.timeout(300)
def test_a_day_of_operation(operation: Operation) -> None:
    for step, part in zip(STEPS, simulated_day(len(STEPS)), strict=True):
        step(operation, part)
    metrics = operation.metrics
    assert metrics.daemon.stop() == 0, metrics.daemon.output()[-3000:]
    said = metrics.daemon.output() + "".join(metrics.pages)
    assert "Traceback" not in said
    assert not SECRETS.search(said)
    for page in metrics.pages[:: len(metrics.pages) // 4]:
        assert problems(page) == []
    nothing_was_lost(operation)


def nothing_was_lost(day: Operation) -> None:
    """What the store has and what receivers heard are the same, but for what was muted."""
    alerts = day.alerts()
    kept = {f"{alert['id']}-{alert['number']}" for alert in alerts}
    unsaid = dict[str, set[str]]()
    for receiver in ("desk", "ops"):
        held = "SELECT alert_id || '-' || number FROM deliveries WHERE receiver = ? AND state = 'muted'"
        unsaid[receiver] = {key for (key,) in ask(day.store, held, receiver)}
    assert unsaid["desk"] == unsaid["ops"] != set()
    posts = [post for post in day.slack.of("webhook/ops") if post.arguments["origin"] == "detect"]
    heard = [post.headers["webhook-id"] for post in posts]
    assert len(heard) == len(set(heard)), "nobody was away at ops, so nothing came twice"
    assert set(heard) == kept - unsaid["ops"]
    spoken = [alert for alert in alerts if f"{alert['id']}-{alert['number']}" not in unsaid["desk"]]
    assert_complete_and_in_order(day.slack, spoken)
    beats = day.heartbeats()
    assert sum(beat["values"]["records"] for beat in beats) <= day.published
    assert "not answering" in {beat["values"]["source"] for beat in beats}


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
        f"serve.address: {address} is in use: "
        "stop the process that listens there, or set another address, or off"
    )
    assert "Traceback" not in done.stderr
