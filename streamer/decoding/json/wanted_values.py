"""Values that are wanted: read, and written to their columns."""

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
    """Read a wanted value: behind it, -1 for doubt; and whether it was of the field's type and is written."""
    byte = byte_at(at)
    if kind == TEXT:
        if byte == QUOTE:
            behind, plain = text_end(at + 1, end)
            if not plain:
                return -1, False
            put_word(out, U(at + 1 - base))
            put_word(out + step, U(behind - at - 1))
            return behind + 1 if behind >= 0 else -1, True
    elif kind == INTEGER:
        if begins_number(byte):
            behind, value, fits, sure = integer_at(at, end)
            put_word(out, U(value))
            return behind if sure else -1, fits
    elif kind == FLAG:
        behind, which = literal_at(at)
        if behind >= 0 and which != NULL:
            put_word(out, U(which))
            return behind, True
    else:
        quoted = kind == DECIMAL and byte == QUOTE
        if quoted or begins_number(byte):
            behind, value, sure = double_at(at + quoted, end)
            if not quoted:
                put_word(out, bits_of(value))
                return behind if sure else -1, True
            if behind >= 0 and behind < end and byte_at(behind) == QUOTE:
                put_word(out, bits_of(value))
                return behind + 1 if sure else -1, True
            behind, plain = text_end(at + 1, end)
            return behind + 1 if behind >= 0 and plain else -1, False
    return after_value(at, end), False


@kernel(error_model="numpy", forceinline=True)
def value_between(base, at, behind, end, kind, quoted, out, step):
    """Read a wanted value whose end is known: whether it is beyond doubt; and as `value_at`."""
    if quoted:
        if kind == TEXT:
            put_word(out, U(at - base))
            put_word(out + step, U(behind - at))
            return True, True
        if kind == DECIMAL:
            good, value, sure = double_between(at, behind, end)
            put_word(out, bits_of(value))
            return sure or not good, good
        return True, False
    if kind == INTEGER and begins_number(byte_at(at)):
        good, value, fits, sure = integer_between(at, behind, end)
        put_word(out, U(value))
        return sure and good, fits
    if (kind == NUMBER or kind == DECIMAL) and begins_number(byte_at(at)):
        good, value, sure = double_between(at, behind, end)
        put_word(out, bits_of(value))
        return sure and good, True
    found, which = literal_at(at)
    if kind == FLAG and which != NULL:
        put_word(out, U(which))
        return found == behind, True
    return scalar_between(at, behind, end), False


@kernel(error_model="numpy", forceinline=True)
def scalar_between(at, behind, end):
    """Whether what lies between two places is a number, true, false or null."""
    if digits_between(at, behind) or literal_at(at)[0] == behind:
        return True
    return after_scalar(at, end, byte_at(at)) == behind
