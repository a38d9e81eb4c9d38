"""The names an expression may use, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

SymbolType = Literal["number", "relative", "seconds", "per_second", "string", "enum"]
"""What a column holds; the first four are numbers with their units."""

KIND_NAMES = ("trade", "quote", "order", "status", "metric", "heartbeat", "tick")
"""Kinds of events in the order of their codes, as they are stored."""

KIND_LABELS = (*KIND_NAMES[:-1], "timer")
"""The same as people write and read them: a timer has always been stored as ``tick``."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that has a column.

    Parameters
    ----------
    name
        As it is written in expressions.
    type
        ``number`` (a price, a size, a count), ``relative`` (a share of something), ``seconds``,
        ``per_second``, ``string``, or ``enum`` (one of `members`).
    scale
        What 1 in the column is worth: 1e-4 for a relative column in basis points, 1e-9 for one of
        durations in ns.
    members
        The texts an enum can have.
    kinds
        The kinds of events it can be seen on; of a feature, the kinds that feed it.
    source
        Where it comes from.
    ordered
        True when the members of an enum stand in their order, least first, so that they can be
        compared with ``<`` and ``>=`` too.
    """

    name: str
    type: SymbolType
    scale: float = 1.0
    members: tuple[str, ...] = ()
    kinds: frozenset[int] = frozenset(range(len(KIND_NAMES)))
    source: Literal["field", "feature", "detector"] = "field"
    ordered: bool = False


class Symbols(Protocol):
    """Knows every name; there may be no end of them (a feature is named with its window)."""

    def lookup(self, name: str) -> Symbol | None:
        """What the name stands for, None where it stands for nothing."""

    def names(self) -> Iterable[str]:
        """Names worth suggesting where an unknown one is met."""

    def explain(self, name: str) -> str | None:
        """What is wrong with a name that stands for nothing, None where there is nothing special to say."""


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """A closed list of names."""

    symbols: Mapping[str, Symbol]

    @classmethod
    def of(cls, *symbols: Symbol) -> SymbolTable:
        """The table of these symbols."""
        return cls({symbol.name: symbol for symbol in symbols})

    def lookup(self, name: str) -> Symbol | None:
        """What the name stands for, None where it stands for nothing."""
        return self.symbols.get(name)

    def names(self) -> Iterable[str]:
        """Every name."""
        return self.symbols

    def explain(self, name: str) -> str | None:
        """Nothing: a closed list has nothing special to say of a name that is not in it."""
        return None
