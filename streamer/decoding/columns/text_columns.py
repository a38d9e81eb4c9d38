"""Columns of texts that still lie where the records are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.columns.field_kernels import MEANT_TEXT, NO_TEXT, WHOLE_TEXT
from streamer.decoding.json import Interner
from streamer.messages.texts import ABSENT, Codes, Strings


@dataclass(frozen=True, slots=True, eq=False)
class TakenTexts:
    """A `TextSource` of what `take_rows` wrote.

    Parameters
    ----------
    arena
        uint8, the bytes of the records.
    at, size
        int64[n]: where each text lies and how many bytes it has; or the size says that there is none, or
        that it is the whole number, or the meaning, that `at` holds.
    meanings
        Texts that stand for others.
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
        if size == WHOLE_TEXT:
            return str(at)
        if size == MEANT_TEXT:
            return self.meanings[at]
        return self.arena[at : at + size].tobytes().decode()

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts; one string is made of equal ones."""
        interner = Interner()
        found = interner.codes(
            self.arena, np.where(self.size >= 0, self.at, 0), np.maximum(self.size, NO_TEXT)
        )
        made = [strings.code(text) for text in interner.texts]
        codes = np.array([*made, ABSENT], np.int32)[found]
        for special in (WHOLE_TEXT, MEANT_TEXT):
            mine = np.flatnonzero(self.size == special)
            if len(mine):
                distinct, back = np.unique(self.at[mine], return_inverse=True)
                texts = [str(n) if special == WHOLE_TEXT else self.meanings[n] for n in distinct.tolist()]
                codes[mine] = np.array([strings.code(text) for text in texts], np.int32)[back]
        return codes

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> TakenTexts:
        """The chosen rows only."""
        return TakenTexts(self.arena, self.at[rows], self.size[rows], self.meanings)
