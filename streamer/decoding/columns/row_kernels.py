"""The kernels: of scanned rows those that are events beyond doubt, as columns."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.columns.field_kernels import (
    AS_FLAG,
    AS_TEXT,
    AS_VALUE,
    BEHIND,
    COLUMN,
    FIRST_WORD,
    FLAG_IS,
    GONE,
    MEANS,
    NAME,
    NO_TEXT,
    REQUIRED,
    THERE,
    TO,
    WHOLE_IS,
    WHOLE_TEXT,
    cell,
    has_bit,
    value_of,
    word_of_number,
    word_of_text,
)
from streamer.decoding.columns.plan_codes import LEFT, TO_CODE, TO_NUMBER, TO_TIME
from streamer.messages.records import NO_TIME
from streamer.messages.texts import ABSENT

U = np.uint64


@kernel
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
        elif has_bit(present[row], text):
            at, size = cell(cells[text], row), cell(cells[text] + actions.size * 8, row)
            word = word_of_text(base + at, size, begin, behind, letters.ctypes.data, word_starts.ctypes.data)
        elif has_bit(present[row], value):
            word = word_of_number(cell(cells[value], row), begin, behind, words_at, WHOLE_IS)
        elif has_bit(present[row], flag):
            word = word_of_number(cell(cells[flag], row), begin, behind, words_at, FLAG_IS)
        actions[row] = words[word, MEANS] if word >= 0 else LEFT


@kernel
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
        if has_bit(present[row], text):
            at[row] = cell(cells[text], row)
            size[row] = cell(cells[text] + mine.size * 8, row)
        elif has_bit(present[row], whole):
            at[row], size[row] = cell(cells[whole], row), WHOLE_TEXT
        else:
            doubt[row] = has_bit(present[row] | other[row], first)


@kernel
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
        The plan, see `streamer.decoding.columns.flat_plan.Flat`.
    place, kind, ts, chosen
        int64[n], int8[n], int64[n], int32[n], written: of rows that are taken their places, their kinds,
        their times and their instruments.
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
            state, double, at, size = value_of(
                each, row, n, arena.ctypes.data, present[row], other[row], cells.ctypes.data, plan
            )
            to, column = entries[each, TO], entries[each, COLUMN]
            if state != THERE:
                sure = state == GONE and not entries[each, REQUIRED]
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
