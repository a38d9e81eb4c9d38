"""The kernel: rows of JSON in, columns and flags out, as a plan says.

A row is read once, from its first byte to its last. Between two values stands a separator such as
``,"price":``; the ones seen are learned with what they lead to and with the one that came after them, so
that in rows of the same make one comparison of 32 bytes stands for comma, key, look-up and colon.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from streamer.scan.numbers import double_at, integer_at
from streamer.scan.skipping import (
    COMMA,
    NULL,
    OBJECT,
    OBJECT_END,
    after_colon,
    after_value,
    begins_number,
    literal_at,
)
from streamer.scan.texts import QUOTE, after_blanks, text_end
from streamer.scan.words import LOW_BYTES, bits_of, byte_at, equal_bytes, put_word, word_at

U = np.uint64

NUMBER, DECIMAL, INTEGER, TEXT, FLAG = range(5)
"""Types of fields, as the plan has them."""

UNWANTED = -1
"""What a key leads to: a field from 0 on, this, or an object of the plan as `object_target` has it."""

_CLOSES = -1000  # no key follows: the object ends

KEY_WORD, KEY_SIZE, KEY_AT, KEY_TARGET = range(4)
FIRST_KEY, LAST_KEY, PARENT = range(3)
KIND, COLUMN = range(2)

# A learned separator: its bytes in four words, and so on; the last row stands before a row's first one.
_MASK, _SIZE, _WHERE, _TARGET, _NEXT, _NEXT_BUT_ONE = range(4, 10)
_LEARNED = 64
LEARNED_SHAPE = (_LEARNED + 1, 10)
_LONGEST = 32
_MIX = U(0x9E3779B97F4A7C15)

PRESENT, OTHER = 0, 1
"""The first columns of what is written; a field's own follow."""


@njit(forceinline=True)
def object_target(number):
    """What a key leads to that is an object on the way to fields."""
    return -2 - number


@njit
def scan_rows(arena, at, size, padding, names, keys, objects, fields, defaults, learned, columns, flagged):
    """Read rows; returns the first that is not within the arena, or -1.

    Parameters
    ----------
    arena, at, size, padding
        uint8, int64[n], int64[n]: the rows' bytes (size -1: null), the last `padding` bytes being nobody's.
    names, keys, objects, fields, defaults
        The plan, see `streamer.scan.plan`.
    learned
        int64[LEARNED_SHAPE], of no meaning before and after.
    columns
        uint64[c, n], written: `PRESENT`, `OTHER`, and the columns of the fields.
    flagged
        bool[n], written.
    """
    base = arena.ctypes.data
    limit = arena.size - padding
    n = at.size
    learned[:, _WHERE:] = -1
    learned[:, _NEXT:] = 0
    for row in range(n):
        first, length = at[row], size[row]
        sure, present, other = False, U(0), U(0)
        out = columns.ctypes.data + row * 8
        if length != -1:
            if first < 0 or first > limit or length < 0 or length > limit - first:
                return row
            sure, present, other = _scan_row(
                base, base + first, base + first + length, names, keys, objects, fields, learned, out, n * 8
            )
        flagged[row] = not sure
        if not sure:
            present = other = U(0)
        columns[PRESENT, row] = present
        columns[OTHER, row] = other
        for column in range(2, defaults.shape[0]):
            if not present >> U(defaults[column, 0]) & U(1):
                columns[column, row] = U(defaults[column, 1])
    return -1


@njit
def _scan_row(base, at, end, names, keys, objects, fields, learned, out, step):
    """One row: whether it is beyond doubt, what is there, and what is there with another type."""
    present, other, entered = U(0), U(0), U(0)
    nothing = False, present, other
    known = _LEARNED
    where = 0  # the object's number twice, and one more behind a value
    at = after_blanks(at, end)
    if at >= end or byte_at(at) != OBJECT:
        return nothing
    at += 1
    while True:
        if at >= end:
            return nothing
        if byte_at(at) == OBJECT_END:
            at += 1
            parent = objects[where >> 1, PARENT]
            if parent < 0:
                break
            where = parent * 2 + 1
            continue
        following = _expected(at, end, where, known, learned)
        if following >= 0:
            known = following
            at += learned[known, _SIZE]
            target = learned[known, _TARGET]
        else:
            start = at
            at, target = _to_value(at, end, where, names, keys, objects)
            if at < 0:
                return nothing
            if target == _CLOSES:
                continue
            known = _learn(start, at, where, target, known, learned)
        if target == UNWANTED:
            at = after_value(at, end)
            if at < 0:
                return nothing
        elif target < 0:
            inner = object_target(target)
            bit = U(1) << U(inner)
            if byte_at(at) != OBJECT or entered & bit:
                return nothing
            entered |= bit
            where = inner * 2
            at += 1
            continue
        else:
            bit = U(1) << U(target)
            if (present | other) & bit:
                return nothing
            at, good = _value(base, at, end, fields[target, KIND], out + fields[target, COLUMN] * step, step)
            if at < 0:
                return nothing
            if good:
                present |= bit
            else:
                other |= bit
        where |= 1
    return after_blanks(at, end) == end, present, other


@njit(forceinline=True)
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


@njit(forceinline=True)
def _expected(at, end, where, known, learned):
    """Which separator stands here, of those that came after the last one before; -1 for none of them."""
    following = learned[known, _NEXT]
    if _stands(at, end, where, following, learned):
        return following
    following = learned[known, _NEXT_BUT_ONE]
    if _stands(at, end, where, following, learned):
        learned[known, _NEXT_BUT_ONE] = learned[known, _NEXT]
        learned[known, _NEXT] = following
        return following
    return -1


@njit(forceinline=True)
def _stands(at, end, where, separator, learned):
    mask = U(learned[separator, _MASK])
    size = learned[separator, _SIZE]
    bytes_at = learned.ctypes.data + separator * LEARNED_SHAPE[1] * 8
    return (
        learned[separator, _WHERE] == where
        and equal_bytes(at, bytes_at) & mask == mask
        and at + size < end
        and byte_at(at + size) > ord(" ")
    )


@njit
def _learn(start, at, where, target, known, learned):
    """Remember a separator and that it came after `known`; returns which it is, or `known` for a long one."""
    size = at - start
    if size > _LONGEST:
        return known
    mixed = U(where)
    for word in range(4):
        mixed = (mixed ^ _word_of(start, size, word)) * _MIX
        mixed ^= mixed >> U(32)
    place = np.int64(mixed >> U(40)) % _LEARNED  # what was there before is forgotten
    same = learned[place, _WHERE] == where and learned[place, _SIZE] == size
    for word in range(4):
        same = same and U(learned[place, word]) == _word_of(start, size, word)
    if not same:
        for word in range(4):
            learned[place, word] = np.int64(_word_of(start, size, word))
        learned[place, _MASK] = (1 << size) - 1
        learned[place, _SIZE] = size
        learned[place, _WHERE] = where
        learned[place, _TARGET] = target
    learned[known, _NEXT_BUT_ONE] = learned[known, _NEXT]
    learned[known, _NEXT] = place
    return place


@njit(forceinline=True)
def _word_of(at, size, word):
    """A word of a separator, zeros behind its last byte."""
    return word_at(at + 8 * word) & LOW_BYTES[max(0, min(size - 8 * word, 8))]


@njit
def _to_value(at, end, where, names, keys, objects):
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
    target = _look_up(at + 1, behind - at - 1, where >> 1, names, keys, objects)
    return after_colon(behind + 1, end), target


@njit
def _look_up(at, size, number, names, keys, objects):
    """What a key of an object leads to."""
    word = word_at(at) & LOW_BYTES[min(size, 8)]
    for key in range(objects[number, FIRST_KEY], objects[number, LAST_KEY]):
        if U(keys[key, KEY_WORD]) == word and keys[key, KEY_SIZE] == size:
            name = keys[key, KEY_AT]
            same = True
            for place in range(8, size):
                same = same and byte_at(at + place) == names[name + place]
            if same:
                return keys[key, KEY_TARGET]
    return UNWANTED
