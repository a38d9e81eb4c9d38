"""The kernels that turn scanned rows, where plainly valid, into columns of events."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.columns.field_kernels import (
    AS_FLAG,
    AS_TEXT,
    AS_VALUE,
    COLUMN,
    END_WORD,
    FIELD_ABSENT,
    FIELD_PRESENT,
    FIRST_WORD,
    FLAG_IS,
    INTEGER_IS,
    INTEGER_TEXT,
    MEANS,
    NAME,
    NO_TEXT,
    REQUIRED,
    TO,
    has_field,
    load,
    value_of,
    word_of_number,
    word_of_text,
)
from streamer.decoding.columns.plan_codes import SLOW_PATH, TO_CODE, TO_NUMBER, TO_TIME
from streamer.messages.records import NO_TIME
from streamer.messages.texts import ABSENT

U = np.uint64


@kernel
def read_kinds(arena, unclear, present, addresses, entries, letters, word_starts, words, actions):
    """Write each row's action: a kind, `SLOW_PATH`, or below that a name that is only counted.

    Parameters
    ----------
    arena, unclear, present, addresses
        The scanned rows; see `write_events`.
    entries
        int64[1, …], the kind's `FieldEntry`.
    letters, word_starts, words
        The plan's words.
    actions
        int64[n], written.
    """
    base, words_at = arena.ctypes.data, words.ctypes.data
    text, value, flag = entries[0, AS_TEXT], entries[0, AS_VALUE], entries[0, AS_FLAG]
    begin, end = entries[0, FIRST_WORD], entries[0, END_WORD]
    for row in range(actions.size):
        word = -1
        if unclear[row]:
            pass
        elif has_field(present[row], text):
            at, size = load(addresses[text], row), load(addresses[text] + actions.size * 8, row)
            word = word_of_text(base + at, size, begin, end, letters.ctypes.data, word_starts.ctypes.data)
        elif has_field(present[row], value):
            word = word_of_number(load(addresses[value], row), begin, end, words_at, INTEGER_IS)
        elif has_field(present[row], flag):
            word = word_of_number(load(addresses[flag], row), begin, end, words_at, FLAG_IS)
        actions[row] = words[word, MEANS] if word >= 0 else SLOW_PATH


@kernel
def read_names(present, other, addresses, mine, text, integer, first, at, size, unclear):
    """Write the positions of the texts at one path.

    Parameters
    ----------
    present, other, addresses
        The scanned rows; see `write_events`.
    mine
        bool[n], the relevant rows.
    text, integer, first
        The field for texts, the one for integers, and the one of these in the first scan.
    at, size
        int64[n], written; size `NO_TEXT` if there is none, `INTEGER_TEXT` if `at` is an integer.
    unclear
        bool[n], written: rows that are not relevant, or have a value of another type there.
    """
    for row in range(mine.size):
        at[row], size[row], unclear[row] = 0, NO_TEXT, not mine[row]
        if not mine[row]:
            continue
        if has_field(present[row], text):
            at[row] = load(addresses[text], row)
            size[row] = load(addresses[text] + mine.size * 8, row)
        elif has_field(present[row], integer):
            at[row], size[row] = load(addresses[integer], row), INTEGER_TEXT
        else:
            unclear[row] = has_field(present[row] | other[row], first)


@kernel
def write_events(
    arena, timestamp, actions, instrument, present, other, addresses,
    starts, entries, amounts, letters, word_starts, words,
    place, kind, ts, event_instrument, numbers, codes, text_at, text_size, slow,
):  # fmt: skip
    """Write plainly valid events; returns their count, the count of other rows, and the names that occur.

    Parameters
    ----------
    arena, timestamp
        uint8, int64[n]: the bytes, and the records' times.
    actions, instrument
        int64[n], int32[n]: the rows' actions (see `read_kinds`) and instruments, negative for none.
    present, other
        uint64[n], bits of the fields that are present, and of those present with another type.
    addresses
        int64, the addresses of the fields' columns of n words each; a text has two adjacent ones.
    starts, entries, amounts, letters, word_starts, words
        The plan, see `streamer.decoding.columns.flat_plan.FlatPlan`.
    place, kind, ts, event_instrument
        int64[n], int8[n], int64[n], int32[n], written: the events' rows, kinds, times and instruments.
    numbers, codes, text_at, text_size
        float64[.., n], int32[.., n], int64[.., n], int64[.., n], written: their fields.
    slow
        int64[n], written: the rows left to the slow path.
    """
    n = actions.size
    plan = (
        entries.ctypes.data,
        amounts.ctypes.data,
        letters.ctypes.data,
        word_starts.ctypes.data,
        words.ctypes.data,
    )
    event = n_slow = 0
    occurring = U(0)
    for row in range(n):
        action = actions[row]
        if action < SLOW_PATH:
            continue
        valid, time, occurs = action >= 0 and instrument[row] >= 0, timestamp[row], U(0)
        for column in range(numbers.shape[0]):
            numbers[column, event] = np.nan
        for column in range(codes.shape[0]):
            codes[column, event] = ABSENT
        for column in range(text_size.shape[0]):
            text_size[column, event] = NO_TEXT
        for each in range(starts[action] if valid else 0, starts[action + 1] if valid else 0):
            state, double, at, size = value_of(
                each, row, n, arena.ctypes.data, present[row], other[row], addresses.ctypes.data, plan
            )
            to, column = entries[each, TO], entries[each, COLUMN]
            if state != FIELD_PRESENT:
                valid = state == FIELD_ABSENT and not entries[each, REQUIRED]
                if not valid:
                    break
            elif to == TO_TIME:
                time = at
            else:
                occurs |= U(1) << U(entries[each, NAME])
                if to == TO_NUMBER:
                    numbers[column, event] = double
                elif to == TO_CODE:
                    codes[column, event] = at
                else:
                    text_at[column, event] = at
                    text_size[column, event] = size
        if valid and time != NO_TIME:
            occurring |= occurs
            place[event], kind[event], ts[event], event_instrument[event] = row, action, time, instrument[row]
            event += 1
        else:
            slow[n_slow] = row
            n_slow += 1
    return event, n_slow, occurring
