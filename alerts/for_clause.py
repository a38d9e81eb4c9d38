"""What has to happen before a condition that is true becomes an alert: `for` in a rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from alerts.durations import duration_ns

MAX_OF = 64
"""The longest `m of n`: the last n evaluations of an instrument are kept as bits of one word."""

MAX_DURATION = "1000d"
"""Longer ones are mistakes; a time and this still add up within int64 nanoseconds."""

_COUNT = re.compile(r"(\d{1,4}) +of +(\d{1,4})", re.ASCII)


def parse_duration(text: object) -> int:
    """Read a rule's duration, in ns.

    Raises
    ------
    ValueError
        When it is not one, or longer than `MAX_DURATION`; the message says how to write it.

    Examples
    --------
    >>> parse_duration("5m")
    300000000000
    >>> parse_duration(90)
    Traceback (most recent call last):
        ...
    ValueError: 90 is not a duration: write an integer and s, m, h or d, such as 10s
    """
    if not isinstance(text, str):
        raise ValueError(f"{text} is not a duration: write an integer and s, m, h or d, such as 10s")  # noqa: TRY004
    found = duration_ns(text)
    if found > duration_ns(MAX_DURATION):
        raise ValueError(f"{text!r} is too long (at most {MAX_DURATION})")
    return found


@dataclass(frozen=True, slots=True)
class Hold:
    """How long, or how often, a condition has to be true.

    Parameters
    ----------
    m, n
        At least `m` of the last `n` evaluations; 1 of 1 is at once.
    duration_ns
        At every evaluation for this long (ns), 0 where evaluations are counted instead.
    """

    m: int = 1
    n: int = 1
    duration_ns: int = 0


def parse_hold(text: object) -> Hold:
    """Read the `for` of a rule.

    Parameters
    ----------
    text
        ``3 of 5``, a duration, or None for at once.

    Raises
    ------
    ValueError
        When it is anything else, or cannot ever come true; the message says how to write it.

    Examples
    --------
    >>> parse_hold("3 of 5")
    Hold(m=3, n=5, duration_ns=0)
    >>> parse_hold("10s").duration_ns
    10000000000
    """
    if text is None:
        return Hold()
    match = _COUNT.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        m, n = int(match[1]), int(match[2])
        if not 1 <= m <= n <= MAX_OF:
            raise ValueError(f"'{text}' cannot be counted (write m of n with 1 <= m <= n <= {MAX_OF})")
        return Hold(m, n)
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}; or a count, such as 3 of 5") from None
    if duration == 0:
        raise ValueError(f"'{text}' is no time at all (leave it out to alert at once)")
    return Hold(duration_ns=duration)


def _hold(value: object) -> object:
    parse_hold(value)
    return value


def _duration(value: object) -> object:
    parse_duration(value)
    return value


HoldText = Annotated[str, BeforeValidator(_hold)]
"""A setting that holds a rule's `for` as it was written."""

DurationText = Annotated[str, BeforeValidator(_duration)]
"""A setting that holds a duration as it was written."""
