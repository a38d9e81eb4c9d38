"""The kernel that scans rows of JSON into columns and flags, following a plan.

A row is read once, from first byte to last, value by value; `separators` reads what is between values.
Inner functions take arrays as addresses: numba would count references to arrays.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_strings import QUOTE, after_blanks, text_end
from streamer.decoding.json.plan_layout import (
    COLUMN,
    FIELD_WIDTH,
    FIRST_KEY,
    KEY_AT,
    KEY_END,
    KEY_SIZE,
    KEY_TARGET,
    KEY_WIDTH,
    KEY_WORD,
    KIND,
    OBJECT_WIDTH,
    OTHER,
    PARENT,
    PRESENT,
    UNWANTED,
    object_target,
)
from streamer.decoding.json.row_shapes import (
    count_keys,
    no_shapes,
    other_in,
    reading_of,
    shape_of,
    value_in,
    values_of,
)
from streamer.decoding.json.separators import TABLE_SIZE as SEPARATORS_SIZE
from streamer.decoding.json.separators import empty_table, expected, learned, size_of, target_of
from streamer.decoding.json.shape_layout import SHAPES_SIZE
from streamer.decoding.json.shape_learning import learn_shape, nothing_read, value_read
from streamer.decoding.json.unwanted_values import COMMA, OBJECT, OBJECT_END, after_colon, after_value
from streamer.decoding.json.wanted_values import scalar_between, value_at, value_between
from streamer.decoding.json.wide_loads import LOW_BYTES, byte_at, number_at, word_at

U = np.uint64

MEMORY_SIZE = SEPARATORS_SIZE + SHAPES_SIZE
"""Size in int64 of the memory for learned separators and shapes."""

_CREDIT, _PAUSE = (
    64,
    512,
)  # where so many rows more have no known shape than have, so many are not asked for it

_CLOSES = -1000  # no key follows: the object ends


@kernel(error_model="numpy")
def scan_rows(arena, at, size, padding, names, keys, objects, fields, defaults, memory, columns, flagged):
    """Scan rows; returns the first one that is not within the arena, or -1.

    Parameters
    ----------
    arena, at, size, padding
        uint8, int64[n], int64[n]: the rows' bytes (size -1: null); the last `padding` bytes are spare.
    names, keys, objects, fields, defaults
        The plan, see `streamer.decoding.json.scan_plan`.
    memory
        int64[MEMORY_SIZE], scratch space.
    columns
        uint64[c, n], written: `PRESENT`, `OTHER`, and the columns of the fields.
    flagged
        bool[n], written.
    """
    base = arena.ctypes.data
    limit = arena.size - padding
    plan = names.ctypes.data, keys.ctypes.data, objects.ctypes.data, fields.ctypes.data
    table = memory.ctypes.data
    shapes = table + 8 * SEPARATORS_SIZE
    first = empty_table(table)
    no_shapes(shapes)
    everything = (U(1) << U(fields.shape[0])) - U(1)
    n = at.size
    credit, again = _CREDIT, 0
    n_keys, quotes, head = -1, 0, 0
    for row in range(n):
        begin, length = at[row], size[row]
        sure, present, other = False, U(0), U(0)
        if length != -1:
            if begin < 0 or begin > limit or length < 0 or length > limit - begin:
                return row
            out = columns.ctypes.data + row * 8, n * 8
            row_at, row_end = base + begin, base + begin + length
            n_keys, shape = -1, 0
            if row >= again:
                n_keys, quotes, head = count_keys(row_at, row_end, shapes)
                if n_keys >= 0:
                    shape = shape_of(row_at, row_end, n_keys, quotes, head, shapes)
            if shape:
                sure, present, other = _read_shape(base, row_end, shape, shapes, out[0])
            if sure:
                credit = min(credit + 1, _CREDIT)
            else:
                credit -= row >= again
                if credit < 0:
                    credit, again = _CREDIT // 8, row + _PAUSE
                nothing_read(shapes)
                sure, present, other = _scan_row(base, row_at, row_end, plan, table, first, shapes, out)
                if sure and n_keys >= 0:
                    learn_shape(row_at, row_end, n_keys, quotes, head, plan[3], out[1], shapes)
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


@kernel(error_model="numpy")
def _scan_row(base, at, end, plan, table, known, shapes, out):
    """Parse one row: whether it is plainly valid, which fields are present, which have another type."""
    objects, fields = plan[2], plan[3]
    present, other, entered = U(0), U(0), U(0)
    where = 0  # twice the object's number, plus one after a value
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
            if byte_at(at) == QUOTE:  # as most are
                stop, _ = text_end(at + 1, end)
                at = stop + 1 if stop >= 0 else -1
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
            at, good = value_at(base, at, end, kind, out[0] + column * out[1], out[1])
            if good:
                present |= bit
            else:
                other |= bit
        if at < 0:
            return False, present, other
        value_read(value, at, target, shapes)
        where |= 1
    return after_blanks(at, end) == end, present, other


@kernel(error_model="numpy")
def _read_shape(base, end, shape, shapes, row):
    """Read a row of known shape, with the results of `_scan_row`; on failure the row must be fully parsed."""
    present, other = U(0), other_in(shape)
    for number in range(values_of(shape)):
        at, stop = value_in(shapes, number)
        kind, bare, quoted, bit, out, step = reading_of(shape, number)
        if kind == UNWANTED:
            if bare and not scalar_between(at, stop, end):
                return False, present, other
            continue
        sure, good = value_between(base, at, stop, end, kind, quoted, row + out, step)
        if not sure:
            return False, present, other
        if good:
            present |= bit
        else:
            other |= bit
    return True, present, other


@kernel(error_model="numpy")
def _to_value(at, end, where, plan):
    """From the end of a value or an opening brace to the next value: its start, and its key's target.

    The start is -1 if there is no valid key. At the object's end, returns its brace and `_CLOSES`.
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
    stop, plain = text_end(at + 1, end)
    if stop < 0 or not plain:
        return -1, UNWANTED
    target = _look_up(at + 1, stop - at - 1, where >> 1, plan)
    return after_colon(stop + 1, end), target


@kernel(error_model="numpy")
def _look_up(at, size, number, plan):
    """The target of a key of an object."""
    names, keys, objects, _ = plan
    word = word_at(at) & LOW_BYTES[min(size, 8)]
    first = number_at(objects, number * OBJECT_WIDTH + FIRST_KEY)
    stop = number_at(objects, number * OBJECT_WIDTH + KEY_END)
    for key in range(first * KEY_WIDTH, stop * KEY_WIDTH, KEY_WIDTH):
        if U(number_at(keys, key + KEY_WORD)) == word and number_at(keys, key + KEY_SIZE) == size:
            name = names + number_at(keys, key + KEY_AT)
            place = 8
            while place < size and byte_at(at + place) == byte_at(name + place):
                place += 1
            if place >= size:
                return number_at(keys, key + KEY_TARGET)
    return UNWANTED
