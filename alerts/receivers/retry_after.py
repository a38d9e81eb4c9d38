"""The ``Retry-After`` header."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

_LONGEST_S = 86_400.0  # a day; a date further off is a mistake, and must not silence the receiver for ever


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
    return min(max(seconds, 0.0), _LONGEST_S)


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
