"""Fast parsing of numbers whose end is known: short ones without exponent, as most are.

Anything else uses the general parser, which must stop at the same byte.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_numbers import (
    EXACT,
    TENS,
    WORD_TENS,
    ZEROS,
    double_at,
    eight_digits,
    integer_at,
)
from streamer.decoding.json.wide_loads import byte_at, digits_of, trailing_zeros, word_at

U = np.uint64

_LONGEST = 16
_POINT, _ZERO = ord("."), ord("0")
_NONE, _ONE, _EIGHT = U(0), U(1), U(8)


@kernel(error_model="numpy")
def _any_double(at, end):
    return double_at(at, end)


@kernel(error_model="numpy", forceinline=True)
def double_between(at, stop, end):
    """Parse the bytes from `at` to `stop`: are they a number, its value, and is that value certain."""
    size = stop - at
    if size <= _LONGEST:
        others = ~digits_of(at) & ((_ONE << U(size)) - _ONE)
        point = trailing_zeros(others)
        places = size - point - 1
        if (
            U((point - 1) | (places - 1)) < _EIGHT
            and others & (others - _ONE) == _NONE
            and byte_at(at + point) == _POINT
            and (byte_at(at) != _ZERO or point == 1)
        ):
            whole = eight_digits((word_at(at) ^ ZEROS) << U(64 - 8 * point))
            rest = eight_digits((word_at(at + point + 1) ^ ZEROS) << U(64 - 8 * places))
            digits = whole * WORD_TENS[places] + rest
            if digits <= EXACT:
                return True, np.float64(digits) / TENS[places], True
    found, value, sure = _any_double(at, end)
    return found == stop, value, sure


@kernel(error_model="numpy", forceinline=True)
def digits_between(at, stop):
    """Whether the bytes from `at` to `stop` are an integer of 1 to 16 digits without sign."""
    size = stop - at
    if size < 1 or size > _LONGEST:
        return False
    others = ~digits_of(at) & ((_ONE << U(size)) - _ONE)
    return others == _NONE and (byte_at(at) != _ZERO or size == 1)


@kernel(error_model="numpy")
def _any_integer(at, end):
    return integer_at(at, end)


@kernel(error_model="numpy", forceinline=True)
def integer_between(at, stop, end):
    """Parse the bytes from `at` to `stop`: is it a number, its value, is it an int64, is that certain."""
    if digits_between(at, stop):
        size = stop - at
        if size <= 8:
            return True, np.int64(eight_digits((word_at(at) ^ ZEROS) << U(64 - 8 * size))), True, True
        first = eight_digits(word_at(at) ^ ZEROS)
        second = eight_digits((word_at(at + 8) ^ ZEROS) << U(128 - 8 * size))
        return True, np.int64(first * WORD_TENS[size - 8] + second), True, True
    found, value, fits, sure = _any_integer(at, end)
    return found == stop, value, fits, sure
