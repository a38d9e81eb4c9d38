"""What Slack's answers, or a missing answer, mean for a delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError

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


def quiet_logger() -> logging.Logger:
    """A silent logger for Slack's client, which would log addresses, and those can be secrets."""
    logger = logging.getLogger("alerts.receivers.slack_client")
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger


@contextmanager
def translated(now: Callable[[], float]) -> Iterator[None]:
    """Turn exceptions of Slack's client into the two that a sender handles.

    Parameters
    ----------
    now
        Wall-clock seconds.

    Raises
    ------
    RetryableError
        On 429 and 5xx, on temporary errors, and where no answer comes.
    PermanentError
        On every other error that Slack names.
    """
    try:
        yield
    except SlackApiError as error:
        response = error.response
        named = _error_name(response.data)
        raise error_for(response.status_code, response.headers, named, now()) from error
    except URLError as error:
        raise _no_connection(error) from error
    except (OSError, HTTPException, SlackClientError, ValueError, AttributeError) as error:
        # the request was sent and no complete answer came: a timeout, a closed connection, bytes that are
        # not text, or JSON that is not an object, on which Slack's client fails
        raise RetryableError(_reason(error), in_doubt=True, everything=True) from error


def error_for(
    status: int, headers: Mapping[str, Any], name: str | None, now: float
) -> RetryableError | PermanentError:
    """The exception that an answer other than plain success stands for.

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

    Examples
    --------
    >>> error_for(200, {}, "channel_not_found", now=0.0)
    PermanentError('channel_not_found')
    >>> error_for(429, {"Retry-After": "30"}, None, now=0.0).retry_after_s
    30.0
    """
    if status == 429 or name in _RATE_ERRORS:
        return RetryableError("ratelimited", asked_to_wait_s(headers, now), everything=True)
    if status >= 500 or status == 408:
        return RetryableError(f"http_{status}", in_doubt=True)
    if name is None:
        # status 200 without an error or success: a proxy on the way answered, not Slack
        return (
            RetryableError("unexpected_answer", in_doubt=True)
            if status == 200
            else PermanentError(f"http_{status}")
        )
    if name in RETRYABLE:
        return RetryableError(name, in_doubt=name in _DOUBTFUL)
    return PermanentError(name)


def _error_name(data: Any) -> str | None:
    # where the body is not JSON, Slack's client puts a sentence of its own in place of the error's name
    name = data.get("error") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        return None
    return name[:_ERROR_LENGTH]


def _no_connection(error: URLError) -> RetryableError:
    cause = error.reason if isinstance(error.reason, OSError) else error
    # these can also be raised after a part of the request was sent; other errors are failures to connect
    sent = isinstance(cause, TimeoutError | BrokenPipeError | ConnectionResetError)
    return RetryableError(_reason(cause), in_doubt=sent, everything=True)


def _reason(error: BaseException) -> str:
    return type(error).__name__.removesuffix("Error").lower()
