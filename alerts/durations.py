"""Durations written as an integer and a unit: ``10s``, ``5m``, ``1h``, ``2d``."""

from __future__ import annotations

import re

NS_PER_SECOND = 1_000_000_000

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PATTERN = re.compile(r"([0-9]{1,9})(s|m|h|d)")


def duration_s(text: str) -> int:
    """Seconds in a duration such as ``10s`` or ``5m``.

    Raises
    ------
    ValueError
        When the text is not a duration; the message says how to write one.

    Examples
    --------
    >>> duration_s("5m")
    300
    >>> duration_s("5 minutes")
    Traceback (most recent call last):
        ...
    ValueError: '5 minutes' is not a duration: write an integer and s, m, h or d, such as 10s
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write an integer and s, m, h or d, such as 10s")
    return int(match[1]) * _UNIT_S[match[2]]


def duration_ns(text: str) -> int:
    """Nanoseconds in a duration such as ``10s``; raises `ValueError` as `duration_s` does.

    Examples
    --------
    >>> duration_ns("2s")
    2000000000
    """
    return duration_s(text) * NS_PER_SECOND


def spoken(seconds: float) -> str:
    """A duration for people, in its largest unit, with one decimal below ten.

    Examples
    --------
    >>> spoken(45.0), spoken(5_000.0), spoken(40 * 86_400.0)
    ('45s', '1.4h', '40d')
    """
    unit = next((unit for unit in ("d", "h", "m") if seconds >= _UNIT_S[unit]), "s")
    amount = seconds / _UNIT_S[unit]
    return f"{amount:.0f}{unit}" if round(amount, 1) >= 10 else f"{amount:.1f}".removesuffix(".0") + unit


def lasting(seconds: float) -> str:
    """How long something took, in its two largest units.

    Examples
    --------
    >>> lasting(0.2), lasting(45.0), lasting(492.3), lasting(7_500.0), lasting(183_600.0)
    ('less than 1s', '45s', '8m 12s', '2h 5m', '2d 3h')
    """
    left = int(seconds)
    if left < 1:
        return "less than 1s"
    parts: list[tuple[int, str]] = []
    for unit, in_seconds in reversed(_UNIT_S.items()):
        amount, left = divmod(left, in_seconds)
        if amount or parts:
            parts.append((amount, unit))
    return " ".join(f"{amount}{unit}" for amount, unit in parts[:2] if amount)


def after(seconds: float) -> str:
    """How long after something else it was.

    Examples
    --------
    >>> after(0.2), after(492.3)
    ('within 1s', 'after 8m 12s')
    """
    return "within 1s" if seconds < 1 else f"after {lasting(seconds)}"
