"""Evaluate all rules of a plan on one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alerts.language.expression_columns import ExpressionColumns
from alerts.language.numeric_program import Program, is_numeric
from alerts.rules import Rule, rows_of


class Evaluation:
    """Rules that are evaluated together.

    Rules on numbers only are compiled into one program; a rule that also uses texts is evaluated by itself.

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
    >>> [None if rows is None else rows.tolist() for rows in Evaluation(rules).hold(columns, kind)]
    [[True, False], None]
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        numeric = [place for place, rule in enumerate(rules) if is_numeric(rule.condition.predicate)]
        self._program = Program([(rules[place].condition.predicate, rules[place].kinds) for place in numeric])
        self._numeric = numeric
        self._others = [(place, rule) for place, rule in enumerate(rules) if place not in numeric]
        self._n_rules = len(rules)

    def hold(self, columns: ExpressionColumns, kind: NDArray[np.int8]) -> list[NDArray[np.bool_] | None]:
        """For each rule the evaluated rows on which it is true, bool[n]; None if there are none.

        Parameters
        ----------
        columns
            n rows.
        kind
            int8[n], the kind of each row.
        """
        true_rows: list[NDArray[np.bool_] | None] = [None] * self._n_rules
        if self._numeric:
            true_on, any_true = self._program.run(columns.numbers, kind)
            for position in np.flatnonzero(any_true).tolist():
                true_rows[self._numeric[position]] = true_on[position]
        for place, rule in self._others:
            true = rule.holds(columns, rows_of(rule.kinds, kind))
            if true.any():
                true_rows[place] = true
        return true_rows
