"""Text columns that refer to the records' own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.columns.field_kernels import INTEGER_TEXT, MEANING_TEXT, NO_TEXT
from streamer.decoding.json import Interner
from streamer.messages.texts import ABSENT, Codes, Selection, Strings


@dataclass(frozen=True, slots=True, eq=False)
class RowTexts:
    """A `TextSource` over the text columns that `write_events` wrote.

    Parameters
    ----------
    arena
        uint8, the bytes of the records.
    at, size
        int64[n]: each text's position and size in bytes. Special sizes say that there is none, or that
        `at` holds an integer or the index of a meaning.
    meanings
        The meanings of words.
    """

    arena: NDArray[np.uint8]
    at: NDArray[np.int64]
    size: NDArray[np.int64]
    meanings: Sequence[str]

    def text(self, row: int) -> str | None:
        """The text of one row."""
        at, size = int(self.at[row]), int(self.size[row])
        if size == NO_TEXT:
            return None
        if size == INTEGER_TEXT:
            return str(at)
        if size == MEANING_TEXT:
            return self.meanings[at]
        return self.arena[at : at + size].tobytes().decode()

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts; equal texts share one string."""
        interner = Interner()
        interned = interner.codes(
            self.arena, np.where(self.size >= 0, self.at, 0), np.maximum(self.size, NO_TEXT)
        )
        string_codes = [strings.code(text) for text in interner.texts]
        codes = np.array([*string_codes, ABSENT], np.int32)[np.maximum(interned, ABSENT)]
        for row in np.flatnonzero(interned == Interner.BEYOND).tolist():
            codes[row] = strings.code(self.text(row) or "")
        for special in (INTEGER_TEXT, MEANING_TEXT):
            rows = np.flatnonzero(self.size == special)
            if len(rows):
                distinct, inverse = np.unique(self.at[rows], return_inverse=True)
                texts = [str(n) if special == INTEGER_TEXT else self.meanings[n] for n in distinct.tolist()]
                codes[rows] = np.array([strings.code(text) for text in texts], np.int32)[inverse]
        return codes

    def take(self, rows: Selection) -> RowTexts:
        """The selected rows."""
        return RowTexts(self.arena, self.at[rows], self.size[rows], self.meanings)
