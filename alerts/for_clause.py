"""The `for` of a rule: how long or how often its condition must be true before it fires; and its `flap`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from alerts.durations import duration_ns

MAX_OF = 64
"""The largest n of `m of n`: an instrument's last n evaluations are the bits of one 64-bit word."""

MAX_DURATION = "1000d"
"""Longer durations are mistakes; a time plus this one still fits int64 nanoseconds."""

_COUNT = re.compile(r"(\d{1,4}) +of +(\d{1,4})", re.ASCII)


def rule_duration_ns(text: object) -> int:
    """Parse a rule's duration, in ns.

    Raises
    ------
    ValueError
        When it is not a duration, or longer than `MAX_DURATION`; the message says how to write one.

    Examples
    --------
    >>> rule_duration_ns("5m")
    300000000000
    >>> rule_duration_ns(90)
    Traceback (most recent call last):
        ...
    ValueError: 90 is not a duration: write an integer and s, m, h or d, such as 10s
    """
    if not isinstance(text, str):
        raise ValueError(f"{text} is not a duration: write an integer and s, m, h or d, such as 10s")  # noqa: TRY004
    ns = duration_ns(text)
    if ns > duration_ns(MAX_DURATION):
        raise ValueError(f"{text!r} is too long (at most {MAX_DURATION})")
    return ns


@dataclass(frozen=True, slots=True)
class Hold:
    """How long, or how often, a condition must be true.

    Parameters
    ----------
    m, n
        At least `m` of the last `n` evaluations; 1 of 1 fires at once.
    duration_ns
        At every evaluation for this long (ns); 0 if evaluations are counted instead.
    """

    m: int = 1
    n: int = 1
    duration_ns: int = 0


def parse_hold(text: object) -> Hold:
    """Parse the `for` of a rule.

    Parameters
    ----------
    text
        ``3 of 5``, a duration, or None for at once.

    Raises
    ------
    ValueError
        When it is anything else, or can never come true; the message says how to write it.

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
        duration = rule_duration_ns(text)
    except ValueError as error:
        raise ValueError(f"{error}; or a count, such as 3 of 5") from None
    if duration == 0:
        raise ValueError(f"'{text}' is no delay (leave 'for' out to alert at once)")
    return Hold(duration_ns=duration)


def flap_ns(text: str | None) -> int:
    """The `flap` of a rule in ns; 0 where it has none.

    Raises
    ------
    ValueError
        When it is not a duration, or nothing.

    Examples
    --------
    >>> flap_ns("5m"), flap_ns(None)
    (300000000000, 0)
    """
    if text is None:
        return 0
    duration = rule_duration_ns(text)
    if duration == 0:
        raise ValueError(f"'{text}' is no time to come back in (leave 'flap' out)")
    return duration


def _check_flap(value: object) -> object:
    flap_ns(value)  # type: ignore[arg-type]  # what is no text is refused
    return value


def _check_hold(value: object) -> object:
    parse_hold(value)
    return value


def _check_duration(value: object) -> object:
    rule_duration_ns(value)
    return value


HoldText = Annotated[str, BeforeValidator(_check_hold)]
"""A setting with a rule's `for`, validated but kept as written."""

FlapText = Annotated[str, BeforeValidator(_check_flap)]
"""A setting with a rule's `flap`, validated but kept as written."""

RuleDurationText = Annotated[str, BeforeValidator(_check_duration)]
"""A setting with a rule's duration, validated but kept as written."""
