"""What answers of Slack, or of a server in its place, mean for a delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alerts.receivers.http_client import HttpAnswer
from alerts.receivers.receiver import PermanentError, RetryableError
from alerts.receivers.retry_after import asked_to_wait_s

RETRYABLE = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Temporary errors; any other needs a change by a person."""

# after these even Slack does not know whether the message was posted
_DOUBTFUL = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
_RATE_ERRORS = frozenset({"ratelimited", "rate_limited"})
_ERROR_LENGTH = 60  # characters; Slack's names are shorter
_TOO_EARLY = 425  # it was not looked at
_RETRYABLE_STATUS = frozenset({408, _TOO_EARLY})
_PLACE = ("channel", "ts")  # where a message is
_LISTS = {
    "conversations.history": ("messages", "ts"),
    "conversations.replies": ("messages", "ts"),
    "users.conversations": ("channels", "id"),
}
_PARKED = "it may have arrived, so it is not sent again"


class UnexpectedAnswerError(RetryableError):
    """Status 200 with a body that is not the Web API's: something else answered, or it was cut short."""


def checked_api_answer(
    method: str, answer: HttpAnswer, shown: Callable[[HttpAnswer], str], now: float
) -> None:
    """Make sure that an answer of the Web API says `ok`, and holds what is read of it.

    Parameters
    ----------
    method
        What was called, such as ``chat.postMessage``.
    answer
        As received.
    shown
        Gives its beginning, safe to be shown.
    now
        Wall-clock seconds.

    Raises
    ------
    RetryableError
        On 408, 425, 429 and 5xx, on temporary errors, and, in doubt, on 200 with a body that is not the Web
        API's, or lacks what Slack's holds.
    PermanentError
        On every other status, and every other error that Slack names.
    """
    data = _json(answer)
    says_ok = answer.status == 200 and isinstance(data, Mapping) and data.get("ok") is True
    lacking = _lacking(method, data) if says_ok else None
    if says_ok and lacking is None:
        return
    named = _name(data.get("error")) if isinstance(data, Mapping) and not says_ok else None
    if answer.status == 200 and named is None:
        what = "but not the JSON of Slack's Web API" if answer.complete else "but not complete in time"
        if lacking is not None:
            what = f"without {lacking}"
        raise UnexpectedAnswerError(
            f"unexpected_answer: it answered 200, {what}: check api_url and proxies",
            in_doubt=True,
            answer=shown(answer),
        )
    raise error_for(answer.status, answer.headers, named, now, shown(answer))


def checked_hook_answer(
    answer: HttpAnswer, shown: Callable[[HttpAnswer], str], now: float, accepts: Sequence[str] = ()
) -> None:
    """Make sure that an incoming webhook says that a message arrived.

    Slack and Mattermost answer ``ok``, Slack's workflows ``{"ok": true}``. After any other 2xx nobody knows
    whether the message is there, and it cannot be looked up.

    Parameters
    ----------
    answer
        As received.
    shown
        Gives its beginning, safe to be shown.
    now
        Wall-clock seconds.
    accepts
        What a server in Slack's place answers to say yes: a text, or a JSON object whose keys the answer has.

    Raises
    ------
    RetryableError
        On 408, 425, 429 and 5xx, and on temporary errors.
    PermanentError
        On every other answer; in doubt after a 2xx that names no error.
    """
    data, text = _json(answer), answer.text.strip()
    succeeded = 200 <= answer.status < 300
    if succeeded and any(_says(yes, text, data) for yes in ("ok", '{"ok":true}', *accepts)):
        return
    named = _name(data.get("error")) if isinstance(data, Mapping) else _name(text)
    if named == text and "_" not in text and named not in RETRYABLE:
        named = None  # a word that is not one of Slack's errors
    if succeeded and named is None:
        what = f"{answer.status} without `ok`" if answer.complete else f"{answer.status}, never to its end"
        raise PermanentError(
            f"unexpected_answer: it answered {what}; {_PARKED}: name the answer in `accepts` if it "
            "means yes, or use `webhook` if this is no Slack",
            in_doubt=True,
            answer=shown(answer),
        )
    raise error_for(answer.status, answer.headers, named, now, shown(answer))


def error_for(
    status: int, headers: Mapping[str, Any], name: str | None, now: float, answer: str = ""
) -> RetryableError | PermanentError:
    """The exception that an answer other than success stands for.

    Parameters
    ----------
    status
        The HTTP status.
    headers
        The answer's headers.
    name
        The error that Slack names, None where it names none.
    now
        Wall-clock seconds.
    answer
        The beginning of the answer, safe to be shown.

    Examples
    --------
    >>> error_for(200, {}, "channel_not_found", now=0.0)
    PermanentError('channel_not_found')
    >>> error_for(429, {"Retry-After": "30"}, None, now=0.0).retry_after_s
    30.0
    """
    wait_s = asked_to_wait_s(headers, now)
    if status == 429 or name in _RATE_ERRORS:
        return RetryableError("ratelimited", wait_s, everything=True, answer=answer)
    if status >= 500 or status in _RETRYABLE_STATUS:
        in_doubt = status != _TOO_EARLY
        return RetryableError(f"http_{status}", wait_s, in_doubt=in_doubt, answer=answer)
    if name is None:
        return PermanentError(f"http_{status}", answer=answer)
    if name in RETRYABLE:
        return RetryableError(name, wait_s, in_doubt=name in _DOUBTFUL, answer=answer)
    return PermanentError(name, answer=answer)


def _json(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.text)
    except (ValueError, RecursionError):
        return None


def _lacking(method: str, data: Mapping[str, Any]) -> str | None:
    """What an answer that says `ok` does not hold although Slack's does; None where all is there."""
    if method == "chat.postMessage":
        missing = [name for name in _PLACE if not _is_text(data.get(name))]
        return " and ".join(missing) or None
    if method not in _LISTS:
        return None
    name, key = _LISTS[method]
    items = data.get(name)
    if not isinstance(items, list):
        return name
    whole = all(isinstance(item, Mapping) and _is_text(item.get(key)) for item in items)
    return None if whole else f"the {key} of each of its {name}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _says(yes: str, text: str, data: Any) -> bool:
    if text.lower() == yes.strip().lower():
        return True
    try:
        wanted = json.loads(yes)
    except ValueError:
        return False
    if not isinstance(wanted, Mapping) or not isinstance(data, Mapping):
        return False
    return all(key in data and data[key] == value for key, value in wanted.items())


def _name(text: Any) -> str | None:
    """The name of an error, None for what is not one, such as a sentence."""
    if not isinstance(text, str) or not text.isascii() or not text.replace("_", "").isalnum():
        return None
    return text if len(text) <= _ERROR_LENGTH else None
