"""Parse an expression into its syntax tree."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import NoReturn

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from alerts.language.errors import ExpressionError, error_at
from alerts.language.other_spellings import explained
from alerts.language.syntax import (
    Arithmetic,
    Call,
    Comparison,
    Logic,
    Membership,
    Name,
    Negation,
    Node,
    Number,
    Sign,
    Span,
    Text,
)

MAX_CHARACTERS = 2_000
"""No expression that people can read is longer."""

MAX_DEPTH = 60
"""Limit of nesting, so that every part of the compiler can recurse."""

MAX_EXPONENT = 300
"""Limit of a number's power of ten: float64 ends at 308, and exact arithmetic on constants stays cheap."""

_EXPONENT_CHARACTERS = 6
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?(.*)")
_AFTER_IN = re.compile(r"\bin\s*$")
_BRACKETS = re.compile(r"[()\[\]]|\"[^\"]*\"|'[^']*'")


@cache
def _parser() -> Lark:
    grammar = resources.files("alerts.language").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> Node:
    """Parse an expression.

    Parameters
    ----------
    text
        The expression; line breaks are white space.

    Raises
    ------
    ExpressionError
        When it is invalid; with the place and, if possible, what was meant.

    Examples
    --------
    >>> parse("size > 5").operator
    '>'
    """
    if len(text) > MAX_CHARACTERS:
        raise error_at(text, MAX_CHARACTERS, f"the expression is longer than {MAX_CHARACTERS} characters")
    if not text.strip():
        raise ExpressionError("the expression is empty")
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        _explain(text, error)
    if isinstance(tree, Tree) and _depth(tree) > MAX_DEPTH:
        raise ExpressionError(f"operations are nested more than {MAX_DEPTH} deep")
    return _Builder(text).build(tree)


def _depth(tree: Tree[Token]) -> int:
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        nested = [child for child in node.children if isinstance(child, Tree)]
        # a chain such as a + b + c nests to the left once for every operand
        levels = len(nested) if node.data in ("sum", "product") else 1
        waiting += [(child, depth + levels) for child in nested]
    return deepest


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text

    def build(self, tree: Tree[Token]) -> Node:
        span = Span(tree.meta.start_pos, tree.meta.end_pos)
        parts = tree.children
        rule = str(tree.data)
        if rule in ("number", "text", "name"):
            return self._leaf(rule, str(parts[0]), span)
        if rule in ("sum", "product"):
            return self._chain(parts, span.start)
        if rule == "comparison":
            return self._comparison(parts, span)
        if rule == "membership":
            listed = _tree(parts[-1])
            items = tuple(self._child(item) for item in listed.children)
            if not items:
                raise error_at(self._text, listed.meta.start_pos, "the list is empty")
            return Membership(self._child(parts[0]), items, len(parts) == 3, span)
        if rule in ("either", "both"):
            operator = "or" if rule == "either" else "and"
            return Logic(operator, tuple(self._child(part) for part in parts), span)
        if rule == "negation":
            return Negation(self._child(parts[1]), span)
        if rule == "sign":
            return Sign(str(parts[0]), self._child(parts[1]), span)
        if rule == "call":
            return Call(str(parts[0]), tuple(self._child(part) for part in parts[1:]), span)
        return self._child(parts[0])  # a group: only its parentheses mattered

    def _child(self, part: Tree[Token] | Token) -> Node:
        return self.build(_tree(part))

    def _leaf(self, rule: str, token: str, span: Span) -> Node:
        if rule == "number":
            return _number(self._text, token, span)
        return Text(token[1:-1], span) if rule == "text" else Name(token, span)

    def _chain(self, parts: list[Tree[Token] | Token], start: int) -> Node:
        left = self._child(parts[0])
        for operator, operand in zip(parts[1::2], parts[2::2], strict=True):
            right = _tree(operand)
            left = Arithmetic(str(operator), left, self.build(right), Span(start, right.meta.end_pos))
        return left

    def _comparison(self, parts: list[Tree[Token] | Token], span: Span) -> Node:
        if len(parts) > 3:
            a, b, c = (_tree(part).meta for part in parts[0:5:2])
            first, second, third = (self._text[meta.start_pos : meta.end_pos] for meta in (a, b, c))
            problem = f"comparisons cannot be chained (write {first} {parts[1]} {second}"
            place = parts[3]
            offset = (
                place.start_pos if isinstance(place, Token) and place.start_pos is not None else b.end_pos
            )
            raise error_at(self._text, offset, f"{problem} and {second} {place} {third})")
        return Comparison(str(parts[1]), self._child(parts[0]), self._child(parts[2]), span)


def _tree(part: Tree[Token] | Token) -> Tree[Token]:
    if not isinstance(part, Tree):
        raise TypeError(f"the grammar gives no tree for {part!r}")
    return part


def _number(text: str, token: str, span: Span) -> Number:
    match = _NUMBER.fullmatch(token)
    if match is None:
        raise TypeError(f"the grammar takes {token!r} for a number")
    digits, exponent, unit = match.groups(default="")
    value = Decimal(digits if len(exponent) > _EXPONENT_CHARACTERS else digits + exponent)
    if len(exponent) > _EXPONENT_CHARACTERS or abs(value.adjusted()) > MAX_EXPONENT:
        raise error_at(text, span.start, f"'{token}' is out of range")
    return Number(Fraction(value), unit, span)


def _explain(text: str, error: UnexpectedInput) -> NoReturn:
    opened = _never_closed(text)
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        if opened is not None:
            raise error_at(text, opened, f"'{text[opened]}' is never closed") from None
        raise error_at(text, len(text.rstrip()), "the expression ends too early") from None
    offset = error.pos_in_stream or 0
    if isinstance(error, UnexpectedCharacters) and text[offset] in "\"'":
        raise error_at(text, offset, "the quote is never closed") from None
    unexpected = str(error.token) if isinstance(error, UnexpectedToken) else text[offset]
    other = explained(text, offset, unexpected)
    if other is not None:
        begin, problem, meant = other
        raise error_at(text, begin, problem, meant or None) from None
    if _AFTER_IN.search(text[:offset]) and unexpected == "(":
        raise error_at(text, offset, "'in' needs a list in square brackets (write in [...])") from None
    if _AFTER_IN.search(text[:offset]):
        raise error_at(text, offset, f"'in' needs a list (write in [{unexpected}, ...])") from None
    raise error_at(text, offset, f"unexpected '{unexpected}'") from None


def _never_closed(text: str) -> int | None:
    opened: list[int] = []
    for match in _BRACKETS.finditer(text):
        if match[0] in "([":
            opened.append(match.start())
        elif match[0] in ")]" and opened:
            opened.pop()
    return opened[-1] if opened else None
