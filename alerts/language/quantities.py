"""Numbers inside expressions, with what they measure: the arithmetic of the compiler.

Constants are computed here, exactly, and become a float64 only once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from alerts.language.operations import (
    Absolute,
    Greatest,
    Least,
    Logarithm,
    Minus,
    Negative,
    NumberConstant,
    Operation,
    Over,
    Plus,
    Times,
)
from alerts.language.units import NUMBER, Unit, combined, common

_ONE = Fraction(1)


class QuantityError(ValueError):
    """A computation that has no sense; the message completes a sentence about the expression."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of an expression.

    Parameters
    ----------
    operation
        Computes its column.
    unit
        What it measures.
    constant
        Its exact value where it is the same for all rows.
    """

    operation: Operation
    unit: Unit
    constant: Fraction | None = None


def constant(value: Fraction, unit: Unit) -> Quantity:
    """A number that is known.

    Raises
    ------
    QuantityError
        When it is beyond float64.
    """
    try:
        return Quantity(NumberConstant(float(value)), unit, value)
    except OverflowError:
        raise QuantityError("is beyond what can be computed with") from None


def converted(quantity: Quantity, unit: Unit) -> Quantity:
    """The same quantity in another scale of what it measures; a bare number is taken to be in it already."""
    factor = _ONE if quantity.unit.kind == "any" else quantity.unit.scale / unit.scale
    scaled = _scaled(quantity, factor)
    return Quantity(scaled.operation, unit, scaled.constant)


def _scaled(quantity: Quantity, factor: Fraction) -> Quantity:
    if factor == 1:
        return quantity
    if quantity.constant is not None:
        return constant(quantity.constant * factor, quantity.unit)
    if factor.numerator == 1:  # dividing by 10,000 is more exact than multiplying by 1e-4
        operation: Operation = Over(quantity.operation, NumberConstant(float(factor.denominator)))
    else:
        operation = Times(quantity.operation, NumberConstant(float(factor)))
    return Quantity(operation, quantity.unit)


def alike(left: Quantity, right: Quantity) -> tuple[Quantity, Quantity] | None:
    """Both in one unit, None where they measure different things."""
    prefer_right = left.constant is not None and right.constant is None
    unit = common(left.unit, right.unit, prefer_right=prefer_right)
    return None if unit is None else (converted(left, unit), converted(right, unit))


def added(operator: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The sum or difference, None where the two measure different things."""
    both = alike(left, right)
    if both is None:
        return None
    a, b = both
    if a.constant is not None and b.constant is not None:
        return constant(a.constant + b.constant if operator == "+" else a.constant - b.constant, a.unit)
    operation = Plus if operator == "+" else Minus
    return Quantity(operation(a.operation, b.operation), a.unit)


def multiplied(operator: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The product or quotient, None where it would measure nothing.

    Raises
    ------
    QuantityError
        For a division by a constant zero.
    """
    if operator == "/" and right.constant == 0:
        raise QuantityError("divides by zero")
    found = combined(operator, left.unit, right.unit)
    if found is None:
        return None
    unit, factor = found
    if left.constant is not None and right.constant is not None:
        plain = left.constant * right.constant if operator == "*" else left.constant / right.constant
        return constant(plain * factor, unit)
    operation = Times if operator == "*" else Over
    return _scaled(Quantity(operation(left.operation, right.operation), unit), factor)


def negative(operand: Quantity) -> Quantity:
    """The quantity with the other sign."""
    if operand.constant is not None:
        return constant(-operand.constant, operand.unit)
    return Quantity(Negative(operand.operation), operand.unit)


def absolute(operand: Quantity) -> Quantity:
    """The quantity without its sign."""
    if operand.constant is not None:
        return constant(abs(operand.constant), operand.unit)
    return Quantity(Absolute(operand.operation), operand.unit)


def extreme(function: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The smaller (``min``) or larger (``max``), None where the two measure different things."""
    both = alike(left, right)
    if both is None:
        return None
    a, b = both
    if a.constant is not None and b.constant is not None:
        choose = min if function == "min" else max
        return constant(choose(a.constant, b.constant), a.unit)
    operation = Least if function == "min" else Greatest
    return Quantity(operation(a.operation, b.operation), a.unit)


def logarithm_of(operand: Quantity) -> Quantity:
    """The natural logarithm of the number as it stands in its column.

    Raises
    ------
    QuantityError
        For a constant that has none.
    """
    if operand.constant is None:
        return Quantity(Logarithm(operand.operation), NUMBER)
    if operand.constant <= 0:
        raise QuantityError("takes the logarithm of a number that is not above zero")
    return constant(Fraction(math.log(operand.constant)), NUMBER)
