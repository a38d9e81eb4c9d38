"""Numbers with units inside expressions: the compiler's arithmetic.

Constants are computed exactly, and rounded to float64 only once.
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
    """A meaningless computation; the message completes a sentence that begins with the expression."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of an expression.

    Parameters
    ----------
    operation
        Computes its column.
    unit
        Its unit.
    constant
        Its exact value, if it is the same for all rows.
    """

    operation: Operation
    unit: Unit
    constant: Fraction | None = None


def constant(value: Fraction, unit: Unit) -> Quantity:
    """A constant.

    Raises
    ------
    QuantityError
        When it is out of float64's range.
    """
    try:
        return Quantity(NumberConstant(float(value)), unit, value)
    except OverflowError:
        raise QuantityError("is out of range") from None


def converted(quantity: Quantity, unit: Unit) -> Quantity:
    """The quantity in another unit of the same kind; a bare number is taken to be in that unit already."""
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
    """Both quantities in one unit; None if they measure different things."""
    prefer_right = left.constant is not None and right.constant is None
    unit = common(left.unit, right.unit, prefer_right=prefer_right)
    return None if unit is None else (converted(left, unit), converted(right, unit))


def added(operator: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The sum or difference; None if the two measure different things."""
    both = alike(left, right)
    if both is None:
        return None
    a, b = both
    if a.constant is not None and b.constant is not None:
        return constant(a.constant + b.constant if operator == "+" else a.constant - b.constant, a.unit)
    operation = Plus if operator == "+" else Minus
    return Quantity(operation(a.operation, b.operation), a.unit)


def multiplied(operator: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The product or quotient; None if it has no meaningful unit.

    Raises
    ------
    QuantityError
        For a division by a constant zero.
    """
    if operator == "/" and right.constant == 0:
        raise QuantityError("divides by zero")
    unit_and_factor = combined(operator, left.unit, right.unit)
    if unit_and_factor is None:
        return None
    unit, factor = unit_and_factor
    if left.constant is not None and right.constant is not None:
        value = left.constant * right.constant if operator == "*" else left.constant / right.constant
        return constant(value * factor, unit)
    operation = Times if operator == "*" else Over
    return _scaled(Quantity(operation(left.operation, right.operation), unit), factor)


def negative(operand: Quantity) -> Quantity:
    """The negated quantity."""
    if operand.constant is not None:
        return constant(-operand.constant, operand.unit)
    return Quantity(Negative(operand.operation), operand.unit)


def absolute(operand: Quantity) -> Quantity:
    """The absolute value of the quantity."""
    if operand.constant is not None:
        return constant(abs(operand.constant), operand.unit)
    return Quantity(Absolute(operand.operation), operand.unit)


def extreme(function: str, left: Quantity, right: Quantity) -> Quantity | None:
    """The smaller (``min``) or larger (``max``) of two; None if they measure different things."""
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
    """The natural logarithm of the number, in the unit of its column.

    Raises
    ------
    QuantityError
        For a constant that is not positive.
    """
    if operand.constant is None:
        return Quantity(Logarithm(operand.operation), NUMBER)
    if operand.constant <= 0:
        raise QuantityError("takes the logarithm of a number that is not positive")
    return constant(Fraction(math.log(operand.constant)), NUMBER)
