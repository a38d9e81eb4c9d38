"""What Slack remembers: channels, messages, threads; and the errors it answers with."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class SlackRefusalError(Exception):
    """An `ok: false`; `str()` is the error's name."""


@dataclass
class Message:
    """One message; `edits` counts how often it was changed, `texts` are all it has ever said.

    A `broadcast` is a reply that the channel shows too.
    """

    channel: str
    ts: str
    text: str
    blocks: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    edits: int = 0
    texts: list[str] = field(default_factory=list)


class Workspace:
    """The state behind the Web API."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.channels = {name: f"C{number:010d}" for number, name in enumerate(channels, 1)}
        self.outside: set[str] = set()
        """Names of channels that are public and do not have the bot in them."""
        self.archived: set[str] = set()
        self._messages: list[Message] = []
        self._hooked: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()
        self._last = 0
        self._methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "auth.test": lambda _: {"team": "Test", "user": "tapewatch", "bot_id": "B1"},
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "users.conversations": self._of_bot,
            "chat.getPermalink": lambda given: {
                "permalink": f"https://test.slack.com/archives/{given['channel']}/p{given['message_ts']}"
            },
        }

    def call(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if method not in self._methods:
            raise SlackRefusalError("unknown_method")
        with self._lock:
            return self._methods[method](arguments)

    def incoming(self, arguments: Mapping[str, Any]) -> None:
        if not arguments.get("text") and not arguments.get("blocks"):
            raise SlackRefusalError("no_text")
        with self._lock:
            self._hooked.append(arguments)

    def hooked(self) -> list[Mapping[str, Any]]:
        """What came by the incoming webhook."""
        with self._lock:
            return list(self._hooked)

    def messages(self, channel: str | None = None) -> list[Message]:
        """All messages as they are now, oldest first, replies included."""
        with self._lock:
            wanted = None if channel is None else self.channels[channel]
            return [message for message in self._messages if wanted in (None, message.channel)]

    def remove(self, ts: str) -> None:
        """Somebody deletes a message."""
        with self._lock:
            self._messages = [message for message in self._messages if message.ts != ts]

    def _post(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = str(arguments.get("channel", "")).removeprefix("#")
        channel = self.channels.get(given, given)
        self._known(channel)
        _check_size(arguments)
        thread = arguments.get("thread_ts")
        if thread is not None and not any(message.ts == thread for message in self._messages):
            raise SlackRefusalError("thread_not_found")
        self._last = max(self._last + 1, int(time.time() * 1e6))
        ts = f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"
        text = str(arguments.get("text", ""))
        blocks, carried = _decoded(arguments.get("blocks")) or [], _decoded(arguments.get("metadata"))
        broadcast = bool(arguments.get("reply_broadcast")) and thread is not None
        self._messages.append(Message(channel, ts, text, blocks, carried, thread, broadcast, 0, [text]))
        return {"channel": channel, "ts": ts, "message": {"text": text, "ts": ts}}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel, ts = str(arguments.get("channel")), arguments.get("ts")
        self._known(channel)
        _check_size(arguments)
        for message in self._messages:
            if (message.channel, message.ts) == (channel, ts):
                message.text = str(arguments.get("text", ""))
                message.texts.append(message.text)
                message.blocks = _decoded(arguments.get("blocks")) or []
                if arguments.get("metadata") is not None:
                    message.metadata = _decoded(arguments["metadata"])
                message.edits += 1
                return {"channel": channel, "ts": ts, "text": message.text}
        raise SlackRefusalError("message_not_found")

    def _history(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = str(arguments.get("channel"))
        self._known(channel)
        oldest = float(arguments.get("oldest") or 0)
        found = [
            message
            for message in reversed(self._messages)
            if message.channel == channel
            and (message.thread_ts is None or message.broadcast)
            and float(message.ts) > oldest
        ]
        return _page(found, arguments)

    def _replies(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel, ts = str(arguments.get("channel")), arguments.get("ts")
        self._known(channel)
        found = [
            message
            for message in self._messages
            if message.channel == channel and ts in (message.ts, message.thread_ts)
        ]
        if not found:
            raise SlackRefusalError("thread_not_found")
        return _page(found, arguments)

    def _list(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = [self._channel(name) for name in self.channels]
        return {"channels": found, "response_metadata": {"next_cursor": ""}}

    def _of_bot(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = [self._channel(name) for name in self.channels if name not in self.outside]
        return {"channels": found, "response_metadata": {"next_cursor": ""}}

    def _info(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        for name, number in self.channels.items():
            if number == arguments.get("channel"):
                return {"channel": self._channel(name)}
        raise SlackRefusalError("channel_not_found")

    def _channel(self, name: str) -> dict[str, Any]:
        return {
            "id": self.channels[name],
            "name": name,
            "is_member": name not in self.outside,
            "is_archived": name in self.archived,
        }

    def _known(self, channel: str) -> None:
        names = {number: name for name, number in self.channels.items()}
        if channel not in names:
            raise SlackRefusalError("channel_not_found")
        if names[channel] in self.archived:
            raise SlackRefusalError("is_archived")
        if names[channel] in self.outside:
            raise SlackRefusalError("not_in_channel")


def _page(found: list[Message], arguments: Mapping[str, Any]) -> dict[str, Any]:
    start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
    with_metadata = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
    shown = []
    for message in found[start : start + limit]:
        entry = {"type": "message", "ts": message.ts, "text": message.text}
        if with_metadata and message.metadata is not None:
            entry["metadata"] = message.metadata
        shown.append(entry)
    following = str(start + limit) if start + limit < len(found) else ""
    return {
        "messages": shown,
        "has_more": bool(following),
        "response_metadata": {"next_cursor": following},
    }


def _check_size(arguments: Mapping[str, Any]) -> None:
    blocks = _decoded(arguments.get("blocks")) or []
    if not arguments.get("text") and not blocks:
        raise SlackRefusalError("no_text")
    if len(str(arguments.get("text", ""))) > 40_000:
        raise SlackRefusalError("msg_too_long")
    if len(blocks) > 50 or not all(_fits(block) for block in blocks):
        raise SlackRefusalError("invalid_blocks")
    if sum(map(_characters, blocks)) > 13_200:
        raise SlackRefusalError("msg_blocks_too_long")


def _characters(block: Mapping[str, Any]) -> int:
    texts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
    return sum(len(text["text"]) for text in texts if text is not None)


def _fits(block: Mapping[str, Any]) -> bool:
    if block["type"] == "section":
        fields = block.get("fields", [])
        text = block.get("text", {"text": "x"})["text"]
        return (
            0 < len(text) <= 3_000 and len(fields) <= 10 and all(0 < len(f["text"]) <= 2_000 for f in fields)
        )
    if block["type"] == "header":
        return 0 < len(block["text"]["text"]) <= 150
    elements = block.get("elements", [])
    return 0 < len(elements) <= 10 and all(0 < len(each["text"]) <= 3_000 for each in elements)


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
