"""Numbers by which plans and kernels understand each other."""

from __future__ import annotations

from typing import NamedTuple

from streamer.decoding.columns.field_paths import NOWHERE

NUMBER, WHOLE, TIME, TEXT, WORD, FIXED = range(6)
"""What is read (`FieldEntry.what`)."""

TO_TIME, TO_NUMBER, TO_CODE, TO_TEXT = range(4)
"""Where it goes (`FieldEntry.to`): the event's time, or a column of numbers, of enum codes, of texts."""

LEFT = -1
"""Of a word that means nothing here: the row is left. Words of what is ignored follow downwards."""


class FieldEntry(NamedTuple):
    """One field of one kind.

    Parameters
    ----------
    what, to
        See above.
    name
        The field's place among `Flat.names`; -1 of the event's time.
    required
        1 where an event cannot be without it.
    first
        The path's field in the first scan, `NOWHERE` where there is no path.
    text, value, flag
        The fields of the types that may be there.
    first_word, behind
        Which words it may be.
    empty_is_none
        1 where the empty text is no text.
    unit
        Of a time, how many decimal digits of ns; `ISO`.
    column
        Which of the columns that are written, once that is known.
    """

    what: int
    to: int
    name: int = -1
    required: int = 0
    first: int = NOWHERE
    text: int = NOWHERE
    value: int = NOWHERE
    flag: int = NOWHERE
    first_word: int = 0
    behind: int = 0
    empty_is_none: int = 0
    unit: int = 0
    column: int = 0


class Word(NamedTuple):
    """What a word stands for beside its text: a whole number, true (1) or false (0), and what it means."""

    is_whole: int
    whole: int
    flag: int
    means: int
