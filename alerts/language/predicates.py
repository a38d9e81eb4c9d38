"""Compiled conditions, in three-valued logic.

A comparison with a missing value is neither true nor false but unknown, and so is its negation;
``and`` and ``or`` follow Kleene: unknown unless the known side decides alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alerts.language.expression_columns import ABSENT, ExpressionColumns
from alerts.language.operations import Operation, Values

Flags: TypeAlias = "NDArray[np.bool_] | np.bool_"
"""A column, or one truth for all rows."""

Codes: TypeAlias = "NDArray[np.int32] | np.int32"
"""Codes of texts: a column, or one code for all rows."""


class Predicate(Protocol):
    """Computes where a condition is true, or where it is false; where it is neither, it is unknown."""

    def yes(self, columns: ExpressionColumns) -> Flags:
        """The rows on which it is true."""

    def no(self, columns: ExpressionColumns) -> Flags:
        """The rows on which it is false."""


class TextOperand(Protocol):
    """Computes a column of texts, as their codes."""

    def evaluate(self, columns: ExpressionColumns) -> Codes:
        """The codes of all rows."""


@dataclass(frozen=True, slots=True)
class TextConstant:
    """The same text on every row."""

    text: str

    def evaluate(self, columns: ExpressionColumns) -> Codes:
        return np.int32(columns.code(self.text))


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts."""

    name: str

    def evaluate(self, columns: ExpressionColumns) -> Codes:
        return columns.codes.get(self.name, np.int32(ABSENT))


def _unequal(left: Values, right: Values) -> Flags:
    found: Flags = (left < right) | (left > right)  # a missing value is not unequal either
    return found


_COMPARISONS: dict[str, Callable[[Values, Values], Flags]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": _unequal,
}
OPPOSITES = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


@dataclass(frozen=True, slots=True)
class Compare:
    """Two numbers held against each other."""

    operator: str
    left: Operation
    right: Operation

    def yes(self, columns: ExpressionColumns) -> Flags:
        return self._holds(self.operator, columns)

    def no(self, columns: ExpressionColumns) -> Flags:
        return self._holds(OPPOSITES[self.operator], columns)

    def _holds(self, operator: str, columns: ExpressionColumns) -> Flags:
        left, right = self.left.evaluate(columns), self.right.evaluate(columns)
        found: Flags = _COMPARISONS[operator](left, right)
        return found


@dataclass(frozen=True, slots=True)
class SameText:
    """Two texts, the same or, where `negated`, not."""

    left: TextOperand
    right: TextOperand
    negated: bool

    def yes(self, columns: ExpressionColumns) -> Flags:
        return self._holds(columns, same=not self.negated)

    def no(self, columns: ExpressionColumns) -> Flags:
        return self._holds(columns, same=self.negated)

    def _holds(self, columns: ExpressionColumns, *, same: bool) -> Flags:
        left, right = self.left.evaluate(columns), self.right.evaluate(columns)
        known = (left != ABSENT) & (right != ABSENT)
        found: Flags = known & ((left == right) if same else (left != right))
        return found


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is, false where any part is false."""

    parts: tuple[Predicate, ...]

    def yes(self, columns: ExpressionColumns) -> Flags:
        found = self.parts[0].yes(columns)
        for part in self.parts[1:]:
            if not found.any():
                break
            found = found & part.yes(columns)
        return found

    def no(self, columns: ExpressionColumns) -> Flags:
        found = self.parts[0].no(columns)
        for part in self.parts[1:]:
            found = found | part.no(columns)
        return found


@dataclass(frozen=True, slots=True)
class Any:
    """True where any part is, false where every part is false."""

    parts: tuple[Predicate, ...]

    def yes(self, columns: ExpressionColumns) -> Flags:
        found = self.parts[0].yes(columns)
        for part in self.parts[1:]:
            found = found | part.yes(columns)
        return found

    def no(self, columns: ExpressionColumns) -> Flags:
        found = self.parts[0].no(columns)
        for part in self.parts[1:]:
            if not found.any():
                break
            found = found & part.no(columns)
        return found


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is false, unknown where it is."""

    part: Predicate

    def yes(self, columns: ExpressionColumns) -> Flags:
        return self.part.no(columns)

    def no(self, columns: ExpressionColumns) -> Flags:
        return self.part.yes(columns)
