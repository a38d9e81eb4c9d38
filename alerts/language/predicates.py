"""Compiled conditions, in three-valued logic.

A comparison with a missing value is neither true nor false but unknown, and so is its negation; ``and`` and
``or`` follow Kleene: the result is unknown unless the known side alone decides it.
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
"""A column, or one truth value for all rows."""

Codes: TypeAlias = "NDArray[np.int32] | np.int32"
"""Codes of texts: a column, or one code for all rows."""


class Predicate(Protocol):
    """Computes on which rows a condition is true, or false; elsewhere it is unknown."""

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
    flags: Flags = (left < right) | (left > right)  # a missing value is not unequal either
    return flags


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
    """A comparison of two numbers."""

    operator: str
    left: Operation
    right: Operation

    def yes(self, columns: ExpressionColumns) -> Flags:
        return self._holds(self.operator, columns)

    def no(self, columns: ExpressionColumns) -> Flags:
        return self._holds(OPPOSITES[self.operator], columns)

    def _holds(self, operator: str, columns: ExpressionColumns) -> Flags:
        left, right = self.left.evaluate(columns), self.right.evaluate(columns)
        flags: Flags = _COMPARISONS[operator](left, right)
        return flags


@dataclass(frozen=True, slots=True)
class SameText:
    """Whether two texts are equal, or unequal if `negated`."""

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
        flags: Flags = known & ((left == right) if same else (left != right))
        return flags


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is true, false where any part is false."""

    parts: tuple[Predicate, ...]

    def yes(self, columns: ExpressionColumns) -> Flags:
        flags = self.parts[0].yes(columns)
        for part in self.parts[1:]:
            if not flags.any():
                break
            flags = flags & part.yes(columns)
        return flags

    def no(self, columns: ExpressionColumns) -> Flags:
        flags = self.parts[0].no(columns)
        for part in self.parts[1:]:
            flags = flags | part.no(columns)
        return flags


@dataclass(frozen=True, slots=True)
class Any:
    """True where any part is true, false where every part is false."""

    parts: tuple[Predicate, ...]

    def yes(self, columns: ExpressionColumns) -> Flags:
        flags = self.parts[0].yes(columns)
        for part in self.parts[1:]:
            flags = flags | part.yes(columns)
        return flags

    def no(self, columns: ExpressionColumns) -> Flags:
        flags = self.parts[0].no(columns)
        for part in self.parts[1:]:
            if not flags.any():
                break
            flags = flags & part.no(columns)
        return flags


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is false, unknown where the part is unknown."""

    part: Predicate

    def yes(self, columns: ExpressionColumns) -> Flags:
        return self.part.no(columns)

    def no(self, columns: ExpressionColumns) -> Flags:
        return self.part.yes(columns)
