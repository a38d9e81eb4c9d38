"""The ``Retry-After`` header."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER_S = 86_400.0
"""A day; a date further off is a mistake, and must not silence the receiver for ever."""


def retry_after_s(header: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, 10.2.3): seconds, or a date.

    Parameters
    ----------
    header
        The header's value, None where there is none.
    now
        Wall-clock seconds, for a header that holds a date.

    Returns
    -------
    float or None
        Seconds from now, from 0 to a day; None where the header cannot be read.

    Examples
    --------
    >>> retry_after_s("30", now=0.0)
    30.0
    >>> retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", now=60.0)
    60.0
    >>> retry_after_s("soon", now=0.0) is None
    True
    """
    if header is None:
        return None
    seconds = _seconds(header)
    if seconds is None:
        seconds = _date(header)
        if seconds is None:
            return None
        seconds -= now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def asked_to_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long an answer asks to wait, None where it does not say.

    Where ``Retry-After`` is a date it is read by the answer's own ``Date``: the wait is right then even if
    one of the two machines' clocks is wrong.

    Parameters
    ----------
    headers
        The answer's headers.
    now
        Wall-clock seconds, for an answer without a date of its own.

    Examples
    --------
    >>> at_noon = {"date": "Thu, 01 Jan 1970 12:00:00 GMT", "retry-after": "Thu, 01 Jan 1970 12:00:30 GMT"}
    >>> asked_to_wait_s(at_noon, now=0.0)
    30.0
    """
    by_name = {name.lower(): str(value) for name, value in headers.items()}
    answered_at = _date(by_name.get("date", ""))
    return retry_after_s(by_name.get("retry-after"), now if answered_at is None else answered_at)


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float | None:
    try:
        when = parsedate_to_datetime(text)
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
