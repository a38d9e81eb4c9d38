"""The string columns of a batch: texts are encoded only when the column is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

ABSENT = -1
"""The code of a missing string."""

Codes = NDArray[np.int32]

Selection = NDArray[np.intp] | NDArray[np.bool_] | slice
"""Rows to be selected; a slice gives views of columns, anything else copies."""


class TextSource(Protocol):
    """A text column that is not encoded yet."""

    def text(self, row: int) -> str | None:
        """The text of one row, None if it has none."""

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts; new texts are added to `strings`."""

    def take(self, rows: Selection) -> TextSource:
        """The selected rows."""


@dataclass(slots=True, eq=False)
class Strings(Sequence[str]):
    """The distinct texts that codes index; it only ever grows."""

    _texts: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Strings:
        """Texts whose codes are their positions."""
        return cls(list(texts), {text: code for code, text in enumerate(texts)})

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, code: int) -> str:  # type: ignore[override]
        return self._texts[code]

    def code(self, text: str) -> int:
        """The code of a text; a new text gets the next one."""
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code

    def find(self, text: str) -> int | None:
        """The code of a text, None if it has none."""
        return self._codes.get(text)


class Texts(Mapping[str, Codes]):
    """Codes by field name, int32[n], `ABSENT` where an event lacks the field.

    Parameters
    ----------
    strings
        What the codes index; encoding a column adds to it.
    columns
        Encoded columns, and sources of those not encoded yet.

    Examples
    --------
    >>> texts = Texts(Strings(["buy"]), {"side": np.array([0, -1], np.int32)})
    >>> texts.text("side", 0), texts.text("side", 1), texts.text("reason", 0)
    ('buy', None, None)
    """

    def __init__(self, strings: Strings, columns: Mapping[str, Codes | TextSource]) -> None:
        self.strings = strings
        self._columns = dict(columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        """Whether any event may have the field; the column is not encoded for it."""
        return name in self._columns

    def __getitem__(self, name: str) -> Codes:
        column = self._columns[name]
        if not isinstance(column, np.ndarray):
            column = self._columns[name] = column.codes(self.strings)
        return column

    def text(self, name: str, row: int) -> str | None:
        """One event's text; the column is not encoded for it."""
        column = self._columns.get(name)
        if column is None:
            return None
        if not isinstance(column, np.ndarray):
            return column.text(row)
        code = int(column[row])
        return None if code == ABSENT else self.strings[code]

    def codes_in(self, name: str, strings: Strings) -> Codes:
        """A column's codes in other strings; new texts are added to them."""
        column = self._columns[name]
        if not isinstance(column, np.ndarray):
            return column.codes(strings)
        table = np.full(len(self.strings) + 1, ABSENT, np.int32)
        for code in np.unique(column).tolist():
            if code != ABSENT:
                table[code] = strings.code(self.strings[code])
        return table[column]

    def take(self, rows: Selection) -> Texts:
        """The selected rows; codes do not change."""
        return Texts(
            self.strings,
            {
                name: column[rows] if isinstance(column, np.ndarray) else column.take(rows)
                for name, column in self._columns.items()
            },
        )

    def with_columns(self, columns: Mapping[str, Codes | TextSource]) -> Texts:
        """These columns and additional ones."""
        return Texts(self.strings, {**self._columns, **columns})


@dataclass(frozen=True, slots=True, eq=False)
class LazyTexts:
    """A `TextSource` whose texts a function computes.

    Parameters
    ----------
    rows
        intp[n], the function's argument for each row.
    make
        Computes the text.

    Examples
    --------
    >>> LazyTexts(np.arange(2), lambda row: f"t{row}").take(np.array([1])).text(0)
    't1'
    """

    rows: NDArray[np.intp]
    make: Callable[[int], str | None]

    def text(self, row: int) -> str | None:
        """The text of one row."""
        return self.make(int(self.rows[row]))

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts; each distinct argument is computed once."""
        distinct, inverse = np.unique(self.rows, return_inverse=True)
        texts = [self.make(row) for row in distinct.tolist()]
        codes = [ABSENT if text is None else strings.code(text) for text in texts]
        return np.array(codes, np.int32)[inverse]

    def take(self, rows: Selection) -> LazyTexts:
        """The selected rows."""
        return LazyTexts(self.rows[rows], self.make)


def integers_as_texts(values: NDArray[np.int64], present: NDArray[np.bool_]) -> LazyTexts:
    """Integers, such as ids, as texts; None where not present."""
    return LazyTexts(np.arange(len(values)), partial(_integer_text, values, present))


def _integer_text(values: NDArray[np.int64], present: NDArray[np.bool_], row: int) -> str | None:
    return str(values[row]) if present[row] else None
