"""Codes shared by plans and kernels."""

from __future__ import annotations

from typing import NamedTuple

from streamer.decoding.columns.field_paths import NOWHERE

NUMBER, INTEGER, TIME, TEXT, WORD, CONSTANT = range(6)
"""How a field is read (`FieldEntry.read_as`)."""

TO_TIME, TO_NUMBER, TO_CODE, TO_TEXT = range(4)
"""Where a field goes (`FieldEntry.to`): the event's time, or a column of numbers, enum codes or texts."""

SLOW_PATH = -1
"""The meaning of a word that leaves its row to the slow path; ignored words have lower meanings."""


class FieldEntry(NamedTuple):
    """One field of one kind.

    Parameters
    ----------
    read_as, to
        See above.
    name
        Index in `FlatPlan.names`; -1 for the event's time.
    required
        1 if an event must have it.
    first
        The path's field in the first scan, `NOWHERE` without a path.
    text, value, flag
        The fields of the possible types.
    first_word, end_word
        The range of words it may be.
    empty_is_none
        1 if the empty string counts as absent.
    unit
        For a time, the unit's number of decimal digits in ns, or `ISO`.
    column
        Index of the column it is written to, once known.
    """

    read_as: int
    to: int
    name: int = -1
    required: int = 0
    first: int = NOWHERE
    text: int = NOWHERE
    value: int = NOWHERE
    flag: int = NOWHERE
    first_word: int = 0
    end_word: int = 0
    empty_is_none: int = 0
    unit: int = 0
    column: int = 0


class Word(NamedTuple):
    """What a word stands for besides its text: an integer, true (1) or false (0); and its meaning."""

    is_integer: int
    integer: int
    flag: int
    means: int
