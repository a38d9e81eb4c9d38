"""Rules that are evaluated together hold where each of them holds alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_language_evaluation import LOGICAL, TABLE, Logical, Row, tables

from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ExpressionColumns
from alerts.rule_evaluation import Evaluation
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule, rows_of

MANY = 300
"""Copies of a few rows: more of them than a kernel takes at once."""


def rule_of(text: str, kinds: list[str]) -> Rule | None:
    try:
        return compile_rule("rule", RuleSettings(when=text, on=kinds), TABLE)
    except ExpressionError:
        return None


def repeated(columns: ExpressionColumns, times: int) -> ExpressionColumns:
    return ExpressionColumns(
        {name: np.tile(column, times) for name, column in columns.numbers.items()},
        {name: np.tile(column, times) for name, column in columns.codes.items()},
        columns.strings,
        columns.n * times,
    )


def same(held: np.ndarray | None, rule: Rule, columns: ExpressionColumns, kind: np.ndarray) -> bool:
    expected = rule.condition.evaluate(columns) & rows_of(rule.kinds, kind)
    return not expected.any() if held is None else np.array_equal(held, expected) and bool(held.any())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(LOGICAL, st.sampled_from([["trade"], ["quote"], ["trade", "tick"]])), max_size=5),
    tables(),
    st.sampled_from([1, MANY]),
    st.randoms(use_true_random=False),
)
def test_together_rules_hold_where_each_holds_alone(
    said: list[tuple[Logical, list[str]]],
    table: tuple[ExpressionColumns, list[Row]],
    times: int,
    chance: object,
) -> None:
    rules = [rule for rule in (rule_of(one.text, kinds) for one, kinds in said) if rule is not None]
    assume(rules)
    columns = repeated(table[0], times)
    seed = chance.randrange(1000)  # type: ignore[attr-defined]
    kind = np.random.default_rng(seed).choice([0, 1, 2, 6], columns.n).astype(np.int8)
    found = Evaluation(rules).hold(columns, kind)
    assert len(found) == len(rules)
    for rule, held in zip(rules, found, strict=True):
        assert same(held, rule, columns, kind), rule.when


@pytest.mark.parametrize(
    "when",
    [
        "x / y > 1",
        "min(x, y) == 0",
        "max(x, y) > 0",
        "min(x, y) == 0 and max(x, y) > 0",
        "not (x > 1 and y > 1)",
        "log(x) > 0 or -x > 3",
        "abs(x - y) >= z * 2 and x != y",
    ],
)
def test_missing_and_zero_values_mean_the_same_together(when: str) -> None:
    values = np.array([np.nan, 0.0, -0.0, 1.0, -1.0, 5.0])
    x, y, z = (grid.ravel() for grid in np.meshgrid(values, values, values))
    columns, kind = ExpressionColumns({"x": x, "y": y, "z": z}, {}, (), len(x)), np.zeros(len(x), np.int8)
    rule = compile_rule("rule", RuleSettings(when=when, on=["trade"]), TABLE)
    [held] = Evaluation([rule]).hold(columns, kind)
    assert same(held, rule, columns, kind)


def test_no_rules_and_no_rows_hold_nowhere() -> None:
    rule = compile_rule("rule", RuleSettings(when="x > 1", on=["trade"]), TABLE)
    nothing = ExpressionColumns({}, {}, (), 0)
    assert Evaluation([]).hold(nothing, np.empty(0, np.int8)) == []
    assert Evaluation([rule]).hold(nothing, np.empty(0, np.int8)) == [None]
    one = ExpressionColumns({"x": np.array([9.0])}, {}, (), 1)
    assert Evaluation([rule]).hold(one, np.array([1], np.int8)) == [None]
