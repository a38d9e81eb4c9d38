"""Units: what a literal is worth beside a column, and what arithmetic makes of units."""

from __future__ import annotations

import numpy as np
import pytest
from alerts_market import MARKET

from alerts.language.condition import compile_condition
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.operations import NumberConstant
from alerts.language.predicates import Compare

THRESHOLDS = [
    ("return_bps_10s > 10", 10.0),
    ("return_bps_10s > 25bps", 25.0),
    ("return_bps_10s > 5%", 500.0),
    ("return_bps_10s > 0.1bps", 0.1),
    ("abs(return_bps_10s) > 2 * 25bps + 1%", 150.0),
    ("-return_bps_10s > 25bps", 25.0),
    ("25bps < return_bps_10s", 25.0),
    ("imbalance > 5%", 0.05),
    ("imbalance > 25bps", 0.0025),
    ("price / price_mean_5m - 1 > 5%", 0.05),
    ("price / price_mean_5m - 1 > 0.05", 0.05),
    ("size / size_mean_1h > 50", 50.0),
    ("silence_s > 5m", 300.0),
    ("silence_s > 90", 90.0),
    ("silence_s > 1h + 30s", 3630.0),
    ("silence_s > 0.5s", 0.5),
    ("ts_lag > 1s", 1e9),
    ("ts_lag > 1d", 86_400e9),
    ("notional > 250k", 250_000.0),
    ("notional > 2M", 2_000_000.0),
    ("notional > 1.5G", 1.5e9),
    ("notional > 1.5e6", 1.5e6),
    ("trade_rate_1m > 100", 100.0),
    ("trade_rate_1m > 10 / 5s", 2.0),
    ("trade_rate_1m * 60s > 10", 10.0),
    ("1 / trade_rate_1m > 2s", 2.0),
    ("silence_s / 1m > 3", 3.0),
    ("min(return_bps_10s, 1%) > 5bps", 5.0),
    ("price * 5% > 3", 3.0),
    ("log(notional) > 12", 12.0),
    ("price > 0.1 + 0.2", 0.3),
    ("return_bps_10s / spread_bps > 5%", 0.05),
    ("imbalance / imbalance > 25bps", 0.0025),
    ("2 * ts_lag > 1s", 1e9),
    ("ts_lag / 2 > 1000", 1000.0),
]


@pytest.mark.parametrize(("text", "threshold"), THRESHOLDS, ids=[text for text, _ in THRESHOLDS])
def test_a_literal_is_converted_to_its_column(text: str, threshold: float) -> None:
    predicate = compile_condition(text, MARKET).predicate
    assert isinstance(predicate, Compare)
    constants = [side for side in (predicate.left, predicate.right) if isinstance(side, NumberConstant)]
    assert constants == [NumberConstant(threshold)]


COMPUTED = [
    # text, columns, just true, just not
    ("price > size * (1 + 5%)", {"size": 100.0}, ("price", 105.01, 104.99)),
    ("price * return_bps_10s > 5", {"price": 1000.0}, ("return_bps_10s", 50.1, 49.9)),
    ("imbalance > return_bps_10s", {"return_bps_10s": 25.0}, ("imbalance", 0.00251, 0.00249)),
    ("return_bps_10s > imbalance", {"imbalance": 0.0025}, ("return_bps_10s", 25.1, 24.9)),
    (
        "price / price_mean_5m - 1 > return_bps_10s",
        {"price_mean_5m": 100.0, "return_bps_10s": 100.0},
        ("price", 101.1, 100.9),
    ),
    (
        "return_bps_10s > price / price_mean_5m - 1",
        {"price": 101.0, "price_mean_5m": 100.0},
        ("return_bps_10s", 101.0, 99.0),
    ),
    ("return_bps_10s / spread_bps > 3", {"spread_bps": 2.0}, ("return_bps_10s", 6.1, 5.9)),
    ("return_bps_10s / imbalance > 3", {"imbalance": 0.01}, ("return_bps_10s", 301.0, 299.0)),
    ("size * 10s > silence_s * 100", {"silence_s": 1.0}, ("size", 10.1, 9.9)),
    ("ts_lag > silence_s", {"silence_s": 2.0}, ("ts_lag", 2.1e9, 1.9e9)),
    ("silence_s > ts_lag", {"ts_lag": 2e9}, ("silence_s", 2.1, 1.9)),
    ("trade_rate_1m * silence_s > 10", {"silence_s": 2.0}, ("trade_rate_1m", 5.1, 4.9)),
    ("max(3 * spread_bps, 50bps) < trade_to_mid_bps", {"spread_bps": 10.0}, ("trade_to_mid_bps", 50.1, 49.9)),
]


@pytest.mark.parametrize(("text", "values", "probe"), COMPUTED, ids=[text for text, _, _ in COMPUTED])
def test_arithmetic_keeps_units_right(
    text: str, values: dict[str, float], probe: tuple[str, float, float]
) -> None:
    condition = compile_condition(text, MARKET)
    name, above, below = probe
    numbers = {key: np.full(2, value) for key, value in values.items()} | {name: np.array([above, below])}
    assert condition.evaluate(ExpressionColumns(numbers, {}, (), 2)).tolist() == [True, False]


KINDS = [
    ("price > 1", {0, 2}),
    ("notional > 1", {0}),
    ("price > 1 and tape.score > 1", {0}),
    ("bid_price > 1 or symbol == 'x'", {1}),
    ("return_bps_10s > 1", {0}),
    ("return_bps_10s > 1 and spread_bps > 1", {0, 1}),
    ("return_bps_10s > 1 and bid_price > 1", {1}),
    ("symbol == 'x'", set(range(7))),
]


@pytest.mark.parametrize(("text", "kinds"), KINDS, ids=[text for text, _ in KINDS])
def test_a_condition_is_evaluated_where_its_fields_are(text: str, kinds: set[int]) -> None:
    assert compile_condition(text, MARKET).kinds == kinds


def test_kinds_can_be_chosen() -> None:
    condition = compile_condition("price > 1 or bid_price > 1", MARKET, frozenset({0, 1}))
    assert condition.kinds == {0, 1}


def test_names_come_once_in_the_order_of_the_text() -> None:
    condition = compile_condition("sell == aggressor_side and size > price and size in [1, 2]", MARKET)
    assert condition.names == ("aggressor_side", "size", "price")


def test_an_explanation_puts_values_beside_names() -> None:
    condition = compile_condition(
        "size > 50 * size_mean_1h\n  and aggressor_side == sell and return_bps_10s > 25bps", MARKET
    )
    said = condition.explain({"size": 512.0, "size_mean_1h": 8.2, "aggressor_side": "sell"})
    assert said == (
        "size (512) > 50 * size_mean_1h (8.2) and aggressor_side (sell) == sell"
        " and return_bps_10s (n/a) > 25bps"
    )


def test_an_explanation_of_a_list_says_the_value_once() -> None:
    condition = compile_condition("aggressor_side in [buy, sell, none] and size not in [1, 2]", MARKET)
    said = condition.explain({"aggressor_side": "sell", "size": 5.0})
    assert said == "aggressor_side (sell) in [buy, sell, none] and size (5) not in [1, 2]"
