"""Parses values as feeds write them: numbers in strings, times in stated units."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import inf, isfinite, nan

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import SEQUENCE_MAX, TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.decoding.refusals import Refusal, brief, too_long
from streamer.messages.time_units import NS_PER_MS, NS_PER_SECOND

NS_PER = {"s": NS_PER_SECOND, "ms": NS_PER_MS, "us": 1_000, "ns": 1}
"""Nanoseconds by time unit."""

# possessive: what is no number is known to be none in one pass
_NUMBER = re.compile(
    r"([+-]?)(?:([0-9]++)(?:\.([0-9]*+))?|\.([0-9]++))(?:[eE]([+-]?)0*+([0-9]*+)(?<=[0-9]))?"
)
_NOT_FINITE = {"nan": nan, "inf": inf, "infinity": inf, "-inf": -inf, "-infinity": -inf, "+inf": inf}
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}+)[0-9]*+)?"
    r"(?: ?(Z|z|UTC|[+-][0-9]{2}:?[0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_NS = 31_556_952 * NS_PER_SECOND
_RECENT_NS = 20 * _YEAR_NS, 130 * _YEAR_NS  # from 1990 to 2100: what a time in a wrong unit may mean
_PLACES = {"s": 9, "ms": 6, "us": 3, "ns": 0}  # decimal places of a unit that a nanosecond is
_MOST_EXPONENT_DIGITS = 9  # more than any record has digits


def as_number(value: object, name: str) -> float | None:
    """A number, or a string that contains one; None for null and the empty string.

    Raises
    ------
    Refusal
        If it is something else, not finite, or beyond a double's range.

    Examples
    --------
    >>> as_number("61837.63000000", "price"), as_number(7, "size"), as_number("", "size")
    (61837.63, 7.0, None)
    >>> as_number("NaN", "price")
    Traceback (most recent call last):
    streamer.decoding.refusals.Refusal: price: 'NaN' is not a finite number
    """
    if isinstance(value, float):
        number = value
    elif isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = inf
    elif isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if _NUMBER.fullmatch(text) is None and text.lower() not in _NOT_FINITE:
            raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} is not a number")
        number = float(text)
    elif value is None:
        return None
    else:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} is not a number")
    if not isfinite(number):
        raise Refusal(Reason.NOT_FINITE, f"{name}: {brief(value)} is not a finite number")
    return number


def as_whole(value: object, name: str) -> int | None:
    """An integer, or a string that contains one; None for null and the empty string.

    Raises
    ------
    Refusal
        If it is not a number, not finite or not whole.

    Examples
    --------
    >>> as_whole("42", "sequence"), as_whole(9007199254740993, "sequence"), as_whole(3.0, "sequence")
    (42, 9007199254740993, 3)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = as_number(value, name)
    if number is None:
        return None
    if isinstance(value, str):
        whole, exact = _shifted(value, 0)
    else:
        whole, exact = int(number), number.is_integer()
        if abs(whole) >= SEQUENCE_MAX:  # the parser may have rounded digits off
            message = f"{name}: {brief(value)} is not exact, and must be: write it without point and exponent"
            raise Refusal(Reason.OUT_OF_BOUNDS, message)
    if not exact:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} is not a whole number")
    return whole


def _shifted(text: str, places: int) -> tuple[int, bool]:
    """A finite number times a power of ten, cut off to an integer, and whether nothing was cut off."""
    matched = _NUMBER.fullmatch(text.strip())
    if matched is None:
        raise ValueError(text)
    sign, whole, fraction, only_fraction, exponent_sign, exponent = matched.groups(default="")
    fraction = fraction or only_fraction
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0, True
    power = int(exponent or "0") if len(exponent) <= _MOST_EXPONENT_DIGITS else 10**_MOST_EXPONENT_DIGITS
    point = len(digits) - len(fraction) + places + (-power if exponent_sign == "-" else power)
    kept = digits[: max(point, 0)]
    number = int(kept.ljust(point, "0")) if kept else 0
    return -number if sign == "-" else number, not digits[len(kept) :].strip("0")


def as_text(value: object, name: str) -> str | None:
    """A string, or an integer as one; None for null and the empty string.

    Raises
    ------
    Refusal
        If it is something else, or too long.

    Examples
    --------
    >>> as_text(3735683259, "trade_id"), as_text("a", "trade_id"), as_text("", "trade_id")
    ('3735683259', 'a', None)
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} is not a text")
    if len(text) > TEXT_MAX_CHARS:
        raise too_long(name)
    return text


def as_time(value: object, unit: str, name: str) -> int | None:
    """A time in the stated unit (``s ms us ns``, or ``iso``: a string with a zone) in ns since 1970 UTC.

    None for null and the empty string. Integers and strings are converted exactly; a JSON number with a
    fraction counts as the shortest decimal that gives the same double. Digits beyond ns are cut off; of a
    string, some must be left.

    Raises
    ------
    Refusal
        If it is not a time, or not in [1970, 2200].

    Examples
    --------
    >>> as_time(1723161255342, "ms", "T"), as_time("1618677817.061845", "s", "t")
    (1723161255342000000, 1618677817061845000)
    >>> as_time("2021-04-17T16:43:52.760577Z", "iso", "time")
    1618677832760577000
    """
    if value is None or value == "":
        return None
    if unit == "iso":
        ns = _iso(value, name)
        if not 0 <= ns <= TIME_MAX_NS:
            raise _no_such_time(value, name)
        return ns
    if isinstance(value, bool) or not isinstance(value, int):
        number = as_number(value, name)
        if number is None:
            return None
        count: int | str = value if isinstance(value, str) else repr(number)
    else:
        count = value
    ns, exact = _in_ns(count, unit)
    if ns < 0 or (ns == 0 and not exact and isinstance(value, str)):
        raise _no_such_time(value, name)
    if ns > TIME_MAX_NS:
        raise _too_late(value, name, unit, count)
    return ns


def _in_ns(count: int | str, unit: str) -> tuple[int, bool]:
    return (count * NS_PER[unit], True) if isinstance(count, int) else _shifted(count, _PLACES[unit])


def _no_such_time(value: object, name: str) -> Refusal:
    return Refusal(Reason.OUT_OF_BOUNDS, f"{name}: {brief(value)} is not between 1970 and 2200 in its unit")


def _too_late(value: object, name: str, unit: str, count: int | str) -> Refusal:
    """The refusal of a time beyond 2200, with what it would be in finer units."""
    units = list(NS_PER)
    times = [(finer, _in_ns(count, finer)[0]) for finer in units[units.index(unit) + 1 :]]
    possible = tuple((finer, ns) for finer, ns in times if _RECENT_NS[0] <= ns <= _RECENT_NS[1])
    detail = f"{name}: {brief(value)} is past 2200 in {unit}"
    for finer, ns in possible:
        detail += f"; in {finer} it is of {(_EPOCH + timedelta(microseconds=ns // 1000)).date()}"
    return Refusal(Reason.OUT_OF_BOUNDS, detail, possible)


def _iso(value: object, name: str) -> int:
    matched = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} is no ISO 8601 time with a zone")
    date, time, fraction, zone = matched.groups()
    offset = "+00:00" if zone in {"Z", "z", "UTC"} else zone
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset}")
    except ValueError as error:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)}: {error}") from None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + int((fraction or "").ljust(9, "0"))
