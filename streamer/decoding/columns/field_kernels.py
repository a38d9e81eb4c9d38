"""One field of a scanned row: what it is, and whether that is beyond doubt.

Arrays come as addresses, since handing arrays to functions costs more than all that is done here.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.columns.plan_codes import (
    FIXED,
    NUMBER,
    TEXT,
    WHOLE,
    WORD,
    FieldEntry,
    Word,
)
from streamer.decoding.columns.time_kernels import ISO, NO_NS, decimal_ns, iso_ns, whole_at
from streamer.decoding.event_fields import TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.decoding.json.wide_loads import byte_at, double_of, word_at

NO_TEXT, WHOLE_TEXT, MEANT_TEXT = -1, -2, -3
"""In the place of a text's size: none, the whole number or the word's meaning that stands at its place."""

(
    WHAT, TO, NAME, REQUIRED, FIRST, AS_TEXT, AS_VALUE, AS_FLAG,
    FIRST_WORD, BEHIND, EMPTY_IS_NONE, UNIT, COLUMN,
) = range(len(FieldEntry._fields))  # fmt: skip
"""Columns of `streamer.decoding.columns.flat_plan.Flat.entries`."""

IS_WHOLE, WHOLE_IS, FLAG_IS, MEANS = range(len(Word._fields))
"""Columns of its words."""

LOW, HIGH, ABOVE, FACTOR = range(4)
"""Columns of its amounts."""

_EXACT_US = 2.0**52  # up to here, neighbours among doubles are less than 1 us apart
_ENTRY_SIZE, _AMOUNT_SIZE, _WORD_WIDTH = 8 * len(FieldEntry._fields), 8 * 4, len(Word._fields)
GONE, THERE, DOUBT = range(3)
"""What a field is: absent, there with a value, or neither beyond doubt."""

U = np.uint64


@kernel(forceinline=True)
def value_of(each, row, n, arena, present, other, cells, plan):
    """One field: its state, it as a number, and what stands for it in columns of codes and of texts."""
    entries, amounts, letters, word_starts, words = plan
    entry, amount = entries + each * _ENTRY_SIZE, amounts + each * _AMOUNT_SIZE
    what = cell(entry, WHAT)
    as_text, as_value = has_bit(present, cell(entry, AS_TEXT)), has_bit(present, cell(entry, AS_VALUE))
    at, size, bits = 0, NO_TEXT, U(0)
    if as_text:
        column = cell(cells, cell(entry, AS_TEXT))
        at, size = cell(column, row), cell(column, n + row)
        if size == 0 and cell(entry, EMPTY_IS_NONE):
            return GONE, np.nan, 0, NO_TEXT
    elif as_value:
        bits = U(cell(cell(cells, cell(entry, AS_VALUE)), row))
    elif has_bit(present, cell(entry, AS_FLAG)):
        bits = U(cell(cell(cells, cell(entry, AS_FLAG)), row))
    elif what != FIXED:
        # what is of another type than wanted, null among it, is neither there nor absent
        doubt = has_bit(present | other, cell(entry, FIRST))
        return DOUBT if doubt else GONE, np.nan, 0, NO_TEXT
    if what == NUMBER:
        double, within = _number(double_of(bits), amount)
        return THERE if within else DOUBT, double, 0, NO_TEXT
    if what == TEXT:
        if as_value:
            return THERE, np.nan, np.int64(bits), WHOLE_TEXT
        return THERE if size <= TEXT_MAX_CHARS else DOUBT, np.nan, at, size
    if what == FIXED:
        meant = _meaning(words, cell(entry, FIRST_WORD)) if cell(entry, BEHIND) else 0
        return THERE, double_of(U(cell(amount, LOW))), meant, MEANT_TEXT
    if what == WORD:
        begin, behind = cell(entry, FIRST_WORD), cell(entry, BEHIND)
        if as_text:
            word = word_of_text(arena + at, size, begin, behind, letters, word_starts)
        else:
            word = word_of_number(np.int64(bits), begin, behind, words, WHOLE_IS if as_value else FLAG_IS)
        return (
            (THERE, np.nan, _meaning(words, word), MEANT_TEXT) if word >= 0 else (DOUBT, np.nan, 0, NO_TEXT)
        )
    whole = _whole(arena + at, size, bits, what, cell(entry, UNIT))
    good = whole >= 0 and whole <= np.int64(double_of(U(cell(amount, HIGH))))
    return THERE if good else DOUBT, np.float64(whole), whole, NO_TEXT


@kernel(forceinline=True)
def has_bit(bits, field):
    """Whether a field is among those of a row; `NOWHERE` never is."""
    return field >= 0 and bits >> U(field) & U(1) != 0


@kernel(forceinline=True)
def cell(column, row):
    """The word of a row in the column at an address."""
    return np.int64(word_at(column + row * 8))


@kernel(forceinline=True)
def _meaning(words, word):
    return cell(words, word * _WORD_WIDTH + MEANS)


@kernel(forceinline=True)
def _number(value, amount):
    """A number in its unit, and whether it is within the bounds."""
    factor, lowest = double_of(U(cell(amount, FACTOR))), double_of(U(cell(amount, LOW)))
    value = value * factor if factor > 0 else value / -factor
    low = value > lowest or (value == lowest and cell(amount, ABOVE) == 0)
    return value, low and value <= double_of(U(cell(amount, HIGH)))


@kernel(forceinline=True)
def _whole(text, size, bits, what, unit):
    """A whole number or a time's ns; below 0 where it is not beyond doubt one that is not negative."""
    if size != NO_TEXT:
        if what == WHOLE:
            return whole_at(text, size)
        return iso_ns(text, size) if unit == ISO else decimal_ns(text, size, unit)
    return np.int64(bits) if what == WHOLE or unit == 0 else _counted_ns(double_of(bits), unit)


@kernel(forceinline=True)
def _counted_ns(count, unit):
    """The ns of a count in s, ms or us: of the shortest decimal that is the same double.

    Where that double is the one nearest to a whole number of us, that number's decimal is the shortest:
    below `_EXACT_US`, no other with as few places has the same double.
    """
    per = 1e6 if unit == 9 else 1e3 if unit == 6 else 1.0
    us = np.rint(count * per)
    if us >= 0.0 and us < _EXACT_US and us / per == count:
        ns = np.int64(us) * 1000
        return ns if ns <= TIME_MAX_NS else NO_NS
    return NO_NS


@kernel(forceinline=True)
def word_of_text(text, size, begin, behind, letters, starts):
    """Which word a text at an address is; -1 for none of them."""
    for word in range(begin, behind):
        start = cell(starts, word)
        if cell(starts, word + 1) - start == size:
            place = 0
            while place < size and byte_at(text + place) == byte_at(letters + start + place):
                place += 1
            if place == size:
                return word
    return -1


@kernel(forceinline=True)
def word_of_number(value, begin, behind, words, what):
    """Which word stands for a number, or for true or false; -1 for none of them."""
    for word in range(begin, behind):
        facts = words + word * _WORD_WIDTH * 8
        if cell(facts, what) == value and (what != WHOLE_IS or cell(facts, IS_WHOLE)):
            return word
    return -1
