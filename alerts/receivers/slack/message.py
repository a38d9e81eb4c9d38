"""An alert as a Slack message, within Slack's limits.

Whatever may come from a feed stands in ``plain_text``, where Slack formats nothing; what it should format,
such as times, stands in ``mrkdwn`` with ``verbatim``, where it resolves only what is marked as a token.

Limits: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alerts.plain_text import one_line
from alerts.receivers.body import ReadableAlert, read_body
from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.sections import HEADER_LENGTH, SECTION_LENGTH, escape, parts
from alerts.receivers.wording import MARKS, RESOLVED_MARK, addresses, course, headline, in_a_line
from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY

METADATA_EVENT = "tapewatch_alert"
"""The `event_type` of messages' metadata, whose payload is the delivery's key."""

_CONTEXT_LENGTH = 2_000  # characters of one context element
_FALLBACK_LENGTH = 3_000  # characters of the text that notifications show
_VALUES_SHOWN = 12
_DAY_S = 86_400.0
_LATEST = 253_402_300_799.0  # the last second of the year 9999: what a date can be made of


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """One transition as a message.

    Parameters
    ----------
    text
        For notifications, and where blocks are not displayed; the most important comes first.
    blocks
        Displayed everywhere else.
    """

    text: str
    blocks: Sequence[Mapping[str, Any]]

    @property
    def arguments(self) -> dict[str, Any]:
        """What a call that posts or edits it is given: nothing of `text` becomes a mention or a link."""
        blocks = [dict(block) for block in self.blocks]
        return {"text": self.text, "blocks": blocks, "parse": "none", "link_names": False}


def message(delivery: Delivery, mention: Sequence[str] = ()) -> SlackMessage:
    """The message of a transition, to be posted or to replace an earlier one.

    Parameters
    ----------
    delivery
        The transition.
    mention
        Whom it calls, as Slack's tokens.
    """
    alert = read_body(delivery)
    said = [alert.text, course(alert)]
    blocks = [*_mentioned(mention), _header(_marked(alert, headline(alert, delivery)))]
    blocks += [_section(part) for part in parts("\n".join(filter(None, said)))]
    is_summary = alert.rule in (DELIVERY_SUMMARY, DELIVERY_DIGEST)  # its text counts them already
    values = "" if alert.is_over or is_summary else _values(alert)
    if values:
        blocks.append(_context(_plain(values, _CONTEXT_LENGTH)))
    if why := in_a_line(delivery.why):
        blocks.append(_context(_mrkdwn(_linked(why))))
    blocks += _ending(alert, delivery)
    return SlackMessage(_notification(alert, delivery), blocks)


def reply(delivery: Delivery) -> SlackMessage:
    """The note in the thread at the end of an episode."""
    alert = read_body(delivery)
    said = [_marked(alert, headline(alert, delivery)), course(alert)]
    blocks = [_section(part) for part in parts("\n".join(filter(None, said)))]
    return SlackMessage(_notification(alert, delivery), [*blocks, _context(_mrkdwn(_footer(alert)))])


def rise(delivery: Delivery, mention: Sequence[str] = ()) -> SlackMessage:
    """The reply, shown in the channel as well, that an episode has become more severe.

    Parameters
    ----------
    delivery, mention
        As for `message`.
    """
    alert = read_body(delivery)
    said = "\n".join(filter(None, [alert.text, course(alert)]))
    blocks = [*_mentioned(mention), _header(_marked(alert, headline(alert, delivery)))]
    blocks += [_section(part) for part in parts(said)]
    return SlackMessage(_notification(alert, delivery), [*blocks, *_ending(alert, delivery)])


def called(delivery: Delivery, mention: Sequence[str]) -> tuple[str, ...]:
    """Whom a delivery calls: the receiver's and the route's mentions where the reader first hears critical.

    A summary calls only if something that it names is news: not for updates of what is known.

    Parameters
    ----------
    delivery
        The transition.
    mention
        Those of the receiver.
    """
    alert = read_body(delivery)
    is_new = delivery.told is None or delivery.rises_to(alert.severity)
    if alert.severity != "critical" or alert.is_over or not is_new or alert.new_criticals == 0:
        return ()
    return tuple(dict.fromkeys((*mention, *delivery.mention)))


def metadata(delivery: Delivery, step: str) -> dict[str, Any]:
    """Hidden metadata by which a message is found again; Slack keeps it when a message is edited.

    Parameters
    ----------
    delivery
        The one that the message is first posted for.
    step
        ``post``, ``rise`` or ``reply``.
    """
    payload = {
        "id": delivery.alert_id,
        "number": delivery.number,
        "receiver": delivery.receiver,
        "step": step,
    }
    return {"event_type": METADATA_EVENT, "event_payload": payload}


def _mentioned(mention: Sequence[str]) -> Iterator[dict[str, Any]]:
    if mention:
        yield {"type": "section", "text": _mrkdwn(" ".join(mention))}


def _header(line: str) -> dict[str, Any]:
    escaped = escape(line, SECTION_LENGTH)
    if len(escaped) > HEADER_LENGTH:
        return _section(escaped)
    return {"type": "header", "text": {"type": "plain_text", "text": escaped, "emoji": False}}


def _section(escaped: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": escaped, "emoji": False}}


def _context(*elements: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "context", "elements": list(elements)}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": escape(text, limit), "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _linked(text: str) -> str:
    """Escaped, with its addresses as links; for texts of the configuration, whose addresses are runbooks."""
    pieces, at = [], 0
    for place in addresses(text):
        address = text[place].replace("&", "&amp;")
        pieces += [escape(text[at : place.start], _CONTEXT_LENGTH), f"<{address}>"]
        at = place.stop
    return "".join([*pieces, escape(text[at:], _CONTEXT_LENGTH)])


def _values(alert: ReadableAlert) -> str:
    measure = "" if alert.episode is None else alert.episode.measure
    shown = [f"{name} {value}" for name, value in alert.values.items() if name != measure]
    more = len(shown) - _VALUES_SHOWN
    return " · ".join([*shown[:_VALUES_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _ending(alert: ReadableAlert, delivery: Delivery) -> Iterator[dict[str, Any]]:
    if delivery.note:
        yield _context(_plain(f"⚠️ {one_line(delivery.note)}", _CONTEXT_LENGTH))
    yield _context(_mrkdwn(_footer(alert)))


def _footer(alert: ReadableAlert) -> str:
    time = _date(alert.at)
    if alert.episode is not None and alert.transition != "fired" and alert.lasted_s is not None:
        began, joint = alert.episode.began, "to" if alert.is_over else "· now"
        time = f"{_date(began)} {joint} {_date(alert.at, with_day=began // _DAY_S != alert.at // _DAY_S)}"
    severity = [f"was {alert.severity}"] if alert.is_over else []
    rule = [escape(alert.rule, 100)] if alert.title else []
    return " · ".join([time, *severity, *rule, f"id {escape(alert.short_id, 100)}"])


def _date(at: float, *, with_day: bool = True) -> str:
    """A time that Slack shows in the reader's zone."""
    shown = datetime.fromtimestamp(min(max(at, 0.0), _LATEST), UTC)
    tokens, otherwise = ("{date_short_pretty} {time_secs}", "%Y-%m-%d %H:%M:%S UTC")
    if not with_day:
        tokens, otherwise = ("{time_secs}", "%H:%M:%S UTC")
    return f"<!date^{int(at)}^{tokens}|{shown:{otherwise}}>"


def _notification(alert: ReadableAlert, delivery: Delivery) -> str:
    said = " · ".join(filter(None, [*alert.text.split("\n"), course(alert)]))
    line = headline(alert, delivery)
    return escape(_marked(alert, f"{line}: {said}" if said else line), _FALLBACK_LENGTH)


def _marked(alert: ReadableAlert, line: str) -> str:
    return f"{RESOLVED_MARK if alert.is_over else MARKS[alert.severity]} {line}"
