"""An alert as a Slack message, within Slack's limits.

Limits: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.receivers.body import Shown, read_body
from alerts.receivers.receiver import Delivery

METADATA_EVENT = "tapewatch_alert"
"""The `event_type` under which messages carry the key they were sent under."""

_SECTION_LENGTH = 3_000  # characters of one section's text
_FIELD_LENGTH = 2_000  # characters of one field
_CONTEXT_LENGTH = 2_000  # characters of one context element
_FIELDS = 10  # fields of one section; more are counted, not shown
_FALLBACK_LENGTH = 3_000  # characters of the text that notifications show
_ELLIPSIS = "…"

_EMOJI = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}
_RESOLVED_EMOJI = ":white_check_mark:"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """What one transition looks like.

    Parameters
    ----------
    text
        For notifications, and where blocks are not shown.
    blocks
        For everybody else.
    """

    text: str
    blocks: Sequence[Mapping[str, Any]]


def escape(text: str, limit: int) -> str:
    """Escape Slack's three control characters, cutting so that the result fits and no escape is cut in two.

    So no text can mention a channel or pass for a link
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
    """The message of a transition, to be posted, or to stand in an earlier one's place."""
    shown = read_body(delivery)
    blocks: list[Mapping[str, Any]] = [_section(f"{_emoji(shown)} *{escape(shown.headline, 500)}*")]
    if shown.text:
        blocks.append(_section(escape(shown.text, _SECTION_LENGTH)))
    if shown.values and shown.transition != "resolved":  # then they are of the row that ended it
        blocks.append({"type": "section", "fields": _fields(shown.values)})
    blocks.append({"type": "context", "elements": [_mrkdwn(_footer(shown))]})
    return SlackMessage(_fallback(shown), blocks)


def reply(delivery: Delivery) -> SlackMessage:
    """The short note in the thread that tells of the end of an episode."""
    shown = read_body(delivery)
    line = f"{_RESOLVED_EMOJI} {escape(f'{shown.rule} {shown.subject}'.strip(), 500)} is over"
    return SlackMessage(
        _fallback(shown),
        [_section(line), {"type": "context", "elements": [_mrkdwn(_footer(shown))]}],
    )


def metadata(delivery: Delivery, step: str) -> dict[str, Any]:
    """What a message carries unseen, so that it can be found again; Slack keeps it over edits.

    Parameters
    ----------
    delivery
        What the message is first posted for.
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
    shown = list(values.items())
    more = len(shown) - _FIELDS
    if more > 0:
        shown = shown[: _FIELDS - 1]
    fields = [
        _mrkdwn(f"*{escape(name, 200)}*\n{escape(value, _FIELD_LENGTH - 300)}") for name, value in shown
    ]
    if more > 0:
        fields.append(_mrkdwn(f"and {more + 1} more"))
    return fields


def _footer(shown: Shown) -> str:
    return escape(f"{shown.ts_event} · {shown.alert_id} · {shown.number}", _CONTEXT_LENGTH)


def _fallback(shown: Shown) -> str:
    line = f"{shown.headline}: {shown.text}" if shown.text else shown.headline
    return f"{_emoji(shown)} {escape(line, _FALLBACK_LENGTH - 100)}"


def _emoji(shown: Shown) -> str:
    return _RESOLVED_EMOJI if shown.transition == "resolved" else _EMOJI[shown.severity]
