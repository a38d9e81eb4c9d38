"""Compiled conditions, in three-valued logic.

A comparison with a missing value is neither true nor false but unknown, and so is its negation;
``and`` and ``or`` follow Kleene: unknown unless the known side decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alerts.language.columns import ABSENT, Columns
from alerts.language.operations import Operation

Flags: TypeAlias = "NDArray[np.bool_] | np.bool_"
"""A column, or one truth for all rows."""

Codes: TypeAlias = "NDArray[np.int32] | np.int32"
"""Codes of texts: a column, or one code for all rows."""


class Truth(NamedTuple):
    """Where a condition is true and where it is false; where neither, it is unknown."""

    yes: Flags
    no: Flags


class Predicate(Protocol):
    """Computes the truth of a condition."""

    def evaluate(self, columns: Columns) -> Truth:
        """The truth on all rows."""


class TextOperand(Protocol):
    """Computes a column of texts, as their codes."""

    def evaluate(self, columns: Columns) -> Codes:
        """The codes of all rows."""


@dataclass(frozen=True, slots=True)
class TextConstant:
    """The same text on every row."""

    text: str

    def evaluate(self, columns: Columns) -> Codes:
        return np.int32(columns.code(self.text))


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts."""

    name: str

    def evaluate(self, columns: Columns) -> Codes:
        return columns.codes.get(self.name, np.int32(ABSENT))


@dataclass(frozen=True, slots=True)
class Compare:
    """Two numbers held against each other."""

    operator: str
    left: Operation
    right: Operation

    def evaluate(self, columns: Columns) -> Truth:
        left, right = self.left.evaluate(columns), self.right.evaluate(columns)
        match self.operator:
            case "<":
                return Truth(left < right, left >= right)
            case "<=":
                return Truth(left <= right, left > right)
            case ">":
                return Truth(left > right, left <= right)
            case ">=":
                return Truth(left >= right, left < right)
        equal, unequal = left == right, (left < right) | (left > right)
        return Truth(equal, unequal) if self.operator == "==" else Truth(unequal, equal)


@dataclass(frozen=True, slots=True)
class SameText:
    """Two texts, the same or, where `negated`, not."""

    left: TextOperand
    right: TextOperand
    negated: bool

    def evaluate(self, columns: Columns) -> Truth:
        left, right = self.left.evaluate(columns), self.right.evaluate(columns)
        known = (left != ABSENT) & (right != ABSENT)
        same, other = known & (left == right), known & (left != right)
        return Truth(other, same) if self.negated else Truth(same, other)


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is, false where any part is false."""

    parts: tuple[Predicate, ...]

    def evaluate(self, columns: Columns) -> Truth:
        yes, no = self.parts[0].evaluate(columns)
        for part in self.parts[1:]:
            truth = part.evaluate(columns)
            yes, no = yes & truth.yes, no | truth.no
        return Truth(yes, no)


@dataclass(frozen=True, slots=True)
class Any:
    """True where any part is, false where every part is false."""

    parts: tuple[Predicate, ...]

    def evaluate(self, columns: Columns) -> Truth:
        yes, no = self.parts[0].evaluate(columns)
        for part in self.parts[1:]:
            truth = part.evaluate(columns)
            yes, no = yes | truth.yes, no & truth.no
        return Truth(yes, no)


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is false, unknown where it is."""

    part: Predicate

    def evaluate(self, columns: Columns) -> Truth:
        yes, no = self.part.evaluate(columns)
        return Truth(no, yes)
