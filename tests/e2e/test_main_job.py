"""Show b: captures published into a real broker, consumed by the daemon, delivered to Slack and a webhook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured import FILES, Captures, all_captures, captures_in_length
from daemon import WEBHOOK_SECRET, Daemon, alerts_of, configure, tapewatch
from standardwebhooks import Webhook
from stores import ask, consumed, sent, undelivered


def published(config: Path, captures: Captures, spot: str, perp: str) -> None:
    tapewatch("publish", "-c", config, "--topic", spot, *captures.spot)
    tapewatch("publish", "-c", config, "--topic", perp, *captures.perp)


@pytest.mark.parametrize("captures", captures_in_length())
@pytest.mark.parametrize("example", ["sensitive.yaml", pytest.param("binance.yaml", marks=pytest.mark.long)])
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


def assert_delivered(alerts: list[dict[str, Any]], slack: Any) -> None:
    """Every transition at the webhook under a valid signature, every episode in Slack and ended there."""
    received = {}
    for post in slack.of("webhook/ops"):
        Webhook(WEBHOOK_SECRET).verify(
            post.body, {name.lower(): value for name, value in post.headers.items()}
        )
        received[post.headers["webhook-id"]] = json.loads(post.body)
    assert received == {f"{alert['id']}-{alert['number']}": alert for alert in alerts}
    episodes = {alert["id"] for alert in alerts}
    resolved = {alert["id"] for alert in alerts if alert["transition"] == "resolved"}
    posts = [post for post in slack.of("chat.postMessage") if "thread_ts" not in post.arguments]
    replies = [post for post in slack.of("chat.postMessage") if "thread_ts" in post.arguments]
    replies = [post for post in replies if not post.arguments.get("reply_broadcast")]  # it got worse
    assert len(posts) == len(episodes)
    assert len(replies) == len(resolved)
