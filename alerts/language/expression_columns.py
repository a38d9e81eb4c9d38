"""The columns that expressions are evaluated on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ABSENT = -1
"""The code of a row without a text."""

NOWHERE = -2
"""The code of a text that is not in the vocabulary; no row has it."""


@dataclass(frozen=True, eq=False)
class ExpressionColumns:
    """Named columns of n rows. A name that is in neither mapping is missing on every row.

    Parameters
    ----------
    numbers
        float64[n] by name, NaN where a row has no value.
    codes
        int32[n] by name: indices into `strings`, `ABSENT` where a row has no text.
    strings
        The texts of the codes, each once.
    n
        Number of rows.
    code_of
        Returns the code of any text; needed if `strings` may still grow, as with columns of `codes` that are
        built on access and add their own texts.
    text_of
        Returns the text of one row under a name, if that is cheaper than building the column.
    """

    numbers: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, NDArray[np.int32]]
    strings: Sequence[str]
    n: int
    code_of: Callable[[str], int] | None = None
    text_of: Callable[[str, int], str | None] | None = None

    def code(self, text: str) -> int:
        """The code of a text, `NOWHERE` if no row can have it."""
        return self._codes_by_text.get(text, NOWHERE) if self.code_of is None else self.code_of(text)

    def value(self, name: str, row: int) -> float | str | None:
        """The value of one row under a name; None if it is missing or not finite.

        Examples
        --------
        >>> columns = ExpressionColumns({"price": np.array([7.5, np.nan])}, {}, (), 2)
        >>> columns.value("price", 0), columns.value("price", 1), columns.value("size", 0)
        (7.5, None, None)
        """
        column = self.numbers.get(name)
        if column is not None:
            number = float(column[row])
            return number if math.isfinite(number) else None
        if self.text_of is not None:
            return self.text_of(name, row)
        codes = self.codes.get(name)
        if codes is None or codes[row] == ABSENT:
            return None
        return self.strings[int(codes[row])]

    @cached_property
    def _codes_by_text(self) -> dict[str, int]:
        return {text: code for code, text in enumerate(self.strings)}
