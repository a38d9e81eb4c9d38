"""An alert as a Slack message, within Slack's limits.

Limits: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.receivers.body import ReadableAlert, read_body
from alerts.receivers.receiver import Delivery

METADATA_EVENT = "tapewatch_alert"
"""The `event_type` of messages' metadata, whose payload is the delivery's key."""

_SECTION_LENGTH = 3_000  # characters of one section's text
_FIELD_LENGTH = 2_000  # characters of one field
_CONTEXT_LENGTH = 2_000  # characters of one context element
_FIELDS = 10  # of one section; further ones are only counted
_FALLBACK_LENGTH = 3_000  # characters of the text that notifications show
_ELLIPSIS = "…"

_EMOJI = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}
_RESOLVED_EMOJI = ":white_check_mark:"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """One transition as a message.

    Parameters
    ----------
    text
        For notifications, and where blocks are not displayed.
    blocks
        Displayed everywhere else.
    """

    text: str
    blocks: Sequence[Mapping[str, Any]]


def escape(text: str, limit: int) -> str:
    """Escape Slack's three control characters and cut to the limit, never inside an escape.

    This way no text can mention a channel or become a link
    (https://docs.slack.dev/messaging/formatting-message-text#escaping).

    Examples
    --------
    >>> escape("<!channel> P&L", 100)
    '&lt;!channel&gt; P&amp;L'
    >>> escape("aaaa>b", 6)
    'aaaa…'
    """
    escaped = [_ESCAPES.get(character, character) for character in text]
    if sum(map(len, escaped)) <= limit:
        return "".join(escaped)
    room = limit - len(_ELLIPSIS)
    kept = []
    for piece in escaped:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _ELLIPSIS


def message(delivery: Delivery) -> SlackMessage:
    """The message of a transition, to be posted or to replace an earlier one."""
    alert = read_body(delivery)
    blocks: list[Mapping[str, Any]] = [_section(f"{_emoji(alert)} *{escape(alert.headline, 500)}*")]
    if alert.text:
        blocks.append(_section(escape(alert.text, _SECTION_LENGTH)))
    if alert.values and alert.transition != "resolved":  # whose values are of the row that ended it
        blocks.append({"type": "section", "fields": _fields(alert.values)})
    blocks.append({"type": "context", "elements": [_mrkdwn(_footer(alert))]})
    return SlackMessage(_fallback(alert), blocks)


def reply(delivery: Delivery) -> SlackMessage:
    """The note in the thread at the end of an episode."""
    alert = read_body(delivery)
    line = f"{_RESOLVED_EMOJI} {escape(f'{alert.rule} {alert.subject}'.strip(), 500)} is over"
    return SlackMessage(
        _fallback(alert),
        [_section(line), {"type": "context", "elements": [_mrkdwn(_footer(alert))]}],
    )


def metadata(delivery: Delivery, step: str) -> dict[str, Any]:
    """Hidden metadata by which a message is found again; Slack keeps it when a message is edited.

    Parameters
    ----------
    delivery
        The one that the message is first posted for.
    step
        ``post`` or ``reply``.
    """
    payload = {
        "id": delivery.alert_id,
        "number": delivery.number,
        "receiver": delivery.receiver,
        "step": step,
    }
    return {"event_type": METADATA_EVENT, "event_payload": payload}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _fields(values: Mapping[str, str]) -> list[dict[str, str]]:
    listed = list(values.items())
    more = len(listed) - _FIELDS
    if more > 0:
        listed = listed[: _FIELDS - 1]
    fields = [
        _mrkdwn(f"*{escape(name, 200)}*\n{escape(value, _FIELD_LENGTH - 300)}") for name, value in listed
    ]
    if more > 0:
        fields.append(_mrkdwn(f"and {more + 1} more"))
    return fields


def _footer(alert: ReadableAlert) -> str:
    return escape(f"{alert.ts_event} · {alert.alert_id} · {alert.number}", _CONTEXT_LENGTH)


def _fallback(alert: ReadableAlert) -> str:
    line = f"{alert.headline}: {alert.text}" if alert.text else alert.headline
    return f"{_emoji(alert)} {escape(line, _FALLBACK_LENGTH - 100)}"


def _emoji(alert: ReadableAlert) -> str:
    return _RESOLVED_EMOJI if alert.transition == "resolved" else _EMOJI[alert.severity]
