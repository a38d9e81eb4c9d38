"""Durations written as an integer and a unit: ``10s``, ``5m``, ``1h``, ``2d``."""

from __future__ import annotations

import math
import re

NS_PER_SECOND = 1_000_000_000

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
UNIT_WORDS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds", "S"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "M"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "H"), "h"),
    **dict.fromkeys(("day", "days", "D"), "d"),
}
"""Units of time as people write them elsewhere, and as they are written here."""

_WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([A-Za-z]*)")
_LONGER = {"w": 7, "week": 7, "weeks": 7}
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
    ValueError: '5 minutes' is not a duration: write an integer and s, m, h or d, such as 5m
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        such = _meant(text) or "10s"
        raise ValueError(f"{text!r} is not a duration: write an integer and s, m, h or d, such as {such}")
    return int(match[1]) * _UNIT_S[match[2]]


def _meant(text: str) -> str | None:
    """What was probably meant, None where it is not clear, or too short."""
    written = _WRITTEN.fullmatch(text.strip())
    if written is None:
        return None
    amount, word = float(written[1]), written[2] or "s"
    if word.lower() in _LONGER:
        amount, word = amount * _LONGER[word.lower()], "d"
    unit = word if word in _UNIT_S else UNIT_WORDS.get(word) or UNIT_WORDS.get(word.lower())
    if unit is None or amount > 1e6:
        return None
    seconds = amount * _UNIT_S[unit]
    if seconds < 1 or seconds != int(seconds):
        return None
    if amount == int(amount):
        return f"{amount:.0f}{unit}"
    smaller = max((in_s, name) for name, in_s in _UNIT_S.items() if seconds % in_s == 0)
    return f"{seconds / smaller[0]:.0f}{smaller[1]}"


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


def remaining(seconds: float) -> str:
    """How long something still takes, rounded up, without blanks.

    Examples
    --------
    >>> remaining(3_430.5), remaining(12.2), remaining(7_500.0), remaining(29.5 * 86_400)
    ('58m', '13s', '2h5m', '29d12h')
    """
    whole = math.ceil(seconds)
    if whole >= _UNIT_S["m"]:
        whole = -(-whole // _UNIT_S["m"]) * _UNIT_S["m"]
    return lasting(whole).replace(" ", "")


def after(seconds: float) -> str:
    """How long after something else it was.

    Examples
    --------
    >>> after(0.2), after(492.3)
    ('within 1s', 'after 8m 12s')
    """
    return "within 1s" if seconds < 1 else f"after {lasting(seconds)}"
