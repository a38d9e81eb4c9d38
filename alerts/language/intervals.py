"""Ranges of numbers, and how they pass through the operations of an expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from alerts.language.operations import (
    Absolute,
    Greatest,
    Least,
    Minus,
    Negative,
    NumberColumn,
    NumberConstant,
    Operation,
    Over,
    Plus,
    Times,
)

Range = tuple[float, float]
"""The least and the highest value; infinite where there is none."""

EVERYTHING: Range = (-math.inf, math.inf)


class Interval(NamedTuple):
    """The numbers that satisfy comparisons with constants; each end may be left out.

    Examples
    --------
    >>> Interval.of(">", 5.0).also(Interval.of("<", 3.0)).is_empty
    True
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    @classmethod
    def of(cls, operator: str, bound: float) -> Interval:
        """What satisfies one comparison; everything for one that is none of an interval."""
        if operator in (">", ">="):
            return cls(low=bound, above=operator == ">")
        if operator in ("<", "<="):
            return cls(high=bound, below=operator == "<")
        return cls(bound, bound) if operator == "==" else cls()

    @property
    def is_empty(self) -> bool:
        """Whether no number is in it."""
        return self.low > self.high or (self.low == self.high and (self.above or self.below))

    def also(self, other: Interval) -> Interval:
        """The numbers in both."""
        low, above = max((self.low, self.above), (other.low, other.above))
        high, not_below = min((self.high, not self.below), (other.high, not other.below))
        return Interval(low, high, above, not not_below)

    def covers(self, other: Interval) -> bool:
        """Whether all numbers of the other one are in it."""
        return self.also(other) == other


def range_of(operation: Operation, ranges: Mapping[str, Range]) -> Range:
    """The range of an operation's values, given those of columns by name.

    Examples
    --------
    >>> range_of(Negative(NumberColumn("a")), {"a": (0.0, 1.0)})
    (-1.0, -0.0)
    """
    match operation:
        case NumberConstant(value=value):
            return value, value
        case NumberColumn(name=name):
            return ranges.get(name, EVERYTHING)
        case Negative(operand=operand):
            low, high = range_of(operand, ranges)
            return -high, -low
        case Absolute(operand=operand):
            low, high = range_of(operand, ranges)
            return (0.0 if low < 0 < high else min(abs(low), abs(high))), max(abs(low), abs(high))
        case Plus(left=left, right=right):
            (a, b), (c, d) = range_of(left, ranges), range_of(right, ranges)
            return _known((a + c, b + d))
        case Minus(left=left, right=right):
            (a, b), (c, d) = range_of(left, ranges), range_of(right, ranges)
            return _known((a - d, b - c))
        case Times(left=left, right=right):
            return _corners(range_of(left, ranges), range_of(right, ranges), lambda a, b: a * b)
        case Over(left=left, right=right):
            divisor = range_of(right, ranges)
            if divisor[0] <= 0 <= divisor[1]:
                return EVERYTHING
            return _corners(range_of(left, ranges), divisor, lambda a, b: a / b)
        case Least(left=left, right=right):
            (a, b), (c, d) = range_of(left, ranges), range_of(right, ranges)
            return min(a, c), min(b, d)
        case Greatest(left=left, right=right):
            (a, b), (c, d) = range_of(left, ranges), range_of(right, ranges)
            return max(a, c), max(b, d)
    return EVERYTHING


def _corners(left: Range, right: Range, compute: Callable[[float, float], float]) -> Range:
    corners = [_product(compute, a, b) for a in left for b in right]
    return _known((min(corners), max(corners)))


def _product(compute: Callable[[float, float], float], a: float, b: float) -> float:
    result = compute(a, b)
    return 0.0 if math.isnan(result) and 0.0 in (a, b) else result


def _known(found: Range) -> Range:
    return EVERYTHING if any(map(math.isnan, found)) else found
