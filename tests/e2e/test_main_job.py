"""Show b: captures published into a real broker, consumed by the daemon, delivered to Slack and a webhook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured import FILES, Captures, all_captures, captures_in_length
from daemon import Daemon, alerts_of, configure, tapewatch
from heard import assert_delivered
from stores import ask, consumed, sent, undelivered


def published(config: Path, captures: Captures, spot: str, perp: str) -> None:
    tapewatch("publish", "-c", config, "--topic", spot, *captures.spot)
    tapewatch("publish", "-c", config, "--topic", perp, *captures.perp)


# its short form is the live run in test_live_equals_replay.py, which is delivered, too
@pytest.mark.long
@pytest.mark.parametrize("captures", captures_in_length())
@pytest.mark.parametrize("example", ["sensitive.yaml", "binance.yaml"])
def test_captures_through_broker_and_daemon(
    captures: Captures, example: str, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    spot, perp = topic_factory("spot", 4), topic_factory("perp", 2)
    config = configure(
        example,
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={spot: "binance", perp: "binance-perp"},
        files=FILES,
        checkpoint={"every": "1s"},
    )
    store = tmp_path / "tapewatch.db"
    published(config, captures, spot, perp)
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: consumed(store) == captures.records, "everything consumed")
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered")
        assert daemon.stop() == 0, daemon.output()[-3000:]

    assert "Traceback" not in daemon.output()
    assert len(ask(store, "SELECT DISTINCT topic, partition FROM tasks")) == 6
    assert ask(store, "SELECT count(*) FROM dead_letters") == [(0,)]
    alerts = alerts_of(config)
    fired = [alert for alert in alerts if alert["transition"] == "fired"]
    if example == "binance.yaml":
        assert len(fired) <= captures.quiet_at_most
    else:
        assert len(fired) >= captures.sensitive_at_least
        assert {alert["venue"] for alert in fired} == {"binance", "binance-perp"}
        assert_delivered([json.loads(body) for body in sent(store, "ops")], slack)


@pytest.mark.parametrize("captures", all_captures())
def test_the_shipped_example_is_quiet_on_captures(captures: Captures, tmp_path: Path) -> None:
    config, alerts = configure("binance.yaml", tmp_path, files=FILES), tmp_path / "alerts.jsonl"
    tapewatch("replay", "-q", "-c", config, *captures.files, "--alerts", alerts)
    told = [json.loads(line) for line in alerts.read_bytes().splitlines()]
    assert sum(alert["transition"] == "fired" for alert in told) <= captures.quiet_at_most
