"""Reads one field of a scanned row: its value, and whether it is plainly valid.

Arrays are passed as addresses: passing arrays to functions costs more than all the work done here.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.columns.plan_codes import (
    CONSTANT,
    INTEGER,
    NUMBER,
    TEXT,
    WORD,
    FieldEntry,
    Word,
)
from streamer.decoding.columns.time_kernels import ISO, NO_NS, decimal_ns, integer_at, iso_ns
from streamer.decoding.event_fields import TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.decoding.json.wide_loads import byte_at, double_of, word_at

NO_TEXT, INTEGER_TEXT, MEANING_TEXT = -1, -2, -3
"""Special sizes of a text: there is none, or its position is an integer or the index of a meaning."""

(
    READ_AS, TO, NAME, REQUIRED, FIRST, AS_TEXT, AS_VALUE, AS_FLAG,
    FIRST_WORD, END_WORD, EMPTY_IS_NONE, UNIT, COLUMN,
) = range(len(FieldEntry._fields))  # fmt: skip
"""Columns of `streamer.decoding.columns.flat_plan.FlatPlan.entries`."""

IS_INTEGER, INTEGER_IS, FLAG_IS, MEANS = range(len(Word._fields))
"""Columns of its words."""

LOW, HIGH, ABOVE, FACTOR = range(4)
"""Columns of its amounts."""

_EXACT_US = 2.0**52  # below, adjacent doubles are less than 1 us apart
_ENTRY_SIZE, _AMOUNT_SIZE, _WORD_WIDTH = 8 * len(FieldEntry._fields), 8 * 4, len(Word._fields)
FIELD_ABSENT, FIELD_PRESENT, FIELD_UNCLEAR = range(3)
"""The state of a field; an unclear one leaves the row to the slow path."""

U = np.uint64


@kernel(forceinline=True)
def value_of(each, row, n, arena, present, other, addresses, plan):
    """One field: its state, its number, and its values in a column of codes and in one of texts."""
    entries, amounts, letters, word_starts, words = plan
    entry, amount = entries + each * _ENTRY_SIZE, amounts + each * _AMOUNT_SIZE
    read_as = load(entry, READ_AS)
    as_text, as_value = has_field(present, load(entry, AS_TEXT)), has_field(present, load(entry, AS_VALUE))
    at, size, bits = 0, NO_TEXT, U(0)
    if as_text:
        column = load(addresses, load(entry, AS_TEXT))
        at, size = load(column, row), load(column, n + row)
        if size == 0 and load(entry, EMPTY_IS_NONE):
            return FIELD_ABSENT, np.nan, 0, NO_TEXT
    elif as_value:
        bits = U(load(load(addresses, load(entry, AS_VALUE)), row))
    elif has_field(present, load(entry, AS_FLAG)):
        bits = U(load(load(addresses, load(entry, AS_FLAG)), row))
    elif read_as != CONSTANT:
        # a value of an unexpected type, such as null, is neither present nor absent
        unclear = has_field(present | other, load(entry, FIRST))
        return FIELD_UNCLEAR if unclear else FIELD_ABSENT, np.nan, 0, NO_TEXT
    if read_as == NUMBER:
        double, in_bounds = _number(double_of(bits), amount)
        return FIELD_PRESENT if in_bounds else FIELD_UNCLEAR, double, 0, NO_TEXT
    if read_as == TEXT:
        if as_value:
            return FIELD_PRESENT, np.nan, np.int64(bits), INTEGER_TEXT
        return FIELD_PRESENT if size <= TEXT_MAX_CHARS else FIELD_UNCLEAR, np.nan, at, size
    if read_as == CONSTANT:
        meant = _meaning(words, load(entry, FIRST_WORD)) if load(entry, END_WORD) else 0
        return FIELD_PRESENT, double_of(U(load(amount, LOW))), meant, MEANING_TEXT
    if read_as == WORD:
        begin, end = load(entry, FIRST_WORD), load(entry, END_WORD)
        if as_text:
            word = word_of_text(arena + at, size, begin, end, letters, word_starts)
        else:
            word = word_of_number(np.int64(bits), begin, end, words, INTEGER_IS if as_value else FLAG_IS)
        return (
            (FIELD_PRESENT, np.nan, _meaning(words, word), MEANING_TEXT)
            if word >= 0
            else (FIELD_UNCLEAR, np.nan, 0, NO_TEXT)
        )
    integer = _integer(arena + at, size, bits, read_as, load(entry, UNIT))
    good = integer >= 0 and integer <= np.int64(double_of(U(load(amount, HIGH))))
    return FIELD_PRESENT if good else FIELD_UNCLEAR, np.float64(integer), integer, NO_TEXT


@kernel(forceinline=True)
def has_field(bits, field):
    """Whether a row has a field; `NOWHERE` is never one of them."""
    return field >= 0 and bits >> U(field) & U(1) != 0


@kernel(forceinline=True)
def load(column, row):
    """Load a row's word from the column at an address."""
    return np.int64(word_at(column + row * 8))


@kernel(forceinline=True)
def _meaning(words, word):
    return load(words, word * _WORD_WIDTH + MEANS)


@kernel(forceinline=True)
def _number(value, amount):
    """A number in its unit, and whether it is within bounds."""
    factor, lowest = double_of(U(load(amount, FACTOR))), double_of(U(load(amount, LOW)))
    value = value * factor if factor > 0 else value / -factor
    low = value > lowest or (value == lowest and load(amount, ABOVE) == 0)
    return value, low and value <= double_of(U(load(amount, HIGH)))


@kernel(forceinline=True)
def _integer(text, size, bits, read_as, unit):
    """An integer, or a time in ns; negative if it is not plainly valid."""
    if size != NO_TEXT:
        if read_as == INTEGER:
            return integer_at(text, size)
        return iso_ns(text, size) if unit == ISO else decimal_ns(text, size, unit)
    return np.int64(bits) if read_as == INTEGER or unit == 0 else _counted_ns(double_of(bits), unit)


@kernel(forceinline=True)
def _counted_ns(count, unit):
    """A count in s, ms or us in ns, by the shortest decimal that gives the same double.

    If the double is the nearest one to a whole number of us, that number is the shortest decimal: below
    `_EXACT_US`, no other decimal with as few places gives the same double.
    """
    per = 1e6 if unit == 9 else 1e3 if unit == 6 else 1.0
    us = np.rint(count * per)
    if us >= 0.0 and us < _EXACT_US and us / per == count:
        ns = np.int64(us) * 1000
        return ns if ns <= TIME_MAX_NS else NO_NS
    return NO_NS


@kernel(forceinline=True)
def word_of_text(text, size, begin, end, letters, starts):
    """The word that equals the text at an address; -1 if none does."""
    for word in range(begin, end):
        start = load(starts, word)
        if load(starts, word + 1) - start == size:
            place = 0
            while place < size and byte_at(text + place) == byte_at(letters + start + place):
                place += 1
            if place == size:
                return word
    return -1


@kernel(forceinline=True)
def word_of_number(value, begin, end, words, read_as):
    """The word that stands for an integer, or for true or false; -1 if none does."""
    for word in range(begin, end):
        facts = words + word * _WORD_WIDTH * 8
        if load(facts, read_as) == value and (read_as != INTEGER_IS or load(facts, IS_INTEGER)):
            return word
    return -1
