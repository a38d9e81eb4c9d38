"""What receivers heard, held against what the store has."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


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
