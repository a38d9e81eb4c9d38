"""What a condition is measured by: which side of which comparison, in which unit, and which way is worse."""

from __future__ import annotations

import numpy as np
import pytest
from alerts_market import MARKET

from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.measure import FARTHEST, HIGHEST, LOWEST, UNMEASURED
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule

Found = list[tuple[str, str, int]]


def rule_of(when: str, **more: str) -> Rule:
    return compile_rule("mine", RuleSettings.model_validate({"when": when, **more}), MARKET)


def found(rule: Rule) -> Found:
    return [(measure.name, measure.unit, measure.worse) for measure in rule.measures.measures]


@pytest.mark.parametrize(
    ("when", "measures"),
    [
        ("size > 50 * size_mean_1h and notional > 250k", [("size", "", HIGHEST)]),
        ("abs(return_bps_10s) > 25bps", [("abs(return_bps_10s)", "bps", HIGHEST)]),
        ("abs(return_bps_10s) > 2%", [("abs(return_bps_10s)", "bps", HIGHEST)]),
        ("bid_size < ask_size", [("bid_size", "", LOWEST)]),
        ("tape.rarity > 1d", [("tape.rarity", "s", HIGHEST)]),
        ("tape.score >= 0.9", [("tape.score", "", HIGHEST)]),
        ("trade_rate_1m > 5", [("trade_rate_1m", "/s", HIGHEST)]),
        ("ts_lag > 2s", [("ts_lag", "s", HIGHEST)]),
        ("silence_s > 30s", [("silence_s", "s", HIGHEST)]),
        ("abs(price / price_mean_5m - 1) > 1%", [("abs(price / price_mean_5m - 1)", "%", HIGHEST)]),
        ("price / price_mean_5m - 1 > 50bps", [("price / price_mean_5m - 1", "bps", HIGHEST)]),
        ("size / size_mean_1h > 50", [("size / size_mean_1h", "", HIGHEST)]),
        ("imbalance < -0.9", [("imbalance", "", LOWEST)]),
        ("fill_ratio_1s < 2%", [("fill_ratio_1s", "%", LOWEST)]),
        ("price > 105% * price_mean_5m", [("price", "", HIGHEST)]),
        ("size * price > 500k", [("size * price", "", HIGHEST)]),
        # read from the right where the left is a constant
        ("250k < notional", [("notional", "", HIGHEST)]),
        ("10 < size and size < 20", [("size", "", HIGHEST)]),
        ("-5bps > return_bps_10s", [("return_bps_10s", "bps", LOWEST)]),
        ("50 * size_mean_1h < size", [("50 * size_mean_1h", "", LOWEST)]),
        # under `not` the opposite holds
        ("not size > 5", [("size", "", LOWEST)]),
        ("not (size <= 5 or price < 3)", [("size", "", HIGHEST)]),
        ("not (size <= 5 and price < 3)", [("size", "", HIGHEST), ("price", "", HIGHEST)]),
        ("not not size > 5", [("size", "", HIGHEST)]),
        # whichever holds first
        ("size > 5 or price < 3", [("size", "", HIGHEST), ("price", "", LOWEST)]),
        ("(size > 5 or price < 3) and notional > 9", [(each, "", way) for each, way in (
            ("size", HIGHEST), ("price", LOWEST), ("notional", HIGHEST)
        )]),
        ("size > 5 or size > 9 and price > 3", [("size", "", HIGHEST), ("price", "", HIGHEST)]),
        ("size > 5 or size < 1", [("size", "", HIGHEST), ("size", "", LOWEST)]),
        # texts and lists have none, and are passed over
        ('symbol == "A" and size > 5', [("size", "", HIGHEST)]),
        ("size in [1, 2] and price > 5", [("price", "", HIGHEST)]),
        ("aggressor_side == buy", []),
        ("size in [1, 2]", []),
        ("size not in [1, 2]", []),
        ("severity >= warning", []),
        # what is equal stays so
        ("bid_price == ask_price and bid_size > 0", []),
        ("not bid_price != ask_price", []),
        ("value != 0", [("value", "", FARTHEST)]),
        ("not value == 0", [("value", "", FARTHEST)]),
    ],
)  # fmt: skip
def test_the_first_comparison_that_holds(when: str, measures: Found) -> None:
    assert found(rule_of(when)) == measures


def evaluated(rule: Rule, **columns: list[float]) -> tuple[list[list[float]], list[list[float]], list[int]]:
    n = len(next(iter(columns.values())))
    numbers = {name: np.array(values, np.float64) for name, values in columns.items()}
    value, badness, which, *_ = rule.measures.evaluate(ExpressionColumns(numbers, {}, (), n))
    assert value.flags.c_contiguous
    assert badness.flags.c_contiguous
    return value.tolist(), badness.tolist(), which.tolist()


def test_it_is_that_of_the_row() -> None:
    rule = rule_of('size > 5 or price < 3 or symbol == "A"')
    value, badness, which = evaluated(rule, size=[6, 6, 1, 1], price=[1, 9, 1, 9])
    assert which == [0, 0, 1, UNMEASURED]
    assert value == [[6, 6, 1, 1], [1, 9, 1, 9]]
    assert badness == [[6, 6, 1, 1], [-1, -9, -1, -9]]


def test_an_equality_that_holds_first_means_there_is_none() -> None:
    rule = rule_of("size == 5 or price > 3")
    assert evaluated(rule, size=[5, 6], price=[9, 9])[2] == [UNMEASURED, 0]


def test_values_are_in_the_unit_that_people_wrote() -> None:
    (values,), _, _ = evaluated(rule_of("fill_ratio_1s < 2%"), fill_ratio_1s=[0.0125])
    assert values == [1.25]
    (values,), _, _ = evaluated(rule_of("ts_lag > 2s"), ts_lag=[2.5e9])
    assert values == [pytest.approx(2.5)]


def test_unequal_is_worse_the_farther_it_is_on_either_side() -> None:
    (values,), (badness,), _ = evaluated(rule_of("value != 10"), value=[12, 5, 10])
    assert (values, badness) == ([12, 5, 10], [2, 5, 0])


def test_a_column_that_is_missing_has_no_value() -> None:
    value, _, which = evaluated(rule_of("size > 5"), price=[1, 2])
    assert np.isnan(value).all()
    assert which == [0, 0]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("notional", ("notional", "", HIGHEST)),
        ("size / size_mean_1h", ("size / size_mean_1h", "", HIGHEST)),
        ("return_bps_10s", ("return_bps_10s", "bps", LOWEST)),  # as in the condition
        ("highest return_bps_10s", ("return_bps_10s", "bps", HIGHEST)),
        ("lowest  size", ("size", "", LOWEST)),
        ("tape.rarity", ("tape.rarity", "s", HIGHEST)),
    ],
)
def test_a_rule_may_have_a_measure_of_its_own(measure: str, expected: tuple[str, str, int]) -> None:
    rule = rule_of("size > 50 * size_mean_1h and return_bps_10s < -5bps", measure=measure)
    assert found(rule) == [expected]
    assert set(rule.names) >= set(rule.condition.names), "and what it names is computed"


def test_its_own_measure_is_named_and_not_in_the_version() -> None:
    plain, own = rule_of("size > 5"), rule_of("size > 5", measure="price")
    assert own.names == ("size", "price")
    assert own.version == plain.version


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("sise", "1:1: unknown name 'sise' (did you mean 'size'?)"),
        ("lowest sise", "1:8: unknown name 'sise' (did you mean 'size'?)"),
        ("size > 5", "1:1: 'size > 5' (a condition) is not a number"),
        ("symbol", "1:1: 'symbol' (a text) is not a number"),
        ("5", "1:1: the expression names no field, feature or detector: it never changes"),
        ("bid_size", "1:1: 'bid_size' is never on trade, order events, only on quote"),
    ],
)
def test_a_measure_that_is_wrong_is_refused(measure: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        rule_of("size > 5", measure=measure)
    assert str(refused.value) == message
    assert refused.value.path == ("measure",)
