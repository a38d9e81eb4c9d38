"""Reads requested values into their columns."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.bounded_numbers import digits_between, double_between, integer_between
from streamer.decoding.json.json_numbers import double_at, integer_at
from streamer.decoding.json.json_strings import QUOTE, text_end
from streamer.decoding.json.plan_layout import DECIMAL, FLAG, INTEGER, NUMBER, TEXT
from streamer.decoding.json.unwanted_values import NULL, after_scalar, after_value, begins_number, literal_at
from streamer.decoding.json.wide_loads import bits_of, byte_at, put_word

U = np.uint64


@kernel(error_model="numpy", forceinline=True)
def value_at(base, at, end, kind, out, step):
    """Read a value: its end, -1 if not plainly valid; and whether it had the field's type and was written."""
    byte = byte_at(at)
    if kind == TEXT:
        if byte == QUOTE:
            stop, plain = text_end(at + 1, end)
            if not plain:
                return -1, False
            put_word(out, U(at + 1 - base))
            put_word(out + step, U(stop - at - 1))
            return stop + 1 if stop >= 0 else -1, True
    elif kind == INTEGER:
        if begins_number(byte):
            stop, value, fits, sure = integer_at(at, end)
            put_word(out, U(value))
            return stop if sure else -1, fits
    elif kind == FLAG:
        stop, which = literal_at(at)
        if stop >= 0 and which != NULL:
            put_word(out, U(which))
            return stop, True
    else:
        quoted = kind == DECIMAL and byte == QUOTE
        if quoted or begins_number(byte):
            stop, value, sure = double_at(at + quoted, end)
            if not quoted:
                put_word(out, bits_of(value))
                return stop if sure else -1, True
            if stop >= 0 and stop < end and byte_at(stop) == QUOTE:
                put_word(out, bits_of(value))
                return stop + 1 if sure else -1, True
            stop, plain = text_end(at + 1, end)
            return stop + 1 if stop >= 0 and plain else -1, False
    return after_value(at, end), False


@kernel(error_model="numpy", forceinline=True)
def value_between(base, at, stop, end, kind, quoted, out, step):
    """Read a value whose end is known: whether it is plainly valid, and whether it had the field's type."""
    if quoted:
        if kind == TEXT:
            put_word(out, U(at - base))
            put_word(out + step, U(stop - at))
            return True, True
        if kind == DECIMAL:
            good, value, sure = double_between(at, stop, end)
            put_word(out, bits_of(value))
            return sure or not good, good
        return True, False
    if kind == INTEGER and begins_number(byte_at(at)):
        good, value, fits, sure = integer_between(at, stop, end)
        put_word(out, U(value))
        return sure and good, fits
    if (kind == NUMBER or kind == DECIMAL) and begins_number(byte_at(at)):
        good, value, sure = double_between(at, stop, end)
        put_word(out, bits_of(value))
        return sure and good, True
    found, which = literal_at(at)
    if kind == FLAG and which != NULL:
        put_word(out, U(which))
        return found == stop, True
    return scalar_between(at, stop, end), False


@kernel(error_model="numpy", forceinline=True)
def scalar_between(at, stop, end):
    """Whether the bytes from `at` to `stop` are a number, true, false or null."""
    if digits_between(at, stop) or literal_at(at)[0] == stop:
        return True
    return after_scalar(at, end, byte_at(at)) == stop
