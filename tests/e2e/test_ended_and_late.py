"""The real process where logs end and come back, and where it comes back to an old backlog."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from broker.watching import send
from daemon import Daemon, tapewatch
from fakes.slack import FakeSlack
from kafka import KafkaAdminClient
from stores import ask, undelivered

SOONER = """
import sys
from streamer.cli import main
from streamer.sources.kafka import deleted_topics
deleted_topics.GONE_AFTER_S, deleted_topics.ASK_EVERY_S = 2.0, 0.5
sys.argv[0] = "tapewatch"
main()
"""
DAY_MS = 86_400_000
CONFIG = """
source:
  kafka: {{bootstrap: "{bootstrap}", group: "{group}", start: earliest, client: {{metadata_max_age_ms: 500}}}}
  topics: [{{match: {topics}, format: tapewatch, venue: here}}]
rules:
  held: {{when: price > 0, on: trade, clear: 1h, text: "{{symbol}} is traded at {{price}}"}}
engine: {{ticks: off}}
store: "{store}"
serve: {{address: off}}
receivers:
  ops: {{webhook: {{url: "{hook}", secret: {{env: OPS_WEBHOOK_SECRET}}}}, cap: off}}
"""


@pytest.fixture
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


class Desk:
    """A configuration that can be written anew, its store, and what its receiver heard."""

    def __init__(self, broker: str, folder: Path, slack: FakeSlack) -> None:
        self.config, self.store = folder / "tapewatch.yaml", folder / "tapewatch.db"
        self._broker, self._slack = broker, slack

    def reads(self, *topics: str) -> Path:
        text = CONFIG.format(
            bootstrap=self._broker,
            group=self.store.parent.name,
            topics=json.dumps(topics),
            store=self.store,
            hook=self._slack.webhook_url("ops"),
        )
        self.config.write_text(text)
        return self.config

    def trade(self, topic: str, symbols: Sequence[str], at_ms: int, partition: int = 0) -> None:
        for number, symbol in enumerate(symbols):
            event = {
                "event_type": "trade",
                "symbol": symbol,
                "ts_event": (at_ms + number) * 1_000_000,
                "price": 100.0,
                "size": 1.0,
            }
            send(self._broker, topic, [json.dumps(event).encode()], partition=partition, at_ms=at_ms + number)

    def heard(self, transition: str) -> list[dict[str, Any]]:
        """Each once: after a kill one that had arrived may come again, under its key."""
        bodies = [json.loads(each.body) for each in self._slack.of("webhook/ops")]
        once = {(body["id"], body["number"]): body for body in bodies}
        return [body for body in once.values() if body["transition"] == transition]

    def told(self, rule: str) -> list[dict[str, Any]]:
        return [body for body in self.heard("fired") if body["rule"] == rule]

    def settled(self, daemon: Daemon) -> None:
        daemon.wait_until(lambda: undelivered(self.store) == 0, "everything delivered")


class Sooner(Daemon):
    """It is sure of what is gone after two seconds, not thirty."""

    command = ("-c", SOONER)


@pytest.fixture
def desk(broker: str, tmp_path: Path, slack: FakeSlack) -> Desk:
    return Desk(broker, tmp_path, slack)


def now_ms() -> int:
    return int(time.time() * 1000)


def test_a_topic_taken_out_of_the_configuration_ends_and_goes_on_when_it_is_back(
    desk: Desk, topic_factory: Callable[..., str]
) -> None:
    kept, left_out = topic_factory("kept"), topic_factory("left", 2)
    for topic, partition in ((kept, 0), (left_out, 0), (left_out, 1)):
        desk.trade(topic, ["A", "B"], now_ms(), partition)
    with Daemon(desk.reads(kept, left_out)) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 6, "every alert")
        assert daemon.stop() == 0
    with Daemon(desk.reads(kept)) as daemon:
        daemon.wait_until(lambda: len(desk.heard("resolved")) == 4, "the ends of four episodes")
        desk.settled(daemon)
        assert daemon.stop() == 0
    assert {body["source"]["topic"] for body in desk.heard("resolved")} == {left_out}
    (told,) = desk.told("log_ended")
    assert told["text"].startswith(
        f"{left_out} (2 partitions) is not read any more: the topic is no longer in"
    )
    assert "4 open episodes were resolved" in told["text"]
    desk.trade(left_out, ["A"], now_ms())
    with Daemon(desk.reads(kept, left_out)) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 7, "an alert of the topic that is back")
        assert daemon.stop() == 0
    assert desk.told("held")[-1]["source"]["offset"] == 2
    generations = ask(desk.store, "SELECT incarnation LIKE '%~1', position FROM members WHERE task_id > 3")
    assert sorted(generations) == [(1, 2), (1, 2)]
    assert len(desk.told("log_ended")) == 1
    listed = tapewatch("alerts", "-c", desk.config, "--open").stdout
    assert listed.count("is traded at") == 3


def test_a_deleted_topic_ends_while_the_others_are_read(
    desk: Desk, topic_factory: Callable[..., str], admin: KafkaAdminClient
) -> None:
    """A start does without it as well, although it is named."""
    kept, deleted = topic_factory("kept"), topic_factory("deleted", 2)
    for topic, partition in ((kept, 0), (deleted, 0), (deleted, 1)):
        desk.trade(topic, ["A"], now_ms(), partition)
    desk.reads(kept, deleted)
    with Sooner(desk.config) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 3, "it")
        admin.delete_topics([deleted])
        daemon.wait_until(lambda: len(desk.heard("resolved")) == 2, "it")
        desk.trade(kept, ["B"], now_ms())
        daemon.wait_until(lambda: len(desk.told("held")) == 4, "it")
        desk.settled(daemon)
        assert daemon.stop() == 0
    (told,) = desk.told("log_ended")
    assert told["text"].startswith(f"{deleted} (2 partitions) is not read any more: the topic was deleted")
    assert all(body["text"].endswith("(over: the topic was deleted)") for body in desk.heard("resolved"))
    with Sooner(desk.config) as daemon:
        desk.trade(kept, ["C"], now_ms())
        daemon.wait_until(lambda: len(desk.told("held")) == 5, "it")
        admin.create_topics({deleted: {"num_partitions": 1}}, wait_for_metadata=True)
        desk.trade(deleted, ["A"], now_ms())
        daemon.wait_until(lambda: len(desk.told("held")) == 6, "it")
        desk.settled(daemon)
        assert daemon.stop() == 0
    assert len(desk.told("log_ended")) == 1
    assert desk.told("log_gap") == []


def test_what_is_found_in_an_old_backlog_is_late(desk: Desk, topic_factory: Callable[..., str]) -> None:
    topic, old = topic_factory(), now_ms() - 2 * DAY_MS
    desk.trade(topic, ["A"], old)
    desk.reads(topic)
    with Daemon(desk.config) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 1, "the first alert")
        daemon.kill()
    desk.trade(topic, ["B", "C"], old + 60_000)
    desk.trade(topic, ["D"], now_ms())
    with Daemon(desk.config) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 4, "all alerts")
        desk.settled(daemon)
        assert daemon.stop() == 0
    query = "SELECT symbol, behind_s FROM outbox WHERE rule = 'held' AND transition = 'fired' ORDER BY symbol"
    behind = dict(ask(desk.store, query))
    assert behind["A"] == 0, "it was the newest then"
    assert behind["D"] == 0
    assert behind["B"] == pytest.approx(2 * 86_400 - 60, abs=120)
    assert behind["C"] == pytest.approx(2 * 86_400 - 60, abs=120)
    listed = " ".join(tapewatch("alerts", "-c", desk.config).stdout.split())
    assert "behind id" in listed
    assert listed.count(" 2d ") == 2
    (late,) = [body["id"] for body in desk.told("held") if body["symbol"] == "B"]
    assert "its log had records 2d newer" in tapewatch("why", late, "-c", desk.config).stdout
