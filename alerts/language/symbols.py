"""The names that expressions can use, and their properties."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

SymbolType = Literal["number", "relative", "seconds", "per_second", "string", "enum"]
"""The type of a column; the first four are numbers with their units."""

EventKind = Literal["trade", "quote", "order", "status", "metric", "heartbeat"]
"""Kinds of events that come from outside."""

KindName = Literal[EventKind, "tick"]
"""Kinds of events as they are stored."""

KIND_NAMES: tuple[KindName, ...] = get_args(KindName)
"""Kinds of events in the order of their codes, as they are stored."""

KIND_LABELS = (*KIND_NAMES[:-1], "timer")
"""The same as people write and read them: a timer has always been stored as ``tick``."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name with a column.

    Parameters
    ----------
    name
        The name in expressions.
    type
        ``number`` (a price, a size, a count), ``relative`` (a share of something), ``seconds``,
        ``per_second``, ``string``, or ``enum`` (one of `members`).
    scale
        The value of 1 in the column: 1e-4 for a relative column in basis points, 1e-9 for durations in ns.
    members
        The texts of an enum.
    kinds
        The kinds of events that carry it; for a feature, the kinds that feed it.
    source
        Its origin.
    ordered
        True if an enum's members are in ascending order, so that they can be compared with ``<`` and ``>=``.
    low, high
        The range of a number's column, infinite where it has no end; no part of what a rule computes.
    why
        Why it has that range, for people; empty where its name says so.
    """

    name: str
    type: SymbolType
    scale: float = 1.0
    members: tuple[str, ...] = ()
    kinds: frozenset[int] = frozenset(range(len(KIND_NAMES)))
    source: Literal["field", "feature", "detector"] = "field"
    ordered: bool = False
    low: float = -math.inf
    high: float = math.inf
    why: str = ""


class Symbols(Protocol):
    """Looks names up; their number may be unlimited, since a feature's name includes its window."""

    def lookup(self, name: str) -> Symbol | None:
        """The symbol of a name; None if there is none."""

    def names(self) -> Iterable[str]:
        """Names to suggest for an unknown one."""

    def explain(self, name: str) -> str | None:
        """What is wrong with an unknown name; None if there is nothing special to say."""


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """A fixed set of names."""

    symbols: Mapping[str, Symbol]

    @classmethod
    def of(cls, *symbols: Symbol) -> SymbolTable:
        """The table of these symbols."""
        return cls({symbol.name: symbol for symbol in symbols})

    def lookup(self, name: str) -> Symbol | None:
        """The symbol of a name; None if there is none."""
        return self.symbols.get(name)

    def names(self) -> Iterable[str]:
        """Every name."""
        return self.symbols

    def explain(self, name: str) -> str | None:
        """Always None: a fixed set has nothing special to say about unknown names."""
        return None
