"""A compiled condition: an expression that is true or false on each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from alerts.language.check import Checker
from alerts.language.errors import ExpressionError, error_at
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.parse import parse
from alerts.language.predicates import Predicate
from alerts.language.symbols import KIND_LABELS, KIND_NAMES, Symbol, Symbols
from alerts.language.syntax import render
from alerts.language.typed_parts import Mention

_TIMERS = frozenset({KIND_NAMES.index("tick")})


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A condition on rows.

    Parameters
    ----------
    text
        As it was written.
    normal
        Its normal form, which is equal for conditions that differ only in spelling.
    symbols
        What it names, in order of first mention.
    kinds
        The kinds of events it can be evaluated on: those that carry every field and detector it names or, if
        it names only features, those that feed any of them.
    mentions
        Every place where it names a symbol.
    predicate
        The compiled form.
    """

    text: str
    normal: str
    symbols: tuple[Symbol, ...]
    kinds: frozenset[int]
    mentions: tuple[Mention, ...]
    predicate: Predicate

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `symbols`."""
        return tuple(symbol.name for symbol in self.symbols)

    def evaluate(self, columns: ExpressionColumns) -> NDArray[np.bool_]:
        """Where the condition is true.

        Parameters
        ----------
        columns
            n rows; a name without a column is missing on all of them.

        Returns
        -------
        bool[n]
            False also where it is unknown because a value is missing. A row's result does not depend on the
            other rows.
        """
        with np.errstate(all="ignore"):
            flags = self.predicate.yes(columns)
        if flags.shape == (columns.n,):
            return np.asarray(flags)
        return np.broadcast_to(flags, columns.n).copy()

    def explain(
        self,
        values: Mapping[str, float | str | None],
        shown: Callable[[float | str | None, str], str] = lambda value, _: plain(value),
    ) -> str:
        """The expression, with each name followed by its value in parentheses.

        Parameters
        ----------
        values
            By name.
        shown
            Writes a value, from it and its name.

        Examples
        --------
        >>> from alerts.language.symbols import SymbolTable
        >>> table = SymbolTable.of(Symbol("size", "number"), Symbol("size_mean_1h", "number"))
        >>> condition = compile_condition("size > 50 * size_mean_1h", table)
        >>> condition.explain({"size": 512.0, "size_mean_1h": 8.2})
        'size (512) > 50 * size_mean_1h (8.2)'
        """
        parts, at = [], 0
        for mention in self.mentions:
            parts.append(self.text[at : mention.span.end])
            name = mention.symbol.name
            parts.append(f" ({shown(values.get(name), name)})")
            at = mention.span.end
        parts.append(self.text[at:])
        return " ".join("".join(parts).split())


def compile_condition(text: str, symbols: Symbols, on: frozenset[int] | None = None) -> Condition:
    """Compile an expression into a condition.

    Parameters
    ----------
    text
        The expression.
    symbols
        What names stand for.
    on
        The kinds of events to evaluate it on; by default all that its names allow.

    Raises
    ------
    ExpressionError
        When anything is wrong with it.

    Examples
    --------
    >>> from alerts.language.symbols import SymbolTable
    >>> table = SymbolTable.of(Symbol("return_bps_10s", "relative", 1e-4))
    >>> condition = compile_condition("abs(return_bps_10s) > 25bps", table)
    >>> condition.evaluate(ExpressionColumns({"return_bps_10s": np.array([-30.0, 20.0, np.nan])}, {}, (), 3))
    array([ True, False, False])
    >>> compile_condition("retrun_bps > 5", table)
    Traceback (most recent call last):
        ...
    alerts.language.errors.ExpressionError: 1:1: unknown name 'retrun_bps' (did you mean 'return_bps_10s'?)
    """
    node = parse(text)
    checker = Checker(text, symbols)
    predicate = checker.condition(node)
    mentions = checker.mentions
    if not mentions:
        raise ExpressionError("the expression names no field, feature or detector: it never changes")
    named = tuple({mention.symbol.name: mention.symbol for mention in mentions}.values())
    if on is None:
        on = _kinds(named)
    check_carried_on(text, mentions, on)
    return Condition(text, render(node), named, on, mentions, predicate)


def _kinds(symbols: tuple[Symbol, ...]) -> frozenset[int]:
    carried = [symbol for symbol in symbols if symbol.source != "feature"]
    if not carried:
        return frozenset[int]().union(*(symbol.kinds for symbol in symbols))
    kinds = reduce(frozenset.intersection, (symbol.kinds for symbol in carried))
    if not kinds:
        raise ExpressionError(f"no event carries all of {where_carried(carried)}")
    return kinds


def check_carried_on(text: str, mentions: tuple[Mention, ...], on: frozenset[int]) -> None:
    """Refuse what has no value on any event of these kinds: fields, detectors' outputs, features of timers.

    Other features have a value on every event; `Symbol.kinds` says what feeds them.

    Raises
    ------
    ExpressionError
        At the first of them in the text.
    """
    for mention in mentions:
        symbol = mention.symbol
        if symbol.kinds & on or (symbol.source == "feature" and symbol.kinds != _TIMERS):
            continue
        problem = f"'{symbol.name}' is never on {kind_names(on)} events, only on {kind_names(symbol.kinds)}"
        if symbol.source == "feature":
            problem = f"'{symbol.name}' has a value on timers only: write on: timer"
        raise error_at(text, mention.span.start, problem)


def kind_names(kinds: frozenset[int]) -> str:
    """Kinds of events for a message.

    Examples
    --------
    >>> kind_names(frozenset({1, 6}))
    'quote, timer'
    """
    return ", ".join(KIND_LABELS[kind] for kind in sorted(kinds))


def where_carried(symbols: list[Symbol]) -> str:
    """Names with the kinds of events that carry them, for messages.

    Examples
    --------
    >>> where_carried([Symbol("bid_price", "number", kinds=frozenset({1}))])
    'bid_price (quote)'
    """
    return ", ".join(f"{symbol.name} ({kind_names(symbol.kinds)})" for symbol in symbols)


def plain(value: float | str | None) -> str:
    """A value for people: six significant digits, or two decimals for large numbers.

    Examples
    --------
    >>> plain(512.0), plain(67123.456), plain(0.000123456789), plain(None)
    ('512', '67123.46', '0.000123457', 'n/a')
    """
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.2f}" if 1e4 <= abs(value) < 1e15 else f"{value:.6g}"
