"""What receivers heard, held against what the store has."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from daemon import WEBHOOK_SECRET
from standardwebhooks import Webhook


def assert_complete_and_in_order(slack: Any, alerts: list[dict[str, Any]]) -> None:
    """One message an episode, edited as often as it had later transitions, with a reply where it resolved."""
    transitions = defaultdict(list)
    for alert in alerts:
        transitions[alert["id"]].append(alert["transition"])
    messages = slack.workspace.messages()
    firsts = {
        message.metadata["event_payload"]["id"]: message for message in messages if message.thread_ts is None
    }
    assert set(firsts) == set(transitions)
    for episode, steps in transitions.items():
        message = firsts[episode]
        replies = [other for other in messages if other.thread_ts == message.ts and not other.broadcast]
        assert message.edits == len(steps) - 1
        assert len(replies) == (1 if steps[-1] == "resolved" else 0)


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
