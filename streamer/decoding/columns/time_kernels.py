"""Parses times in texts exactly: counts since 1970, and ISO 8601. A text is an address and a size."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.event_fields import TIME_MAX_NS
from streamer.decoding.json.wide_loads import byte_at
from streamer.messages.time_units import NS_PER_SECOND

NO_NS = -1
"""Stands for anything that is not plainly a time in [1970, 2200]."""

ISO = 10
"""Stands for ISO 8601 among units, which are numbers of decimal digits in ns."""

_MAX_DIGITS = 18  # converted to ns, these fit the 28 digits that Decimal multiplies exactly
_NS_DIGITS = 9
_DAY_S = 86_400
_DAYS_TO_1970 = 719_468  # from 1 March of year 0
_TENS = np.array([10**power for power in range(_MAX_DIGITS + 1)], np.int64)
_ZERO, _POINT, _MINUS, _PLUS, _COLON = (ord(character) for character in "0.-+:")


@kernel(forceinline=True)
def integer_at(text, size):
    """The value of a text of up to 18 digits; -1 for anything else."""
    if size < 1 or size > _MAX_DIGITS:
        return -1
    number = 0
    for place in range(text, text + size):
        digit = byte_at(place) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@kernel(forceinline=True)
def decimal_ns(text, size, digits):
    """A count such as ``1618677817.061845`` of units of 10**`digits` ns, in ns; else `NO_NS`."""
    point = 0
    while point < size and byte_at(text + point) != _POINT:
        point += 1
    whole = integer_at(text, point)
    if whole < 0 or whole > TIME_MAX_NS // _TENS[digits]:
        return NO_NS
    ns = whole * _TENS[digits]
    if point < size:
        places = size - point - 1
        fraction = integer_at(text + point + 1, places)
        if fraction < 0 or point + places > _MAX_DIGITS:
            return NO_NS
        ns += fraction * _TENS[digits - places] if places <= digits else fraction // _TENS[places - digits]
        if ns == 0 and fraction > 0:
            return NO_NS
    return ns if ns <= TIME_MAX_NS else NO_NS


@kernel(forceinline=True)
def iso_ns(text, size):
    """A time such as ``2024-08-08T14:30:00.123Z`` or ``…+05:30`` in ns; else `NO_NS`."""
    if size < 20 or not _separated(text):
        return NO_NS
    year, month, day = integer_at(text, 4), integer_at(text + 5, 2), integer_at(text + 8, 2)
    hour, minute, second = (
        integer_at(text + 11, 2),
        integer_at(text + 14, 2),
        integer_at(text + 17, 2),
    )
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > _days_of(year, month):
        return NO_NS
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return NO_NS
    zone, fraction = 19, 0
    if byte_at(text + 19) == _POINT:
        zone += 1
        while zone < size and _ZERO <= byte_at(text + zone) <= _ZERO + 9:
            zone += 1
        places = min(zone - 20, _NS_DIGITS)
        if places == 0:
            return NO_NS
        fraction = integer_at(text + 20, places) * _TENS[_NS_DIGITS - places]
    good, ahead = _zone_seconds(text + zone, size - zone)
    if not good:
        return NO_NS
    seconds = _days(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second - ahead
    if seconds < 0 or seconds > TIME_MAX_NS // NS_PER_SECOND:
        return NO_NS
    ns = seconds * NS_PER_SECOND + fraction
    return ns if ns <= TIME_MAX_NS else NO_NS


@kernel(forceinline=True)
def _separated(text):
    return (
        byte_at(text + 4) == _MINUS
        and byte_at(text + 7) == _MINUS
        and (byte_at(text + 10) == ord("T") or byte_at(text + 10) == ord(" "))
        and byte_at(text + 13) == _COLON
        and byte_at(text + 16) == _COLON
    )


@kernel(forceinline=True)
def _zone_seconds(text, size):
    """Whether the text is a zone, and how many seconds it is ahead of UTC."""
    if size == 1:
        return byte_at(text) == ord("Z"), 0
    if not (size == 5 or size == 6) or (byte_at(text) != _PLUS and byte_at(text) != _MINUS):
        return False, 0
    if size == 6 and byte_at(text + 3) != _COLON:
        return False, 0
    hours, minutes = integer_at(text + 1, 2), integer_at(text + size - 2, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return False, 0
    seconds = hours * 3600 + minutes * 60
    return True, seconds if byte_at(text) == _PLUS else -seconds


@kernel(forceinline=True)
def _days_of(year, month):
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@kernel(forceinline=True)
def _days(year, month, day):
    """Days since 1970 of a Gregorian date (Richards 2013, Explanatory Supplement, section 15.11)."""
    if month <= 2:
        year -= 1
        month += 12
    before = (153 * (month - 3) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + before - _DAYS_TO_1970
