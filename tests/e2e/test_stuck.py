"""A model that stops whoever calls it stops only itself: on the real process, with a real broker."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from broker.local import free_port
from daemon import Daemon, tapewatch
from kafka import KafkaProducer
from ruamel.yaml import YAML
from scraping import Metrics
from stores import ask, bodies, consumed

from streamer.store.work_file import left_work, work_path

STUCK_AFTER_S = 3
POISON = 777.0
WAITING = 500


@dataclass
class Desk:
    """A topic, a daemon on it that restarts as under a supervisor, and who is told."""

    config: Path
    topic: str
    bootstrap: str
    daemon: Daemon
    metrics: Metrics
    slack: Any
    published: int = 0

    @property
    def store(self) -> Path:
        return self.config.with_suffix(".db")

    def publish(self, *sizes: float, symbol: str = "ALFA") -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap)
        for size in sizes:
            self.published += 1
            ts = 1_722_510_000_000_000_000 + self.published * 1_000_000
            event = {"event_type": "trade", "venue": "sim", "symbol": symbol, "ts_event": ts}
            producer.send(self.topic, json.dumps({**event, "price": 100.0, "size": size}).encode())
        producer.flush()
        producer.close()

    def ready(self) -> None:
        self.daemon.wait_until(lambda: self.metrics.get("/readyz")[0] == 200, "ready")

    def folded(self, records: int) -> None:
        self.metrics.wait("tapewatch_records_total", lambda count: count >= records, 60)

    def told(self, rule: str) -> list[dict[str, Any]]:
        posts = [dict(post.arguments) for post in self.slack.of("webhook/ops")]
        return [post for post in posts if post["rule"] == rule]

    def ended(self, timeout_s: float = 60.0) -> int:
        """The exit code, once it has ended by itself."""
        process = self.daemon._process
        assert process is not None
        return process.wait(timeout_s)

    def journal(self, kind: str) -> list[dict[str, Any]]:
        rows = ask(self.store, "SELECT data FROM journal WHERE kind = ? ORDER BY task_id, seq", kind)
        return [json.loads(data) for (data,) in rows]


@pytest.fixture
def desk(broker: str, topic_factory: Any, slack: Any, tmp_path: Path, monkeypatch: Any) -> Any:
    """A daemon with the model under test beside a compiled one, and a rule that needs neither."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def make(model: str, **sections: Any) -> Desk:
        hook = {"url": slack.webhook_url("ops"), "secret": {"env": "OPS_WEBHOOK_SECRET"}}
        topic, port = topic_factory("trades", 1), free_port()
        document = {
            "source": {
                "kafka": {"bootstrap": broker, "group": f"g-{topic}", "start": "earliest"},
                "topics": [{"match": topic, "format": "tapewatch"}],
            },
            "store": str(tmp_path / "tapewatch.db"),
            "detectors": {
                "mine": {"model": f"stubborn_models.{model}", "features": ["size"], "warmup": 5},
                "z": {"model": "RobustZ", "features": ["size"]},
            },
            "rules": {
                "big": {"when": "size > 500", "clear": "1s"},
                "odd": {"when": "mine.score > 1e6", "clear": "1s"},
            },
            "receivers": {"ops": {"webhook": hook, "cap": "off"}},
            "route": {"to": ["ops"]},
            "engine": {"stuck_after": f"{STUCK_AFTER_S}s", "ticks": "off"},
            "checkpoint": {"every": "1s"},
            "journal": {"keep": "all"},
            "serve": {"address": f"127.0.0.1:{port}"},
            "heartbeat": {"to": "ops", "every": "10s"},
            "log": {"format": "json"},
            **sections,
        }
        config = tmp_path / "tapewatch.yaml"
        with config.open("w") as out:
            YAML().dump(document, out)
        daemon = Daemon(config)
        made.append(daemon)
        return Desk(config, topic, broker, daemon, Metrics(daemon, port), slack)

    made: list[Daemon] = []
    yield make
    for daemon in made:
        daemon.__exit__()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("model", ["Sleeps", "Holds"])
def test_a_model_that_never_returns_is_told_and_quarantined_and_all_else_goes_on(
    desk: Any, model: str
) -> None:
    at: Desk = desk(model)
    at.publish(*[float(n % 7 + 1) for n in range(50)])
    at.daemon.start()
    at.ready()
    at.folded(50)
    at.publish(POISON, *[600.0 + n for n in range(WAITING)])
    if model == "Sleeps":
        at.daemon.wait_until(lambda: at.metrics.get("/healthz")[0] == 503, "a page that says so")
        assert at.metrics.value("tapewatch_lag_records") > 0
        assert at.metrics.value("tapewatch_idle_seconds") >= STUCK_AFTER_S
        assert at.metrics.get("/readyz")[0] == 503
        at.daemon.wait_until(lambda: at.told("detection_stuck"), "a receiver that was told")
    assert at.ended() == -signal.SIGABRT
    said = at.daemon.output()
    assert "stubborn_models.py" in said, "the stacks"

    at.daemon.start()
    at.ready()
    at.folded(WAITING + 1)
    at.daemon.wait_until(lambda: at.told("detector_quarantined"), "a receiver that was told")
    (stuck,) = at.told("detection_stuck")
    assert "mine" in stuck["text"]
    (told,) = at.told("detector_quarantined")
    assert "tapewatch models lift mine" in told["text"]
    (entry,) = at.journal("quarantine")
    assert entry["detector"] == "mine"
    assert entry["reason"] in told["text"]
    assert at.metrics.get("/healthz")[0] == 200
    assert at.metrics.value("tapewatch_detector_instruments", detector="mine", status="quarantined") == 1
    assert at.metrics.value("tapewatch_scored_events_total", detector="mine", status="ready") == 0
    assert at.daemon.stop() == 0
    alerts = [json.loads(body) for body in bodies(at.store)]
    assert {alert["rule"] for alert in alerts} == {"big"}, "other rules go on"

    listed = tapewatch("models", "-c", at.config).stdout
    assert "quarantined" in listed
    near = tapewatch("models", "lift", "mime", "-c", at.config, expect=2).stderr
    assert "did you mean 'mine'?" in near
    tapewatch("models", "lift", "mine", "-c", at.config)
    at.daemon.start()
    at.ready()
    at.publish(*[float(n % 7 + 1) for n in range(100)])
    at.folded(100)
    assert len(at.journal("lift")) == 1
    assert at.metrics.value("tapewatch_scored_events_total", detector="mine", status="ready") > 0
    assert at.daemon.stop() == 0


@pytest.mark.timeout(120)
def test_neither_a_slow_model_nor_a_stopped_process_is_stuck(desk: Any) -> None:
    """One step takes three times `stuck_after`, its calls half a second each; SIGSTOP takes twice as long."""
    at: Desk = desk("Slow")
    at.publish(*[float(n % 7 + 1) for n in range(50)])
    at.daemon.start()
    at.ready()
    at.publish(*[POISON] * 18)
    at.daemon.wait_until(lambda: at.metrics.value("tapewatch_lag_records") > 0, "a step that takes long")
    os.kill(at.daemon.pid, signal.SIGSTOP)
    time.sleep(2 * STUCK_AFTER_S)
    os.kill(at.daemon.pid, signal.SIGCONT)
    at.folded(68)
    assert at.daemon.stop() == 0
    assert "detection is stuck" not in at.daemon.output()
    assert not at.journal("quarantine")


@pytest.mark.timeout(180)
def test_a_model_that_exits_is_out_of_use_for_its_instrument(desk: Any) -> None:
    exits: Desk = desk("Exits")
    exits.publish(*[float(n % 7 + 1) for n in range(50)], POISON, 1.0)
    with exits.daemon as daemon:
        exits.ready()
        exits.folded(52)
        daemon.wait_until(lambda: "models quarantined" in daemon.output(), "a line in the log")
        (line,) = [json.loads(line) for line in daemon.output().splitlines() if "models quarantined" in line]
        assert (line["detector"], line["instrument"], line["reason"]) == ("mine", "sim ALFA", "SystemExit: 3")
        assert daemon.stop() == 0


@pytest.mark.timeout(240)
def test_a_model_that_kills_the_process_is_quarantined_in_the_end_and_stays_so(desk: Any) -> None:
    at: Desk = desk("Dies")
    at.publish(*[float(n % 7 + 1) for n in range(50)], POISON, 600.0)
    for _ in range(3):
        at.daemon.start()
        assert at.ended() == 7
    at.daemon.start()
    at.ready()
    at.folded(52)
    at.daemon.kill()  # before or after it was journaled and checkpointed
    at.publish(POISON, 900.0)
    at.daemon.start()
    at.ready()
    at.daemon.wait_until(lambda: consumed(at.store) == 54, "everything consumed")
    at.daemon.wait_until(lambda: at.told("detector_quarantined"), "a receiver that was told")
    assert at.daemon.stop() == 0
    assert len(at.journal("quarantine")) == 1
    assert at.daemon.output().count("the last process died inside a detector") == 3
    posts = [post.headers["webhook-id"] for post in at.slack.of("webhook/ops")]
    episodes = {f"{alert['id']}-{alert['number']}" for alert in map(json.loads, bodies(at.store))}
    assert episodes <= set(posts)


@pytest.mark.timeout(120)
def test_stopping_while_stuck_ends_it_and_a_second_signal_at_once(desk: Any) -> None:
    at: Desk = desk("Sleeps", engine={"stuck_after": "60s"})
    at.publish(*[float(n % 7 + 1) for n in range(50)])
    at.daemon.start()
    at.ready()
    at.publish(POISON)
    at.daemon.wait_until(lambda: at.metrics.value("tapewatch_idle_seconds") >= 2, "a call that hangs")
    os.kill(at.daemon.pid, signal.SIGTERM)
    time.sleep(1.0)
    assert at.daemon.running, "it waits for the step at hand"
    os.kill(at.daemon.pid, signal.SIGTERM)
    assert at.ended(3.0) == -signal.SIGTERM
    left = left_work(work_path(at.store))
    assert left is not None
    assert (left.detector, left.live, left.ended) == ("mine", True, "asked"), "no death, for the next start"
