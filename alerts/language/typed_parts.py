"""What the parts of an expression turn out to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from alerts.language.operations import NumberConstant, Rank
from alerts.language.predicates import Compare, Predicate, TextColumn, TextConstant
from alerts.language.quantities import Quantity
from alerts.language.symbols import Symbol
from alerts.language.syntax import Span


@dataclass(frozen=True, slots=True)
class Wording:
    """A text of an expression: a column's, or one that is written there."""

    operand: TextColumn | TextConstant
    symbol: Symbol | None = None

    def __str__(self) -> str:
        if self.symbol is not None and self.symbol.type == "enum":
            return f"one of {', '.join(self.symbol.members)}"
        return "a text"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A condition inside an expression."""

    predicate: Predicate

    def __str__(self) -> str:
        return "a condition"


Meaning: TypeAlias = Quantity | Wording | Judgement


@dataclass(frozen=True, slots=True)
class Mention:
    """A symbol, and where the expression names it."""

    symbol: Symbol
    span: Span


def plain_threshold(predicate: Predicate) -> float | None:
    """The number that a single comparison holds a column against, None for anything else."""
    if not isinstance(predicate, Compare):
        return None
    match predicate.left, predicate.right:
        case (NumberConstant(), NumberConstant()) | (Rank(), _) | (_, Rank()):
            return None
        case (NumberConstant(value=value), _) | (_, NumberConstant(value=value)):
            return value
    return None
