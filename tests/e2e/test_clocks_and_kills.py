"""Killed while clocks are set back, the daemon ends with the alerts and notices of one left alone."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from kafka import KafkaProducer
from ruamel.yaml import YAML
from stores import ask, bodies, consumed, undelivered

S = 1_000_000_000
T0 = 1_722_510_000 * S
HOUR = 3_600 * S
SYMBOLS = ("BTC", "ETH", "SOL")
SECONDS_A_ROUND = 70  # of the market: each step back falls into a minute of its own
NOTICES = "SELECT alert_id, body FROM outbox WHERE origin = 'service' ORDER BY alert_id"


class LyingFeed:
    """Three instruments; in each round some are an hour ahead, which their next trades refute one by one."""

    def __init__(self, bootstrap: str, topic: str, seed: int) -> None:
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)
        self._topic = topic
        self._chance = random.Random(seed)
        self._rounds = 0
        self.sent = self.lies = 0

    def round(self) -> Iterator[str]:
        """Send a round; stops where a step back is on its way, and at the end."""
        start = T0 + self._rounds * SECONDS_A_ROUND * S
        self._rounds += 1
        for second in range(20):
            for symbol in SYMBOLS:
                self._send(start + second * S, symbol, 60.0 if second == 15 else 1.0)
        liars = self._chance.sample(SYMBOLS, self._chance.randint(1, 2))
        for symbol in liars:
            self._send(start + 20 * S + HOUR, symbol, 90.0, price=130.0)
        self.lies += len(liars)
        self._flush()
        for second in range(20, 30):
            for symbol in SYMBOLS:
                self._send(start + second * S, symbol)
            if second in (21, 22):
                self._flush()
                yield "refuted"
        self._flush()
        yield "end"

    def send_rounds(self, count: int) -> None:
        for _ in range(count):
            list(self.round())

    def close(self) -> None:
        self._producer.close()

    def _flush(self) -> None:
        self._producer.flush(30)

    def _send(self, ts: int, symbol: str, size: float = 1.0, price: float = 100.0) -> None:
        event = {"event_type": "trade", "symbol": symbol, "ts_event": ts, "price": price, "size": size}
        self._producer.send(self._topic, json.dumps(event).encode(), timestamp_ms=ts // 1_000_000)
        self.sent += 1


def configured(name: str, broker: str, topic: str, slack: Any, folder: Path) -> Path:
    hook = {"url": slack.webhook_url("ops"), "secret": {"env": "OPS_WEBHOOK_SECRET"}}
    document = {
        "source": {
            "kafka": {"bootstrap": broker, "group": f"g-{topic}-{name}", "start": "earliest"},
            "topics": [{"match": topic, "format": "tapewatch", "venue": "here"}],
        },
        "store": str(folder / f"{name}.db"),
        "detectors": {"z": {"model": "RobustZ", "features": ["size"]}},
        "rules": {
            "big": {"when": "size > 8 * size_mean_1h", "clear": "3s"},
            "move": {"when": "abs(return_bps_10s) > 100bps", "clear": "5s"},
            "odd": {"when": "z.score > 3", "clear": "3s", "severity": "info"},
        },
        "receivers": {"ops": {"webhook": hook, "cap": "off"}},
        "route": {"to": ["ops"]},
        "engine": {"ticks": "off"},
        "checkpoint": {"every": "1s"},
        "serve": {"address": "off"},
    }
    path = folder / f"{name}.yaml"
    with path.open("w") as out:
        YAML().dump(document, out)
    return path


def committing(store: Path) -> tuple[int, int]:
    """Changes when a transaction is on its way to disk."""
    try:
        found = store.with_name(store.name + "-wal").stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def wait_for_moment(number: int, store: Path, chance: random.Random, told: int) -> None:
    """In turn: while what refutes a clock is folded, while that is committed, and just after."""
    deadline, before = time.monotonic() + 10, committing(store)
    if number % 3 == 0:
        time.sleep(chance.uniform(0.0, 0.08))
    elif number % 3 == 1:
        while committing(store) == before and time.monotonic() < deadline:
            time.sleep(0.0005)
    else:
        while len(ask(store, NOTICES)) == told and time.monotonic() < deadline:
            time.sleep(0.001)


@pytest.mark.timeout(900)
@pytest.mark.long  # its short form is test_lying_times, killed anywhere
@pytest.mark.parametrize("kills", [3, 24])
def test_kills_while_clocks_step_back_change_nothing(
    kills: int, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    topic, chance = topic_factory("lies", 1), random.Random(12)
    killed = configured("killed", broker, topic, slack, tmp_path)
    store = killed.with_suffix(".db")
    feed = LyingFeed(broker, topic, seed=12)
    with Daemon(killed) as daemon:
        feed.send_rounds(2)
        for number in range(kills):
            daemon.wait_until(lambda: consumed(store) == feed.sent, "all that was sent before", 180)
            told = len(ask(store, NOTICES))
            sending = feed.round()
            assert next(sending) == "refuted"
            wait_for_moment(number, store, chance, told)
            daemon.kill()
            list(sending)
            feed.send_rounds(1)  # what it is behind by when it starts again
            daemon.start()
        daemon.wait_until(lambda: consumed(store) == feed.sent, "everything consumed", 180)
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered", 180)
        assert daemon.stop() == 0, daemon.output()[-3000:]
    feed.close()
    calm = configured("calm", broker, topic, slack, tmp_path)
    posts = defaultdict(set)
    for post in slack.of("webhook/ops"):
        posts[post.headers["webhook-id"]].add(post.body)
    with Daemon(calm) as daemon:
        calm_store = calm.with_suffix(".db")
        daemon.wait_until(lambda: consumed(calm_store) == feed.sent, "everything consumed", 180)
        assert daemon.stop() == 0, daemon.output()[-3000:]

    notices = ask(store, NOTICES)
    assert notices == ask(calm_store, NOTICES)
    assert len(notices) == feed.lies, "each clock that was set back is told, once"
    alerts = bodies(store)
    assert alerts == bodies(calm_store)
    over = [alert for alert in map(json.loads, alerts) if "its clock was wrong" in alert["text"]]
    assert len(over) >= feed.lies, "what a lie fired ends as its clock is set back"
    assert all(len(bodies_of) == 1 for bodies_of in posts.values())
    keys = {f"{alert['id']}-{alert['number']}" for alert in map(json.loads, alerts)}
    assert keys | {f"{alert}-0" for alert, _ in notices} == set(posts)
    assert "Traceback" not in daemon.output()
