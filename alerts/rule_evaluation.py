"""All rules of a plan on one batch: where each of them holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alerts.language.expression_columns import ExpressionColumns
from alerts.language.numeric_program import Program, is_numeric
from alerts.rules import Rule, rows_of


class Evaluation:
    """Rules that are evaluated together.

    Those that look at numbers only are one program; one that looks at texts, too, is evaluated by itself.

    Parameters
    ----------
    rules
        In order.

    Examples
    --------
    >>> from alerts.language.symbols import Symbol, SymbolTable
    >>> from alerts.rules import compile_rule
    >>> from alerts.rule_settings import RuleSettings
    >>> table = SymbolTable.of(Symbol("size", "number", kinds=frozenset({0})))
    >>> rules = [compile_rule(when, RuleSettings(when=when), table) for when in ("size > 100", "size > 900")]
    >>> columns = ExpressionColumns({"size": np.array([500.0, 500.0])}, {}, (), 2)
    >>> kind = np.array([0, 2], np.int8)
    >>> [None if held is None else held.tolist() for held in Evaluation(rules).hold(columns, kind)]
    [[True, False], None]
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        numeric = [place for place, rule in enumerate(rules) if is_numeric(rule.condition.predicate)]
        self._program = Program([(rules[place].condition.predicate, rules[place].kinds) for place in numeric])
        self._numeric = numeric
        self._others = [(place, rule) for place, rule in enumerate(rules) if place not in numeric]
        self._n_rules = len(rules)

    def hold(self, columns: ExpressionColumns, kind: NDArray[np.int8]) -> list[NDArray[np.bool_] | None]:
        """Of each rule on which rows that count as evaluations it is true, bool[n]; None where on none.

        Parameters
        ----------
        columns
            n rows.
        kind
            int8[n], what each row is.
        """
        found: list[NDArray[np.bool_] | None] = [None] * self._n_rules
        if self._numeric:
            held, anywhere = self._program.run(columns.numbers, kind)
            for at in np.flatnonzero(anywhere).tolist():
                found[self._numeric[at]] = held[at]
        for place, rule in self._others:
            alone = rule.holds(columns, rows_of(rule.kinds, kind))
            if alone.any():
                found[place] = alone
        return found
