"""A market that goes on whatever happens to its watch, and what a fault may do to the two of them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.local import LocalBroker
from daemon import Daemon
from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import TopicPartition
from stores import undelivered

EVERY_S = 0.05  # between two trades
FIRES_EVERY = 4  # trades; each such one is of an instrument of its own, and must be told once
CONFIG = """
source:
  kafka:
    bootstrap: "{bootstrap}"
    group: faults
    start: earliest
    client: {{metadata_max_age_ms: 500, reconnect_backoff_max_ms: 500}}
  topics: [{{match: "trades.*", format: tapewatch, venue: here}}]
rules:
  big: {{when: size > 100, on: trade, clear: 24h, text: "{{symbol}} traded {{size}}"}}
engine: {{ticks: 1s}}
checkpoint: {{every: 1s}}
store: "{store}"
serve: {{address: off}}
log: {{format: json}}
receivers:
  ops: {{webhook: {{url: "{hook}", secret: {{env: OPS_WEBHOOK_SECRET}}}}, cap: off}}
"""
MOVED = """
import os, sys, time
from pathlib import Path
sys.argv[0] = "tapewatch"
real, ahead = time.time, Path(sys.argv[sys.argv.index("-c") + 1]).with_suffix(".ahead")
time.time = lambda: real() + float(ahead.read_text() or 0)
from streamer.cli import main
from streamer.sources.kafka import deleted_topics
deleted_topics.GONE_AFTER_S, deleted_topics.ASK_EVERY_S = 2.0, 0.5
main()
"""


class Market:
    """Trades from a thread of its own, each sent until the broker has it, whatever happens to that.

    One that it has twice is the same instrument, whose episode is open: no second alert.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.told_of: list[str] = []
        self.offsets: dict[str, Any] = {}
        self._topic = topic
        self._bootstrap = bootstrap
        self.connect()
        self._trades = 0
        self._running = threading.Event()
        self._running.set()
        self._quiet = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connect(self) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=self._bootstrap,
            linger_ms=10,
            request_timeout_ms=5_000,
            delivery_timeout_ms=600_000,
            metadata_max_age_ms=500,
            max_block_ms=600_000,
            reconnect_backoff_max_ms=500,
        )

    def disconnect(self) -> None:
        """A producer that is connected makes a topic that was deleted anew, as large as the broker likes."""
        self.pause()
        self._producer.close()

    def pause(self) -> None:
        """No more for now; all that was sent is in the log."""
        self._running.clear()
        assert self._quiet.wait(300), "the market ended"
        self._producer.flush(300)

    def go_on(self) -> None:
        self._quiet.clear()
        self._running.set()

    def end(self) -> None:
        self.pause()
        self._ended.set()
        self._running.set()
        self._thread.join(30)
        self._producer.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            if not self._running.is_set():
                self._quiet.set()
                self._running.wait()
                continue
            self._trade(sorted(self._producer.partitions_for(self._topic)))
            time.sleep(EVERY_S)

    def _trade(self, partitions: Sequence[int]) -> None:
        self._trades += 1
        number = self._trades
        fires = number % FIRES_EVERY == 0
        symbol = f"N{number:06d}" if fires else f"S{number % 7}"
        now_ns = time.time_ns()
        event = {"event_type": "trade", "symbol": symbol, "ts_event": now_ns, "price": 100.0}
        event["size"] = 900.0 if fires else 1.0
        sent = self._producer.send(
            self._topic,
            json.dumps(event).encode(),
            partition=partitions[number // FIRES_EVERY % len(partitions)],
            timestamp_ms=now_ns // 1_000_000,
        )
        if fires:
            self.told_of.append(symbol)
            self.offsets[symbol] = sent


@dataclass
class Watch:
    """A daemon, and everything that it depends on."""

    broker: LocalBroker
    topic: str
    config: Path
    slack: Any
    daemon: Daemon
    market: Market
    long: bool
    taken_away: set[str] = field(default_factory=set)
    """Instruments of whose trades the broker has none any more, each of them named by an alert."""

    @property
    def store(self) -> Path:
        return self.config.with_suffix(".db")

    @property
    def checkpoints(self) -> Path:
        return self.store.with_name(self.store.name + ".checkpoints")

    def for_a_while(self, short_s: float, long_s: float) -> None:
        time.sleep(long_s if self.long else short_s)

    def ended(self) -> str:
        """Wait until the daemon has ended by itself; what it said last."""
        deadline = time.monotonic() + 60
        while self.daemon.running:
            assert time.monotonic() < deadline, self.daemon.output()[-2000:]
            time.sleep(0.05)
        return self.daemon.output()[-2000:]

    def begin(self, *, moved: bool = False) -> None:
        """Start the daemon, and wait until it reads."""
        self.daemon.command = ("-c", MOVED) if moved else ()
        before = self.said("running")
        self.daemon.start()
        self.daemon.wait_until(lambda: self.said("running") > before, "a start", 120)

    def said(self, event: str) -> int:
        """How many lines of its log tell this."""
        output = self.daemon.output() if self.daemon.log.exists() else ""
        return len(re.findall(rf'"event": "{event}"', output))

    def admin(self, work: Callable[[KafkaAdminClient], Any]) -> Any:
        client = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        try:
            return work(client)
        finally:
            client.close()

    def told(self) -> dict[str, set[str]]:
        """By instrument: the ids of alerts that the receiver heard begin."""
        heard = defaultdict(set)
        for post in self.slack.of("webhook/ops"):
            body = json.loads(post.body)
            if body["rule"] == "big" and body["transition"] == "fired":
                heard[body["symbol"]].add(body["id"])
        return heard

    def service_alerts(self, rule: str) -> list[dict[str, Any]]:
        bodies = [json.loads(post.body) for post in self.slack.of("webhook/ops")]
        return list({body["id"]: body for body in bodies if body["rule"] == rule}.values())

    def take_away(self, partition: int, first: int, end: int) -> None:
        """Delete a partition's records before `end`, of which those from `first` on were not read."""
        where = TopicPartition(self.topic, partition)
        self.admin(lambda client: client.delete_records({where: end}))
        for symbol, sent in self.market.offsets.items():
            kept = sent.get(10)
            if kept.partition == partition and first <= kept.offset < end:
                self.taken_away.add(symbol)

    def caught_up(self, *, goes_on: bool = True) -> None:
        """Wait until all that was sent so far is told; the market goes on then, but for the last time."""
        self.market.pause()
        wanted = set(self.market.told_of) - self.taken_away
        self.daemon.wait_until(lambda: wanted <= self.told().keys(), "all that was sent to be told", 90)
        self.daemon.wait_until(lambda: undelivered(self.store) == 0, "everything delivered", 60)
        if goes_on:
            self.market.go_on()
