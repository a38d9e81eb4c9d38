"""Compiled expressions: every operation works on whole columns.

An operand is a float64 column, or a single number for all rows. A missing value is NaN. No operation raises:
an undefined result, such as a division by zero, is missing.
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
    """A column."""

    name: str

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return columns.numbers.get(self.name, _MISSING)


@dataclass(frozen=True, slots=True)
class Rank:
    """The position of an enum's text among its members, as a number, so that members can be compared."""

    name: str
    members: tuple[str, ...]

    def evaluate(self, columns: ExpressionColumns) -> Values:
        codes = columns.codes.get(self.name)
        if codes is None:
            return _MISSING
        known = [columns.code(member) for member in self.members]
        # one entry more than there are texts, for the code of an absent text, -1
        places = np.full(len(columns.strings) + 1, np.nan)
        for place, code in enumerate(known):
            if code >= 0:
                places[code] = place
        return places[codes]


@dataclass(frozen=True, slots=True)
class Plus:
    """The sum of two numbers."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) + self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Minus:
    """The difference of two numbers."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) - self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Times:
    """The product of two numbers."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return self.left.evaluate(columns) * self.right.evaluate(columns)


@dataclass(frozen=True, slots=True)
class Over:
    """The quotient of two numbers, missing where the divisor is zero."""

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
    """The absolute value."""

    operand: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.abs(self.operand.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Least:
    """The smaller of two numbers, missing where either is."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.minimum(self.left.evaluate(columns), self.right.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Greatest:
    """The larger of two numbers, missing where either is."""

    left: Operation
    right: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return np.maximum(self.left.evaluate(columns), self.right.evaluate(columns))


@dataclass(frozen=True, slots=True)
class Logarithm:
    """The natural logarithm, missing for numbers that are not positive."""

    operand: Operation

    def evaluate(self, columns: ExpressionColumns) -> Values:
        return logarithm(np.atleast_1d(self.operand.evaluate(columns)))
