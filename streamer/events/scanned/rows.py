"""The kernels: of scanned rows those that are events beyond doubt, as columns."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from streamer.events.batch import NO_TIME
from streamer.events.fields import TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.events.scanned.layout import (
    FIXED,
    LEFT,
    NUMBER,
    TEXT,
    TO_CODE,
    TO_NUMBER,
    TO_TIME,
    WHOLE,
    WORD,
    Entry,
    Word,
)
from streamer.events.scanned.times import ISO, NO_NS, decimal_ns, iso_ns, whole_at
from streamer.events.texts import ABSENT
from streamer.scan.words import byte_at, double_of, word_at

NO_TEXT, WHOLE_TEXT, MEANT_TEXT = -1, -2, -3
"""In the place of a text's size: none, the whole number or the word's meaning that stands at its place."""

(
    WHAT, TO, NAME, REQUIRED, FIRST, AS_TEXT, AS_VALUE, AS_FLAG,
    FIRST_WORD, BEHIND, EMPTY_IS_NONE, UNIT, COLUMN,
) = range(len(Entry._fields))  # fmt: skip
IS_WHOLE, WHOLE_IS, FLAG_IS, MEANS = range(len(Word._fields))
LOW, HIGH, ABOVE, FACTOR = range(4)

_EXACT_US = 2.0**52  # up to here, neighbours among doubles are less than 1 us apart
_ENTRY_SIZE, _AMOUNT_SIZE, _WORD_WIDTH = 8 * len(Entry._fields), 8 * 4, len(Word._fields)
_ABSENT, _THERE, _DOUBT = range(3)
U = np.uint64


@njit(cache=True, nogil=True)
def read_kinds(arena, unsure, present, cells, entries, letters, word_starts, words, actions):
    """Write what each row is: a kind, `LEFT`, or below that something that is only counted.

    Parameters
    ----------
    arena, unsure, present, cells
        The rows as they were scanned; see `take_rows`.
    entries
        int64[1, …], the `Entry` of kinds.
    letters, word_starts, words
        The words of the plan.
    actions
        int64[n], written.
    """
    base, words_at = arena.ctypes.data, words.ctypes.data
    text, value, flag = entries[0, AS_TEXT], entries[0, AS_VALUE], entries[0, AS_FLAG]
    begin, behind = entries[0, FIRST_WORD], entries[0, BEHIND]
    for row in range(actions.size):
        word = -1
        if unsure[row]:
            pass
        elif _is(present[row], text):
            at, size = _cell(cells[text], row), _cell(cells[text] + actions.size * 8, row)
            word = _text_word(base + at, size, begin, behind, letters.ctypes.data, word_starts.ctypes.data)
        elif _is(present[row], value):
            word = _equal_word(_cell(cells[value], row), begin, behind, words_at, WHOLE_IS)
        elif _is(present[row], flag):
            word = _equal_word(_cell(cells[flag], row), begin, behind, words_at, FLAG_IS)
        actions[row] = words[word, MEANS] if word >= 0 else LEFT


@njit(cache=True, nogil=True)
def read_names(present, other, cells, mine, text, whole, first, at, size, doubt):
    """Write where the texts at one path lie.

    Parameters
    ----------
    present, other, cells
        The rows as they were scanned; see `take_rows`.
    mine
        bool[n], which rows matter.
    text, whole, first
        The field of texts, that of whole numbers, and whichever of them is in the first scan.
    at, size
        int64[n], written; size `NO_TEXT` where there is none, `WHOLE_TEXT` where a whole number is `at`.
    doubt
        bool[n], written: rows that do not matter, or have something else there.
    """
    for row in range(mine.size):
        at[row], size[row], doubt[row] = 0, NO_TEXT, not mine[row]
        if not mine[row]:
            continue
        if _is(present[row], text):
            at[row] = _cell(cells[text], row)
            size[row] = _cell(cells[text] + mine.size * 8, row)
        elif _is(present[row], whole):
            at[row], size[row] = _cell(cells[whole], row), WHOLE_TEXT
        else:
            doubt[row] = _is(present[row] | other[row], first)


@njit(cache=True, nogil=True)
def take_rows(
    arena, timestamp, actions, instrument, present, other, cells,
    starts, entries, amounts, letters, word_starts, words,
    place, kind, ts, chosen, numbers, codes, text_at, text_size, left,
):  # fmt: skip
    """Take rows that are events beyond doubt; returns how many, how many are left, and which names occur.

    Parameters
    ----------
    arena, timestamp
        uint8, int64[n]: the bytes, and the records' times.
    actions, instrument
        int64[n], int32[n]: what the rows are, and of which instrument; below 0 of none.
    present, other
        uint64[n], the fields that are there, and there with another type, by number.
    cells
        int64, the addresses of the fields' columns of n words each; a text has two, side by side.
    starts, entries, amounts, letters, word_starts, words
        The plan, see `streamer.events.scanned.flat.Flat`.
    place, kind, ts, chosen
        int64[n], int8[n], int64[n], int32[n], written: of rows that are taken where they stood, their kind,
        their time and their instrument.
    numbers, codes, text_at, text_size
        float64[.., n], int32[.., n], int64[.., n], int64[.., n], written: their fields.
    left
        int64[n], written: the rows that are left.
    """
    n = actions.size
    plan = (
        entries.ctypes.data,
        amounts.ctypes.data,
        letters.ctypes.data,
        word_starts.ctypes.data,
        words.ctypes.data,
    )
    taken = behind = 0
    occurring = U(0)
    for row in range(n):
        action = actions[row]
        if action < LEFT:
            continue
        sure, time, occurs = action >= 0 and instrument[row] >= 0, timestamp[row], U(0)
        for column in range(numbers.shape[0]):
            numbers[column, taken] = np.nan
        for column in range(codes.shape[0]):
            codes[column, taken] = ABSENT
        for column in range(text_size.shape[0]):
            text_size[column, taken] = NO_TEXT
        for each in range(starts[action] if sure else 0, starts[action + 1] if sure else 0):
            state, double, at, size = _value(
                each, row, n, arena.ctypes.data, present[row], other[row], cells.ctypes.data, plan
            )
            to, column = entries[each, TO], entries[each, COLUMN]
            if state != _THERE:
                sure = state == _ABSENT and not entries[each, REQUIRED]
                if not sure:
                    break
            elif to == TO_TIME:
                time = at
            else:
                occurs |= U(1) << U(entries[each, NAME])
                if to == TO_NUMBER:
                    numbers[column, taken] = double
                elif to == TO_CODE:
                    codes[column, taken] = at
                else:
                    text_at[column, taken] = at
                    text_size[column, taken] = size
        if sure and time != NO_TIME:
            occurring |= occurs
            place[taken], kind[taken], ts[taken], chosen[taken] = row, action, time, instrument[row]
            taken += 1
        else:
            left[behind] = row
            behind += 1
    return taken, behind, occurring


@njit(forceinline=True)
def _value(each, row, n, arena, present, other, cells, plan):
    """One field: its state, it as a number, and what stands for it in columns of codes and of texts.

    Arrays come as addresses, since handing arrays to functions costs more than all that is done here.
    """
    entries, amounts, letters, word_starts, words = plan
    entry, amount = entries + each * _ENTRY_SIZE, amounts + each * _AMOUNT_SIZE
    what = _cell(entry, WHAT)
    as_text, as_value = _is(present, _cell(entry, AS_TEXT)), _is(present, _cell(entry, AS_VALUE))
    at, size, bits = 0, NO_TEXT, U(0)
    if as_text:
        column = _cell(cells, _cell(entry, AS_TEXT))
        at, size = _cell(column, row), _cell(column, n + row)
        if size == 0 and _cell(entry, EMPTY_IS_NONE):
            return _ABSENT, np.nan, 0, NO_TEXT
    elif as_value:
        bits = U(_cell(_cell(cells, _cell(entry, AS_VALUE)), row))
    elif _is(present, _cell(entry, AS_FLAG)):
        bits = U(_cell(_cell(cells, _cell(entry, AS_FLAG)), row))
    elif what != FIXED:
        # what is of another type than wanted, null among it, is neither there nor absent
        doubt = _is(present | other, _cell(entry, FIRST))
        return _DOUBT if doubt else _ABSENT, np.nan, 0, NO_TEXT
    if what == NUMBER:
        double, within = _number(double_of(bits), amount)
        return _THERE if within else _DOUBT, double, 0, NO_TEXT
    if what == TEXT:
        if as_value:
            return _THERE, np.nan, np.int64(bits), WHOLE_TEXT
        return _THERE if size <= TEXT_MAX_CHARS else _DOUBT, np.nan, at, size
    if what == FIXED:
        meant = _meaning(words, _cell(entry, FIRST_WORD)) if _cell(entry, BEHIND) else 0
        return _THERE, double_of(U(_cell(amount, LOW))), meant, MEANT_TEXT
    if what == WORD:
        begin, behind = _cell(entry, FIRST_WORD), _cell(entry, BEHIND)
        if as_text:
            word = _text_word(arena + at, size, begin, behind, letters, word_starts)
        else:
            word = _equal_word(np.int64(bits), begin, behind, words, WHOLE_IS if as_value else FLAG_IS)
        return (
            (_THERE, np.nan, _meaning(words, word), MEANT_TEXT) if word >= 0 else (_DOUBT, np.nan, 0, NO_TEXT)
        )
    whole = _whole(arena + at, size, bits, what, _cell(entry, UNIT))
    good = whole >= 0 and whole <= np.int64(double_of(U(_cell(amount, HIGH))))
    return _THERE if good else _DOUBT, np.float64(whole), whole, NO_TEXT


@njit(forceinline=True)
def _is(bits, field):
    return field >= 0 and bits >> U(field) & U(1) != 0


@njit(forceinline=True)
def _cell(column, row):
    return np.int64(word_at(column + row * 8))


@njit(forceinline=True)
def _meaning(words, word):
    return _cell(words, word * _WORD_WIDTH + MEANS)


@njit(forceinline=True)
def _number(value, amount):
    """A number in its unit, and whether it is within the bounds."""
    factor, lowest = double_of(U(_cell(amount, FACTOR))), double_of(U(_cell(amount, LOW)))
    value = value * factor if factor > 0 else value / -factor
    low = value > lowest or (value == lowest and _cell(amount, ABOVE) == 0)
    return value, low and value <= double_of(U(_cell(amount, HIGH)))


@njit(forceinline=True)
def _whole(text, size, bits, what, unit):
    """A whole number or a time's ns; below 0 where it is not beyond doubt one that is not negative."""
    if size != NO_TEXT:
        if what == WHOLE:
            return whole_at(text, size)
        return iso_ns(text, size) if unit == ISO else decimal_ns(text, size, unit)
    return np.int64(bits) if what == WHOLE or unit == 0 else _counted_ns(double_of(bits), unit)


@njit(forceinline=True)
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


@njit(forceinline=True)
def _text_word(text, size, begin, behind, letters, starts):
    """Which word a text at an address is; -1 for none of them."""
    for word in range(begin, behind):
        start = _cell(starts, word)
        if _cell(starts, word + 1) - start == size:
            place = 0
            while place < size and byte_at(text + place) == byte_at(letters + start + place):
                place += 1
            if place == size:
                return word
    return -1


@njit(forceinline=True)
def _equal_word(value, begin, behind, words, what):
    """Which word stands for a number, or for true or false; -1 for none of them."""
    for word in range(begin, behind):
        facts = words + word * _WORD_WIDTH * 8
        if _cell(facts, what) == value and (what != WHOLE_IS or _cell(facts, IS_WHOLE)):
            return word
    return -1
