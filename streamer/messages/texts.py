"""The string columns of a batch: texts become codes only where somebody asks for the column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

ABSENT = -1
"""The code of a string that an event does not have."""

Codes = NDArray[np.int32]


class TextSource(Protocol):
    """A column of texts that have not been made yet."""

    def text(self, row: int) -> str | None:
        """The text of one row, None where it has none."""

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts."""

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> TextSource:
        """The chosen rows only."""


@dataclass(slots=True, eq=False)
class Strings(Sequence[str]):
    """The texts behind codes, each once; it only ever grows."""

    _texts: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Strings:
        """Texts that have their codes already: their places."""
        return cls(list(texts), {text: code for code, text in enumerate(texts)})

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, code: int) -> str:  # type: ignore[override]
        return self._texts[code]

    def code(self, text: str) -> int:
        """The code of a text; the next one where it is new."""
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code

    def find(self, text: str) -> int | None:
        """The code of a text, None where it has none."""
        return self._codes.get(text)


class Texts(Mapping[str, Codes]):
    """Codes by name of field, int32[n], `ABSENT` where an event has none.

    Parameters
    ----------
    strings
        What the codes are of; columns that are made add to it.
    columns
        Those that are there, and those that are still to be made.

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

    def __getitem__(self, name: str) -> Codes:
        column = self._columns[name]
        if not isinstance(column, np.ndarray):
            column = self._columns[name] = column.codes(self.strings)
        return column

    def text(self, name: str, row: int) -> str | None:
        """What one event has under a name; no column is made for it."""
        column = self._columns.get(name)
        if column is None:
            return None
        if not isinstance(column, np.ndarray):
            return column.text(row)
        code = int(column[row])
        return None if code == ABSENT else self.strings[code]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Texts:
        """The chosen rows only; codes stay what they are."""
        return Texts(
            self.strings,
            {
                name: column[rows] if isinstance(column, np.ndarray) else column.take(rows)
                for name, column in self._columns.items()
            },
        )

    def and_also(self, columns: Mapping[str, Codes | TextSource]) -> Texts:
        """These columns and some more."""
        return Texts(self.strings, {**self._columns, **columns})


@dataclass(frozen=True, slots=True, eq=False)
class Lazy:
    """A `TextSource` of what a function makes of each row.

    Parameters
    ----------
    rows
        intp[n], what the function is asked for.
    make
        Gives the text of one of them.

    Examples
    --------
    >>> Lazy(np.arange(2), lambda row: f"t{row}").take(np.array([1])).text(0)
    't1'
    """

    rows: NDArray[np.intp]
    make: Callable[[int], str | None]

    def text(self, row: int) -> str | None:
        """The text of one row."""
        return self.make(int(self.rows[row]))

    def codes(self, strings: Strings) -> Codes:
        """The codes of all rows' texts; equal rows are made once."""
        distinct, place = np.unique(self.rows, return_inverse=True)
        made = [self.make(row) for row in distinct.tolist()]
        table = [ABSENT if text is None else strings.code(text) for text in made]
        return np.array(table, np.int32)[place]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Lazy:
        """The chosen rows only."""
        return Lazy(self.rows[rows], self.make)


def whole_numbers(values: NDArray[np.int64], present: NDArray[np.bool_]) -> Lazy:
    """Whole numbers as texts, such as ids, where they are present."""
    return Lazy(np.arange(len(values)), partial(_whole, values, present))


def spans(arena: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64]) -> Lazy:
    """Texts that lie in an arena as UTF-8; a size below 0 is no text."""
    return Lazy(np.arange(len(at)), partial(_span, arena, at, size))


def _whole(values: NDArray[np.int64], present: NDArray[np.bool_], row: int) -> str | None:
    return str(values[row]) if present[row] else None


def _span(arena: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64], row: int) -> str | None:
    if size[row] < 0:
        return None
    return arena[at[row] : at[row] + size[row]].tobytes().decode()
