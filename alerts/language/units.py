"""Units of numbers, and how arithmetic combines them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from alerts.language.symbols import Symbol

UnitKind = Literal["any", "ratio", "number", "relative", "seconds", "per_second"]
"""``any`` is a bare literal, which fits any unit; ``ratio`` is a quotient of like quantities, which fits both
plain numbers and relative values; the others are the types of symbols."""

_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a number.

    Parameters
    ----------
    kind
        What it measures.
    scale
        The value of 1 in the kind's base unit (a ratio of 1, a second).
    """

    kind: UnitKind
    scale: Fraction = _ONE

    def __str__(self) -> str:
        return _WORDS[self.kind]


_WORDS = {
    "any": "a number",
    "ratio": "a ratio",
    "number": "a number",
    "relative": "a relative value",
    "seconds": "a duration",
    "per_second": "a rate per second",
}

ANY, NUMBER = Unit("any"), Unit("number")

_RELATIVE, _SECONDS = Unit("relative"), Unit("seconds")

LITERALS: dict[str, tuple[Unit, Fraction]] = {
    "": (ANY, _ONE),
    "k": (ANY, Fraction(1_000)),
    "M": (ANY, Fraction(1_000_000)),
    "G": (ANY, Fraction(1_000_000_000)),
    "bps": (_RELATIVE, Fraction(1, 10_000)),
    "%": (_RELATIVE, Fraction(1, 100)),
    "s": (_SECONDS, _ONE),
    "m": (_SECONDS, Fraction(60)),
    "h": (_SECONDS, Fraction(3_600)),
    "d": (_SECONDS, Fraction(86_400)),
}
"""Suffixes of number literals: the unit, and the factor that applies to the number."""


def unit_of(symbol: Symbol) -> Unit | None:
    """The unit of a symbol's column; None if it holds texts.

    Examples
    --------
    >>> unit_of(Symbol("return_bps_10s", "relative", 1e-4))
    Unit(kind='relative', scale=Fraction(1, 10000))
    """
    if symbol.type == "string" or symbol.type == "enum":  # noqa: PLR1714
        return None
    # take the shortest decimal of a scale as exact: 1e-4 is a ten-thousandth
    return Unit(symbol.type, Fraction(repr(symbol.scale)))


def common(left: Unit, right: Unit, *, prefer_right: bool) -> Unit | None:
    """The unit in which two values can be compared, added, or chosen between.

    Parameters
    ----------
    left, right
        The units.
    prefer_right
        Take the scale of the right one if the two differ.

    Returns
    -------
    Unit or None
        None if they cannot be compared.

    Examples
    --------
    >>> common(Unit("number"), Unit("seconds"), prefer_right=False) is None
    True
    """
    if left.kind == "any" or right.kind == "any":
        return right if left.kind == "any" else left
    if left.kind == right.kind:
        return right if prefer_right else left
    kinds = {left.kind, right.kind}
    if kinds == {"ratio", "number"}:
        return NUMBER
    if kinds == {"ratio", "relative"}:
        chosen = right if prefer_right else left
        return Unit("relative", chosen.scale)
    return None


# Products and quotients by the kinds of the operands. A relative value counts as a ratio, so that 5 % of a
# price is a price; combinations without an entry have no useful unit.
_PRODUCTS: dict[tuple[UnitKind, UnitKind], UnitKind] = {
    ("any", "any"): "any",
    ("any", "ratio"): "ratio",
    ("any", "number"): "number",
    ("any", "relative"): "relative",
    ("any", "seconds"): "seconds",
    ("any", "per_second"): "per_second",
    ("ratio", "ratio"): "ratio",
    ("ratio", "number"): "number",
    ("ratio", "relative"): "relative",
    ("ratio", "seconds"): "seconds",
    ("ratio", "per_second"): "per_second",
    ("number", "number"): "number",
    ("number", "relative"): "number",
    ("number", "seconds"): "seconds",
    ("number", "per_second"): "per_second",
    ("relative", "relative"): "relative",
    ("relative", "seconds"): "seconds",
    ("relative", "per_second"): "per_second",
    ("seconds", "per_second"): "number",
}
_QUOTIENTS: dict[tuple[UnitKind, UnitKind], UnitKind] = {
    ("any", "any"): "any",
    ("any", "ratio"): "ratio",
    ("any", "number"): "number",
    ("any", "relative"): "relative",
    ("any", "seconds"): "per_second",
    ("any", "per_second"): "seconds",
    ("ratio", "any"): "ratio",
    ("ratio", "ratio"): "ratio",
    ("ratio", "number"): "number",
    ("ratio", "relative"): "relative",
    ("ratio", "seconds"): "per_second",
    ("ratio", "per_second"): "seconds",
    ("number", "any"): "number",
    ("number", "ratio"): "number",
    ("number", "number"): "ratio",
    ("number", "relative"): "number",
    ("number", "seconds"): "per_second",
    ("number", "per_second"): "seconds",
    ("relative", "any"): "relative",
    ("relative", "ratio"): "relative",
    ("relative", "number"): "number",
    ("relative", "relative"): "ratio",
    ("relative", "seconds"): "per_second",
    ("relative", "per_second"): "seconds",
    ("seconds", "any"): "seconds",
    ("seconds", "ratio"): "seconds",
    ("seconds", "number"): "seconds",
    ("seconds", "relative"): "seconds",
    ("seconds", "seconds"): "ratio",
    ("per_second", "any"): "per_second",
    ("per_second", "ratio"): "per_second",
    ("per_second", "number"): "per_second",
    ("per_second", "relative"): "per_second",
    ("per_second", "per_second"): "ratio",
}


def combined(operator: str, left: Unit, right: Unit) -> tuple[Unit, Fraction] | None:
    """The unit of a product or a quotient.

    Returns
    -------
    tuple or None
        The unit, and the factor that converts the plain operation's result into it; None if the result has no
        meaningful unit.

    Examples
    --------
    >>> bps = Unit("relative", Fraction(1, 10_000))
    >>> combined("*", Unit("number"), bps)
    (Unit(kind='number', scale=Fraction(1, 1)), Fraction(1, 10000))
    >>> combined("/", bps, bps)
    (Unit(kind='ratio', scale=Fraction(1, 1)), Fraction(1, 1))
    """
    if operator == "*":
        kind = _PRODUCTS.get((left.kind, right.kind)) or _PRODUCTS.get((right.kind, left.kind))
        scale = left.scale * right.scale
    else:
        kind = _QUOTIENTS.get((left.kind, right.kind))
        scale = left.scale / right.scale
    if kind is None:
        return None
    if kind == "relative":
        return Unit(kind, scale), _ONE  # the result keeps a scale of its own
    scale_of_seconds = _ONE
    if kind == "seconds":
        scale_of_seconds = next((unit.scale for unit in (left, right) if unit.kind == "seconds"), _ONE)
    return Unit(kind, scale_of_seconds), scale / scale_of_seconds
