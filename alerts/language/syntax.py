"""The syntax tree of an expression, before its names are looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

_EITHER, _BOTH, _NOT, _RELATION, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the text in characters, from `start` to before `end`."""

    start: int
    end: int


_NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Number:
    """A number and its unit, ``""`` if there is none."""

    value: Fraction
    unit: str
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes."""

    value: str
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A field, a feature, a detector's output, or a member of an enum."""

    name: str
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    function: str
    arguments: tuple[Node, ...]
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Sign:
    """``-`` or ``+`` before an operand."""

    operator: str
    operand: Node
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``+``, ``-``, ``*`` or ``/`` between two operands."""

    operator: str
    left: Node
    right: Node
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=`` between two operands."""

    operator: str
    left: Node
    right: Node
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """``in`` a list, or ``not in`` if `negated`."""

    left: Node
    items: tuple[Node, ...]
    negated: bool
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """``and`` or ``or`` between two or more conditions."""

    operator: str
    operands: tuple[Node, ...]
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Negation:
    """``not`` before a condition."""

    operand: Node
    span: Span = field(default=_NOWHERE, compare=False)


Node: TypeAlias = Number | Text | Name | Call | Sign | Arithmetic | Comparison | Membership | Logic | Negation
"""Any node of a syntax tree. Equality ignores the places in the text."""


def render(node: Node) -> str:
    """The expression in its normal form: single spaces, and only the necessary parentheses.

    Examples
    --------
    >>> from alerts.language.parse import parse
    >>> render(parse("(size>50*size_mean_1h)and  (notional > 250k)"))
    'size > 50 * size_mean_1h and notional > 250k'
    """
    return _render(node)[0]


def _render(node: Node) -> tuple[str, int]:
    match node:
        case Number():
            return number_text(node), _ATOM
        case Text():
            quote = "'" if '"' in node.value else '"'
            return f"{quote}{node.value}{quote}", _ATOM
        case Name():
            return node.name, _ATOM
        case Call():
            return f"{node.function}({', '.join(render(argument) for argument in node.arguments)})", _ATOM
        case Sign():
            return f"{node.operator}{_inside(node.operand, _SIGN)}", _SIGN
        case Arithmetic():
            level = _SUM if node.operator in "+-" else _PRODUCT
            return f"{_inside(node.left, level)} {node.operator} {_inside(node.right, level + 1)}", level
        case Comparison():
            return f"{_inside(node.left, _SUM)} {node.operator} {_inside(node.right, _SUM)}", _RELATION
        case Membership():
            word = "not in" if node.negated else "in"
            items = ", ".join(_inside(item, _SUM) for item in node.items)
            return f"{_inside(node.left, _SUM)} {word} [{items}]", _RELATION
        case Logic():
            level = _EITHER if node.operator == "or" else _BOTH
            return f" {node.operator} ".join(_inside(part, level + 1) for part in node.operands), level
        case Negation():
            return f"not {_inside(node.operand, _NOT)}", _NOT


def _inside(node: Node, at_least: int) -> str:
    text, level = _render(node)
    return text if level >= at_least else f"({text})"


def number_text(number: Number) -> str:
    """A number literal with exactly this value."""
    value = number.value
    if value.denominator == 1 and abs(value.numerator) < 10**21:
        return f"{value.numerator}{number.unit}"
    return f"{_decimal(value)}{number.unit}"


def _decimal(value: Fraction) -> str:
    # literals are decimal, so the denominator divides a power of ten
    digits = 0
    while value.denominator != 1:
        value *= 10
        digits += 1
    while value and value.numerator % 10 == 0:
        value /= 10
        digits -= 1
    return f"{value.numerator}e{-digits}" if digits else str(value.numerator)
