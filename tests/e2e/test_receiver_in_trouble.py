"""Show e, in the whole service: a receiver in trouble disturbs neither detection nor the other receiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured import FILES, best_captures
from daemon import Daemon, configure, tapewatch
from fakes.slack import Answer, hang, rate_limited, refuse, server_error
from heard import assert_complete_and_in_order
from stores import ask, bodies, consumed, sent, undelivered

RECORDS = 4_000
POSTS = ("chat.postMessage", "chat.update")
TROUBLES = {
    "429 with Retry-After": rate_limited(2),
    "500": server_error(),
    "hangs": hang(30),
    "ok: false for now": refuse("internal_error"),
}


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
    )
    config.write_text(config.read_text().replace("api_url:", "timeout: 1s, api_url:"))
    tapewatch("publish", "-c", config, "-t", topic, "--limit", str(RECORDS), best_captures().spot[0])
    return config, Daemon(config)


def wanted_by_webhook(slack: Any) -> set[str]:
    return {post.headers["webhook-id"] for post in slack.of("webhook/ops")}


def keys(store: Path) -> set[str]:
    overtaken = (
        "SELECT alert_id || '-' || number FROM deliveries WHERE receiver = 'ops' AND state = 'superseded'"
    )
    unsent = {key for (key,) in ask(store, overtaken)}
    return {f"{alert['id']}-{alert['number']}" for alert in map(json.loads, bodies(store))} - unsent


# how each of them ends for the receiver itself is in tests/alerts/test_delivery.py
@pytest.mark.parametrize(
    "trouble",
    [
        "500",
        "hangs",
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in ("429 with Retry-After", "ok: false for now")
        ),
    ],
)
def test_the_others_go_on_and_it_gets_everything_later(trouble: str, running: Any, slack: Any) -> None:
    config, daemon = running
    store = config.with_suffix(".db")
    answer: Answer = TROUBLES[trouble]
    for method in POSTS:
        slack.always(method, answer)
    with daemon:
        daemon.wait_until(lambda: consumed(store) == RECORDS, "everything consumed")
        daemon.wait_until(lambda: wanted_by_webhook(slack) >= keys(store), "all at the other receiver")
        assert len(keys(store)) > 20
        assert not slack.workspace.messages(), "nothing has reached the receiver in trouble"
        for method in POSTS:
            slack.always(method, None)
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered in the end", 120)
        assert daemon.stop() == 0
    assert_complete_and_in_order(slack, [json.loads(body) for body in sent(store, "desk")])


def test_a_permanent_error_is_parked_shown_and_told_to_another_receiver(running: Any, slack: Any) -> None:
    config, daemon = running
    store = config.with_suffix(".db")
    slack.always("chat.postMessage", refuse("channel_not_found"))
    with daemon:
        daemon.wait_until(lambda: consumed(store) == RECORDS, "everything consumed")
        daemon.wait_until(lambda: wanted_by_webhook(slack) >= keys(store), "all at the other receiver")
        daemon.wait_until(lambda: told_of_parking(slack), "the other receiver told of it")
        assert daemon.stop() == 0
    shown = tapewatch("alerts", "-c", config)
    assert "desk" in shown.stderr
    assert "parked: channel_not_found" in shown.stderr
    assert ask(store, "SELECT DISTINCT receiver FROM deliveries WHERE state = 'parked'") == [("desk",)]

    slack.always("chat.postMessage", None)
    tapewatch("alerts", "-c", config, "--retry-parked", "desk")
    with daemon:
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered in the end", 90)
        assert daemon.stop() == 0
    firsts = [message for message in slack.workspace.messages() if message.thread_ts is None]
    episodes = {alert["id"] for alert in map(json.loads, bodies(store))}
    assert {message.metadata["event_payload"]["id"] for message in firsts} >= episodes


def told_of_parking(slack: Any) -> list[dict[str, Any]]:
    alerts = [json.loads(post.body) for post in slack.of("webhook/ops")]
    return [alert for alert in alerts if alert["rule"] == "delivery_parked"]
