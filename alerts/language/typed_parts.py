"""The checked parts of an expression: quantities, texts and conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from alerts.language.predicates import Predicate, TextColumn, TextConstant
from alerts.language.quantities import Quantity
from alerts.language.symbols import Symbol
from alerts.language.syntax import Span


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text: a column, or a literal."""

    operand: TextColumn | TextConstant
    symbol: Symbol | None = None

    def __str__(self) -> str:
        if self.symbol is not None and self.symbol.type == "enum":
            return f"one of {', '.join(self.symbol.members)}"
        return "a text"


@dataclass(frozen=True, slots=True)
class ConditionPart:
    """A condition within an expression."""

    predicate: Predicate

    def __str__(self) -> str:
        return "a condition"


TypedPart: TypeAlias = Quantity | TextPart | ConditionPart


@dataclass(frozen=True, slots=True)
class Mention:
    """A symbol, and the place where an expression names it."""

    symbol: Symbol
    span: Span
