"""The kernel: rows of JSON in, columns and flags out, as a plan says.

A row is read once, from its first byte to its last, value by value; `streamer.scan.separators` has what is
between them. Inner functions know arrays by their addresses: numba would count references to what is passed.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np
from numba import njit

from streamer.scan.fingerprint import FINGERPRINT
from streamer.scan.numbers import digits_between, double_at, double_between, integer_at, integer_between
from streamer.scan.separators import TABLE_SIZE as SEPARATORS_SIZE
from streamer.scan.separators import empty_table, expected, learned, size_of, target_of
from streamer.scan.shapes import (
    SHAPES_SIZE,
    count_keys,
    learn_shape,
    no_shapes,
    nothing_read,
    shape_of,
    value_in,
    value_read,
    values_of,
)
from streamer.scan.skipping import (
    COMMA,
    NULL,
    OBJECT,
    OBJECT_END,
    after_colon,
    after_scalar,
    after_value,
    begins_number,
    literal_at,
)
from streamer.scan.texts import QUOTE, after_blanks, text_end
from streamer.scan.words import LOW_BYTES, bits_of, byte_at, number_at, put_word, word_at

U = np.uint64

NUMBER, DECIMAL, INTEGER, TEXT, FLAG = range(5)
"""Types of fields, as the plan has them."""

MEMORY_SIZE = SEPARATORS_SIZE + SHAPES_SIZE
"""How many int64 are learned into."""

UNWANTED = -1
"""What a key leads to: a field from 0 on, this, or an object of the plan as `object_target` has it."""

_CLOSES = -1000  # no key follows: the object ends

KEY_WORD, KEY_SIZE, KEY_AT, KEY_TARGET, KEY_WIDTH = range(5)
FIRST_KEY, KEY_BEHIND, PARENT, OBJECT_WIDTH = range(4)
KIND, COLUMN, FIELD_WIDTH = range(3)

PRESENT, OTHER = 0, 1
"""The first columns of what is written; a field's own follow."""


@njit(error_model="numpy", forceinline=True)
def object_target(number):
    """What a key leads to that is an object on the way to fields; the other way round too."""
    return -2 - number


@njit(error_model="numpy")
def _scan_rows(arena, at, size, padding, names, keys, objects, fields, defaults, memory, columns, flagged):
    base = arena.ctypes.data
    limit = arena.size - padding
    plan = names.ctypes.data, keys.ctypes.data, objects.ctypes.data, fields.ctypes.data
    table = memory.ctypes.data
    shapes = table + 8 * SEPARATORS_SIZE
    first = empty_table(table)
    no_shapes(shapes)
    everything = (U(1) << U(fields.shape[0])) - U(1)
    n = at.size
    for row in range(n):
        begin, length = at[row], size[row]
        sure, present, other = False, U(0), U(0)
        if length != -1:
            if begin < 0 or begin > limit or length < 0 or length > limit - begin:
                return row
            out = columns.ctypes.data + row * 8, n * 8
            row_at, row_end = base + begin, base + begin + length
            keys, quotes = count_keys(row_at, row_end, shapes)
            shape = shape_of(row_at, row_end, keys, quotes, shapes) if keys >= 0 else 0
            if shape:
                sure, present, other = _read_shape(base, row_end, shape, plan[3], shapes, out)
            if not sure:
                nothing_read(shapes)
                sure, present, other = _scan_row(base, row_at, row_end, plan, table, first, shapes, out)
                if sure and keys >= 0:
                    learn_shape(row_at, row_end, keys, quotes, shapes)
        flagged[row] = not sure
        if not sure:
            present = other = U(0)
        columns[PRESENT, row] = present
        columns[OTHER, row] = other
        if present == everything:
            continue
        for column in range(2, defaults.shape[0]):
            if not present >> U(defaults[column, 0]) & U(1):
                columns[column, row] = U(defaults[column, 1])
    return -1


@njit(error_model="numpy")
def _scan_row(base, at, end, plan, table, known, shapes, out):
    """One row: whether it is beyond doubt, what is there, and what is there with another type."""
    objects, fields = plan[2], plan[3]
    present, other, entered = U(0), U(0), U(0)
    where = 0  # twice the object's number, and one more behind a value
    at = after_blanks(at, end)
    if at >= end or byte_at(at) != OBJECT:
        return False, present, other
    at += 1
    while True:
        if at >= end:
            return False, present, other
        if byte_at(at) == OBJECT_END:
            at += 1
            parent = number_at(objects, (where >> 1) * OBJECT_WIDTH + PARENT)
            if parent < 0:
                break
            where = parent * 2 + 1
            continue
        found = expected(at, end, where, known)
        if found:
            known = found
            at += size_of(known)
            target = target_of(known)
        else:
            start = at
            at, target = _to_value(at, end, where, plan)
            if at < 0:
                return False, present, other
            if target == _CLOSES:
                continue
            known = learned(start, at, where, target, known, table)
        value = at
        if target == UNWANTED:
            if byte_at(at) == QUOTE:  # which most are
                behind, _ = text_end(at + 1, end)
                at = behind + 1 if behind >= 0 else -1
            else:
                at = after_value(at, end)
        elif target < 0:
            inner = object_target(target)
            bit = U(1) << U(inner)
            if byte_at(at) != OBJECT or entered & bit:
                return False, present, other
            entered |= bit
            where = inner * 2
            at += 1
            continue
        else:
            bit = U(1) << U(target)
            if (present | other) & bit:
                return False, present, other
            kind = number_at(fields, target * FIELD_WIDTH + KIND)
            column = number_at(fields, target * FIELD_WIDTH + COLUMN)
            at, good = _value(base, at, end, kind, out[0] + column * out[1], out[1])
            if good:
                present |= bit
            else:
                other |= bit
        if at < 0:
            return False, present, other
        value_read(value, at, target, shapes)
        where |= 1
    return after_blanks(at, end) == end, present, other


@njit(error_model="numpy")
def _read_shape(base, end, shape, fields, shapes, out):
    """A row of known shape: the same as `_scan_row`. One that is in doubt here is to be read by the book."""
    present, other = U(0), U(0)
    for number in range(values_of(shape)):
        at, behind, target, quoted = value_in(shape, number, shapes)
        if target == UNWANTED:
            if not (quoted or digits_between(at, behind) or after_scalar(at, end, byte_at(at)) == behind):
                return False, present, other
            continue
        kind = number_at(fields, target * FIELD_WIDTH + KIND)
        to = out[0] + number_at(fields, target * FIELD_WIDTH + COLUMN) * out[1]
        sure, good = _value_between(base, at, behind, end, kind, quoted, to, out[1])
        if not sure:
            return False, present, other
        if good:
            present |= U(1) << U(target)
        else:
            other |= U(1) << U(target)
    return True, present, other


@njit(error_model="numpy", forceinline=True)
def _value_between(base, at, behind, end, kind, quoted, out, step):
    """Read a wanted value whose end is known: whether it is beyond doubt; and as `_value`."""
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
    return after_scalar(at, end, byte_at(at)) == behind, False


@njit(error_model="numpy", forceinline=True)
def _value(base, at, end, kind, out, step):
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


@njit(error_model="numpy")
def _to_value(at, end, where, plan):
    """From behind a value or an opening brace to the next value: where it begins, what its key leads to.

    The place is -1 where no valid key leads there; where the object ends, its brace and `_CLOSES`.
    """
    at = after_blanks(at, end)
    if at < end and byte_at(at) == OBJECT_END:
        return at, _CLOSES
    if where & 1:
        if at >= end or byte_at(at) != COMMA:
            return -1, UNWANTED
        at = after_blanks(at + 1, end)
    if at >= end or byte_at(at) != QUOTE:
        return -1, UNWANTED
    behind, plain = text_end(at + 1, end)
    if behind < 0 or not plain:
        return -1, UNWANTED
    target = _look_up(at + 1, behind - at - 1, where >> 1, plan)
    return after_colon(behind + 1, end), target


@njit(error_model="numpy")
def _look_up(at, size, number, plan):
    """What a key of an object leads to."""
    names, keys, objects, _ = plan
    word = word_at(at) & LOW_BYTES[min(size, 8)]
    first = number_at(objects, number * OBJECT_WIDTH + FIRST_KEY)
    behind = number_at(objects, number * OBJECT_WIDTH + KEY_BEHIND)
    for key in range(first * KEY_WIDTH, behind * KEY_WIDTH, KEY_WIDTH):
        if U(number_at(keys, key + KEY_WORD)) == word and number_at(keys, key + KEY_SIZE) == size:
            name = names + number_at(keys, key + KEY_AT)
            place = 8
            while place < size and byte_at(at + place) == byte_at(name + place):
                place += 1
            if place >= size:
                return number_at(keys, key + KEY_TARGET)
    return UNWANTED


def _compiled(fingerprint):
    @njit(cache=True, nogil=True, error_model="numpy")
    def scan_rows(arena, at, size, padding, names, keys, objects, fields, defaults, memory, columns, flagged):
        """Read rows; returns the first that is not within the arena, or -1.

        Parameters
        ----------
        arena, at, size, padding
            uint8, int64[n], int64[n]: the rows' bytes (size -1: null); the last `padding` bytes are nobody's.
        names, keys, objects, fields, defaults
            The plan, see `streamer.scan.plan`.
        memory
            int64[MEMORY_SIZE], of no meaning before and after.
        columns
            uint64[c, n], written: `PRESENT`, `OTHER`, and the columns of the fields.
        flagged
            bool[n], written.
        """
        _ = fingerprint
        return _scan_rows(
            arena, at, size, padding, names, keys, objects, fields, defaults, memory, columns, flagged
        )

    return scan_rows


scan_rows = _compiled(FINGERPRINT)
