"""SIGHUP on the real process: another configuration is taken over as a whole, or not at all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captured import COMMITTED, FILES
from daemon import CHANNEL, WEBHOOK_SECRET, Daemon, alerts_of, configure, edited, tapewatch
from stores import ask, consumed, undelivered

CAPTURE = COMMITTED / "spot_btcusdt.gz"
FIRST, MORE = 1500, 3000


@pytest.fixture
def running(broker: str, topic_factory: Any, slack: Any, tmp_path: Path) -> Any:
    topic = topic_factory("spot", 1)
    config = configure(
        "sensitive.yaml",
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={topic: "binance"},
        files=FILES,
        checkpoint={"every": "1s"},
        log={"format": "json"},
    )
    tapewatch("publish", "-c", config, "-t", topic, "--limit", str(FIRST), CAPTURE)
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: consumed(config.with_suffix(".db")) == FIRST, "everything consumed")
        yield config, daemon, topic


def told(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    lines = [line for line in daemon.output().splitlines() if line.startswith("{")]
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def hang_up(daemon: Daemon, event: str) -> None:
    before = len(told(daemon, event))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: len(told(daemon, event)) > before, event, 60)


def test_rules_receivers_and_routes_are_taken_over(running: Any, slack: Any) -> None:
    config, daemon, topic = running
    store = config.with_suffix(".db")
    daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered")
    before = slack.of("webhook/ops")
    edges = {alert["id"]: alert for alert in alerts_of(config) if alert["rule"] == "big_trade"}

    def change(document: Any) -> None:
        del document["rules"]["wide_spread"]
        document["rules"]["every_trade"] = {"when": "price > 0", "clear": "1s", "severity": "info"}
        hook = {"url": slack.webhook_url("late"), "secret": {"env": "OPS_WEBHOOK_SECRET"}}
        document["receivers"]["late"] = {"webhook": hook, "cap": "off"}
        del document["receivers"]["ops"]
        document["route"] = {"to": ["late"]}

    edited(config, change)
    hang_up(daemon, "reloaded")
    (line,) = told(daemon, "reloaded")
    assert line["old"] != line["new"]
    assert {"rules.wide_spread", "rules.every_trade", "receivers.late", "receivers.ops"} < set(
        line["changed"].split(", ")
    )
    (gone,) = told(daemon, "receiver removed, what it is owed stays in the store")
    assert gone["receiver"] == "ops"
    tapewatch("publish", "-c", config, "-t", topic, "--limit", str(MORE), CAPTURE)
    daemon.wait_until(lambda: consumed(store) == FIRST + MORE, "all of it consumed")
    daemon.wait_until(lambda: slack.of("webhook/late"), "an alert at the new receiver")
    daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered in the end")
    assert slack.of("webhook/ops") == before, "the receiver that is gone hears nothing more"
    assert daemon.stop() == 0
    assert ask(store, "SELECT count(*) FROM journal WHERE kind = 'reload'") == [(1,)]
    alerts = alerts_of(config)
    assert {alert["config_hash"] for alert in alerts if alert["rule"] == "every_trade"} == {line["new"]}
    over = [alert for alert in alerts if alert["text"].endswith("(over: the rule was changed or removed)")]
    assert {alert["rule"] for alert in over} <= {"wide_spread"}
    assert edges.keys() <= {alert["id"] for alert in alerts}

    with Daemon(config) as again:
        again.wait_until(lambda: told(again, "running")[1:], "a second start")
        assert told(again, "running")[-1]["config"] == line["new"]
        assert again.stop() == 0
    assert ask(store, "SELECT count(*) FROM journal WHERE kind = 'reload'") == [(1,)]


def broken_rules(document: Any) -> None:
    document["rules"]["big_trade"]["when"] = "sise > 10"
    document["rules"]["busy_feed"]["when"] = "message_rate_1s > 3bps +"


def missing_secret(document: Any) -> None:
    document["receivers"]["ops"]["webhook"]["secret"] = {"env": "NOT_SET_ANYWHERE"}
    document["rules"]["another"] = {"when": "price > 0"}


def other_broker(document: Any) -> None:
    document["source"]["kafka"]["group"] = "another"
    document["store"] = "elsewhere.db"
    document["rules"]["another"] = {"when": "price > 0"}


def another_join(document: Any) -> None:
    topic = document["source"]["topics"][0]["match"]
    document["source"]["join"] = {"topics": [topic], "partitions": "all"}


BROKEN: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "rules": (broken_rules, ("rules.big_trade.when: ", "rules.busy_feed.when: ")),
    "secret": (missing_secret, ("NOT_SET_ANYWHERE is not set",)),
    "join": (another_join, ("source.join: a changed join needs a restart of all members of the group",)),
    "restart": (other_broker, ("source.kafka.group: this change needs a restart", "store: ")),
}


def test_what_is_broken_changes_nothing_and_is_said_line_by_line(running: Any, slack: Any) -> None:
    config, daemon, topic = running
    store = config.with_suffix(".db")
    right = config.read_text()
    for change, words in BROKEN.values():
        edited(config, change)
        before = len(told(daemon, "reload refused"))
        hang_up(daemon, "nothing was changed")
        problems = [entry["problem"] for entry in told(daemon, "reload refused")[before:]]
        assert len(problems) == len(words), problems
        for problem, word in zip(problems, words, strict=True):
            assert problem.startswith(f"{config}:")
            assert word in problem
            assert problem.removeprefix(f"{config}:").split(":")[0].isdigit(), "a line"
        config.write_text(right)
    config.unlink()
    hang_up(daemon, "nothing was changed")
    assert "there is no such file" in told(daemon, "reload refused")[-1]["problem"]
    config.write_text(right)
    hang_up(daemon, "reloaded")
    (line,) = told(daemon, "reloaded")
    assert line["old"] == line["new"]
    assert line["changed"] == "nothing"
    tapewatch("publish", "-c", config, "-t", topic, "--limit", str(MORE), CAPTURE)
    daemon.wait_until(lambda: consumed(store) == FIRST + MORE, "all of it consumed")
    daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered in the end")
    assert daemon.stop() == 0
    assert ask(store, "SELECT count(*) FROM journal WHERE kind = 'reload'") == [(0,)]
    assert "another" not in {alert["rule"] for alert in alerts_of(config)}
    for text in (WEBHOOK_SECRET, "xoxb-"):
        assert text not in daemon.output()
    assert slack.workspace.messages(), CHANNEL
