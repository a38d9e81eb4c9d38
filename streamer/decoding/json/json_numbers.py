"""JSON numbers: their grammar, and the double nearest to them.

A number is read as digits and a power of ten. Up to 2**53 and 10**22 both are exact doubles, and a single
multiplication or division rounds correctly (Clinger 1990, How to read floating point numbers accurately).
Beyond that, the method of Eisel and Lemire is used (Lemire 2021, Number parsing at a gigabyte per second):
the digits times 128 bits of a power of five; where those do not suffice, the result is uncertain.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.wide_loads import (
    LOW_BYTES,
    aligned_digits,
    byte_at,
    digits_of,
    double_of,
    high_product,
    leading_zeros,
    points_of,
    trailing_zeros,
    word_at,
)

U = np.uint64

MOST_DIGITS = 19
"""Decimal digits that fit in a word."""

_MINUS, _PLUS, _POINT, _ZERO, _NINE, _LOW_E = (ord(character) for character in "-+.09e")
_EXPONENT_CAP = 1 << 40  # more than any row has digits
_SAFE_POWER = 300  # larger powers of ten may exceed a double's range

_NONE, _ONE, _THREE, _ALL = U(0), U(1), U(3), U((1 << 64) - 1)
ZEROS, _TOO_LARGE, _TOP_BITS = U(0x3030303030303030), U(0x7676767676767676), U(0x8080808080808080)
_TEN_TO_EIGHT = U(10**8)
# factors that combine neighbouring values: the first times a power of ten, plus the second
_TEN, _HUNDRED, _TEN_THOUSAND = U((10 << 8) + 1), U((100 << 16) + 1), U((10**4 << 32) + 1)
_PAIRS, _FOURS = U(0x00FF00FF00FF00FF), U(0x0000FFFF0000FFFF)
EXACT, _ROUNDED_OFF, _LEAST = U(1 << 53), U(0x1FF), U(1 << 63)
TENS = np.array([10.0**power for power in range(23)])
WORD_TENS = np.array([10**power for power in range(9)], np.uint64)

_FIRST_POWER, _LAST_POWER = (
    -342,
    308,
)  # beyond them no word of digits makes a double above 0 and below infinity


def _fives():
    """The upper 128 bits of each power of five in two columns, truncated or, from -27 to -1, rounded up."""
    found = []
    for power in range(_FIRST_POWER, _LAST_POWER + 1):
        five = 5 ** abs(power)
        if power >= 0:
            bits = five << 128 >> five.bit_length()
        else:
            bits = (1 << (five - 1).bit_length() + 127) // five + (power >= -27)
        found.append((bits >> 64, bits & (1 << 64) - 1))
    return np.array(found, np.uint64)


_FIVES = _fives()


@kernel(error_model="numpy", forceinline=True)
def eight_digits(word):
    """The value of eight digits, the first one in the lowest byte; each byte holds 0 to 9."""
    word = (word * _TEN >> U(8)) & _PAIRS
    word = (word * _HUNDRED >> U(16)) & _FOURS
    return word * _TEN_THOUSAND >> U(32)


@kernel(error_model="numpy", forceinline=True)
def _short_number(at):
    """A number of up to 16 bytes without exponent: its end, its digits, and how many follow the point.

    The end is -1 for any other number, or none. `at` is after the sign.
    """
    digits, points = digits_of(at), points_of(at)
    size = trailing_zeros(~(digits | points))
    point = min(trailing_zeros(points), size)
    whole = point == size
    count = size if whole else size - 1
    following = byte_at(at + size)
    if (
        point == 0
        or (not whole and (point == count or points & (_ONE << U(size)) - _ONE != _ONE << U(point)))
        or (point > 1 and byte_at(at) == _ZERO)
        or following | 0x20 == _LOW_E
        or (following >= _POINT and following <= _NINE)  # after 16 bytes: it continues
    ):
        return -1, _NONE, 0
    first, second = aligned_digits(at, point if not whole else 16, count)
    return at + size, eight_digits(first) * _TEN_TO_EIGHT + eight_digits(second), count - point


@kernel(error_model="numpy", forceinline=True)
def _digits(at, end, value):
    """The end of a run of digits, and `value` continued by these digits, modulo 2**64."""
    while at < end:
        word = word_at(at) ^ ZEROS
        others = (
            word + _TOO_LARGE | word
        ) & _TOP_BITS  # the lowest bit is that of the first byte that is no digit
        count = 8 if others == _NONE else trailing_zeros(others) >> 3
        if count == 0:
            break
        value = value * WORD_TENS[count] + eight_digits(word << U(64 - 8 * count))
        at += count
        if count < 8:
            break
    return at, value


@kernel(error_model="numpy")
def _any_number(at, end):
    """Any JSON number: its end, its digits, its power of ten, the digits' count, whether it is an integer.

    The end is -1 if it is not a number. More than `MOST_DIGITS` digits overflow. `at` is after the sign.
    """
    nothing = -1, _NONE, 0, 0, False
    start = at
    at, value = _digits(at, end, _NONE)
    count = at - start
    if count == 0 or (count > 1 and byte_at(start) == _ZERO):
        return nothing
    if byte_at(start) == _ZERO:
        count = 0
    power = 0
    integer = True
    if byte_at(at) == _POINT:
        integer = False
        at += 1
        start = at
        if count == 0:
            while at < end and byte_at(at) == _ZERO:  # leading zeros do not count
                at += 1
        counted = at
        at, value = _digits(at, end, value)
        if at == start:
            return nothing
        power = start - at
        count += at - counted
    if byte_at(at) | 0x20 == _LOW_E:
        integer = False
        at += 1
        sign = byte_at(at)
        if sign == _MINUS or sign == _PLUS:
            at += 1
        start = at
        exponent = 0
        while at < end and byte_at(at) >= _ZERO and byte_at(at) <= _ZERO + 9:
            exponent = min(exponent * 10 + byte_at(at) - _ZERO, _EXPONENT_CAP)
            at += 1
        if at == start:
            return nothing
        power += -exponent if sign == _MINUS else exponent
    return at, value, power, count, integer


@kernel(error_model="numpy")
def _scaled(digits, power):
    """The double nearest to digits times a power of ten (Eisel and Lemire), and whether it is certain."""
    if power < _FIRST_POWER or power > _LAST_POWER:
        return 0.0, False
    shift = leading_zeros(digits)
    digits <<= U(shift)
    high = high_product(digits, _FIVES[power - _FIRST_POWER, 0])
    low = digits * _FIVES[power - _FIRST_POWER, 0]
    if high & _ROUNDED_OFF == _ROUNDED_OFF:  # the lower part may carry into it
        carried = high_product(digits, _FIVES[power - _FIRST_POWER, 1])
        low += carried
        if low < carried:
            high += _ONE
    if low == _ALL and (power < -27 or power > 55):
        return 0.0, False
    top = high >> U(63)
    dropped = top + U(9)
    fraction = high >> dropped
    exponent = (217706 * power >> 16) + 63 + np.int64(top) - shift + 1023  # floor(power * log2(10))
    if exponent <= 0 or exponent >= 0x7FE:
        return 0.0, False
    if (
        low <= _ONE
        and power >= -4
        and power <= 23
        and fraction & _THREE == _ONE
        and fraction << dropped == high
    ):
        fraction &= ~_ONE  # exactly halfway between two doubles: round to even
    fraction = (fraction + (fraction & _ONE)) >> _ONE
    if fraction >= EXACT:
        fraction = _ONE << U(52)
        exponent += 1
    return double_of((fraction & ~(_ONE << U(52))) | U(exponent) << U(52)), True


@kernel(error_model="numpy", forceinline=True)
def _double(negative, digits, power):
    """The double nearest to a number, and whether it is certain; a negative zero never is."""
    if digits == _NONE:
        return 0.0, not negative
    if digits <= EXACT and power >= -22 and power <= 22:
        value = np.float64(digits)
        value = value / TENS[-power] if power < 0 else value * TENS[power]
        sure = True
    else:
        value, sure = _scaled(digits, power)
    return -value if negative else value, sure


@kernel(error_model="numpy", forceinline=True)
def double_at(at, end):
    """The number that starts at `at`: its end, its value, and whether that is certain.

    The end is -1 if there is no JSON number.
    """
    negative = byte_at(at) == _MINUS
    at += negative
    stop, digits, places = _short_number(at)
    power = -places
    if stop < 0:
        stop, digits, power, count, _ = _any_number(at, end)
        if count > MOST_DIGITS:
            return stop, 0.0, False
    value, sure = _double(negative, digits, power)
    return stop, value, sure


@kernel(error_model="numpy", forceinline=True)
def _short_integer(at):
    """An integer of up to 19 digits: its end, -1 for any other number or none, and its digits."""
    size = trailing_zeros(~digits_of(at))
    first, second = aligned_digits(at, 16, max(size, 1))
    value = eight_digits(first) * _TEN_TO_EIGHT + eight_digits(second)
    if size == 16:
        more = trailing_zeros(~digits_of(at + 16))
        if more > 3:
            return -1, value
        word = (word_at(at + 16) ^ ZEROS) & LOW_BYTES[more]
        value = value * WORD_TENS[more] + eight_digits(word << U(64 - 8 * more) if more else _NONE)
        size += more
    following = byte_at(at + size)
    if size == 0 or (size > 1 and byte_at(at) == _ZERO) or following == _POINT or following | 0x20 == _LOW_E:
        return -1, value
    return at + size, value


@kernel(error_model="numpy", forceinline=True)
def integer_at(at, end):
    """The number that starts at `at`: its end, its value, whether it is an int64, whether that is certain."""
    negative = byte_at(at) == _MINUS
    at += negative
    stop, digits = _short_integer(at)
    whole = True
    if stop < 0:
        stop, digits, power, count, whole = _any_number(at, end)
        if count > MOST_DIGITS or count + power > _SAFE_POWER:
            return stop, 0, False, False
    fits = whole and digits <= (_LEAST if negative else _LEAST - _ONE)
    value = np.int64(digits)
    return stop, -value if negative else value, fits, True


@kernel(error_model="numpy")
def after_number(at, end):
    """The end of the number that starts at `at`; -1 for none, or if it may exceed a double's range."""
    at += byte_at(at) == _MINUS
    stop, _, _ = _short_number(at)
    if stop < 0:
        stop, _, power, count, _ = _any_number(at, end)
        if count + power > _SAFE_POWER:
            return -1
    return stop
