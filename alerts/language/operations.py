"""Compiled expressions: every operation takes whole columns.

An operand is a float64 column, or a single number that stands for the same on every row. A missing
value is NaN. No operation raises: what has no value, such as a quotient by zero, is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alerts.language.expression_columns import ExpressionColumns
from alerts.language.logarithm import logarithm

Values: TypeAlias = "NDArray[np.float64] | np.float64"
"""A column, or one number for all rows."""

_MISSING = np.float64(np.nan)


class Operation(Protocol):
    """Computes a column of numbers."""

    def evaluate(self, columns: ExpressionColumns) -> Values:
        """The numbers of all rows."""


@dataclass(frozen=True, slots=True)
class NumberConstant:
    """The same number on every row."""

    value: float

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.float64(self.value)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column as it is."""

    name: str

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return columns.numbers.get(self.name, _MISSING)


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of an enum's text among its members, as a number, so that members can be compared."""

    name: str
    members: tuple[str, ...]

    def evaluate(self, columns: ExpressionColumns) -> Values:
        codes = columns.codes.get(self.name)
        if codes is None:
            return _MISSING
        known = [columns.code(member) for member in self.members]
        # one place more than there are texts: that is where the code of an absent text, -1, points
        places = np.full(len(columns.strings) + 1, np.nan)
        for place, code in enumerate(known):
            if code >= 0:
                places[code] = place
        return places[codes]


@dataclass(frozen=True, slots=True)
class Plus:
    """The sum of two."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) + self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Minus:
    """The difference of two."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) - self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Times:
    """The product of two."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) * self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Over:
    """The quotient of two, missing where the divisor is zero."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        divisor = self.right.evaluate(columns)
        return self.left.evaluate(columns) / np.where(divisor == 0.0, _MISSING, divisor)


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of a number."""

    operand: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return -self.operand.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Absolute:
    """The number without its sign."""

    operand: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.abs(self.operand.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Least:
    """The smaller of two, missing where either is."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.minimum(self.left.evaluate(columns), self.right.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Greatest:
    """The larger of two, missing where either is."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.maximum(self.left.evaluate(columns), self.right.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Logarithm:
    """The natural logarithm, missing where there is none."""

    operand: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return logarithm(np.atleast_1d(self.operand.evaluate(columns)))
