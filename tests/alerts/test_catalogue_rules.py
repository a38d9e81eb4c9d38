"""Every rule of the catalogue: values on which it is just true, and values on which it is just not."""

from __future__ import annotations

import numpy as np
import pytest
from alerts_market import MARKET, ORDER, QUOTE, TIMER, TRADE

from alerts.catalogue.files import read_set, set_names
from alerts.language.expression_columns import ExpressionColumns
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule, rows_of
from alerts.severity import SEVERITIES

Values = dict[str, float]

# set, rule, kind of event, all values that make it true, its severity, and single changes that do not
CASES: list[tuple[str, str, int, Values, str, list[Values]]] = [
    (
        "crypto",
        "price_spike",
        TRADE,
        {"return_bps_10s": -25.1, "return_bps_10s_z_1h": -8.1},
        "warning",
        [{"return_bps_10s": -25.0}, {"return_bps_10s_z_1h": -8.0}, {"return_bps_10s_z_1h": np.nan}],
    ),
    (
        "crypto",
        "price_spike",
        TRADE,
        {"return_bps_10s": 200.1, "return_bps_10s_z_1h": 9.0},
        "critical",
        [{"return_bps_10s": np.nan}],
    ),
    (
        "crypto",
        "price_band",
        TRADE,
        {"price": 101.01, "price_mean_5m": 100.0},
        "warning",
        [{"price": 100.99}, {"price": 99.01}, {"price_mean_5m": np.nan}, {"price_mean_5m": 0.0}],
    ),
    ("crypto", "price_band", TRADE, {"price": 94.9, "price_mean_5m": 100.0}, "critical", [{"price": 99.5}]),
    (
        "crypto",
        "fat_finger",
        TRADE,
        {"size": 50.1, "size_mean_1h": 1.0, "notional": 250_001.0},
        "critical",
        [{"size": 50.0}, {"notional": 250_000.0}, {"size_mean_1h": np.nan}],
    ),
    (
        "crypto",
        "volume_spike",
        TRADE,
        {"log_notional_10s_z_1h": 4.1, "notional_10s": 1_000_001.0, "notional_10s_mean_1h": 200_000.0},
        "warning",
        [
            {"log_notional_10s_z_1h": 4.0},
            {"notional_10s": 1_000_000.0},
            {"notional_10s_mean_1h": 200_000.2},
            {"notional_10s_mean_1h": np.nan},
        ],
    ),
    (
        "crypto",
        "spread_blowout",
        QUOTE,
        {"spread_bps": 5.1, "spread_bps_mean_1h": 1.0},
        "warning",
        [{"spread_bps": 5.0}, {"spread_bps_mean_1h": 1.02}, {"spread_bps_mean_1h": np.nan}],
    ),
    (
        "crypto",
        "liquidity_drop",
        QUOTE,
        {
            "bid_size": 0.19,
            "ask_size": 0.38,
            "bid_size_mean_1h": 1.0,
            "ask_size_mean_1h": 2.0,
            "spread_bps": 6.1,
            "spread_bps_mean_1h": 2.0,
        },
        "warning",
        [
            {"bid_size": 0.2},
            {"ask_size": 0.4},
            {"spread_bps": 6.0},
            {"spread_bps": 5.0, "spread_bps_mean_1h": 1.0},
            {"bid_size_mean_1h": np.nan},
        ],
    ),
    (
        "crypto",
        "pump",
        TRADE,
        {
            "return_bps_25s": 201.0,
            "trade_rate_25s": 3.1,
            "trade_rate_25s_mean_1h": 1.0,
            "notional_25s": 20_001.0,
            "notional_25s_mean_1h": 6_666.0,
        },
        "critical",
        [
            {"return_bps_25s": 199.0},
            {"return_bps_25s": -201.0},
            {"trade_rate_25s": 3.0},
            {"notional_25s_mean_1h": 6_667.1},
            {"notional_25s": 20_000.0, "notional_25s_mean_1h": 1_000.0},
            {"trade_rate_25s_mean_1h": np.nan},
        ],
    ),
    (
        "market-data-quality",
        "one_sided_book",
        QUOTE,
        {"bid_size": 0.0, "ask_size": 0.001},
        "warning",
        [{"bid_size": 0.001}, {"ask_size": 0.0}, {"ask_size": np.nan}],
    ),
    (
        "market-data-quality",
        "stub_quote",
        QUOTE,
        {"spread_bps": 1_000.1},
        "warning",
        [{"spread_bps": 1_000.0}, {"spread_bps": np.nan}],
    ),
    (
        "market-data-quality",
        "crossed_book",
        QUOTE,
        {"bid_price": 100.01, "ask_price": 100.0, "bid_size": 1.0, "ask_size": 1.0},
        "warning",
        [{"bid_price": 100.0}, {"bid_size": 0.0}, {"ask_size": 0.0}, {"ask_price": np.nan}],
    ),
    (
        "market-data-quality",
        "locked_book",
        QUOTE,
        {"bid_price": 100.0, "ask_price": 100.0, "bid_size": 1.0, "ask_size": 1.0},
        "info",
        [{"bid_price": 100.01}, {"bid_price": 99.99}, {"bid_size": 0.0}, {"ask_size": 0.0}],
    ),
    ("market-data-quality", "stale_feed", TIMER, {"silence_s": 30.1}, "critical", [{"silence_s": 30.0}]),
    (
        "market-data-quality",
        "off_market",
        TRADE,
        {"trade_to_mid_bps": -50.1, "spread_bps": 1.0},
        "warning",
        [{"trade_to_mid_bps": -50.0}, {"spread_bps": 17.0}, {"spread_bps": np.nan}],
    ),
    (
        "market-data-quality",
        "sequence_gap",
        QUOTE,
        {"missing_events": 1.0},
        "warning",
        [{"missing_events": 0.0}, {"missing_events": np.nan}],
    ),
    ("market-data-quality", "sequence_gap", TRADE, {"missing_events": 1001.0}, "critical", []),
    (
        "surveillance",
        "quote_stuffing",
        ORDER,
        {"order_rate_1s": 201.0, "order_rate_1s_mean_1h": 66.0, "fill_ratio_1s": 0.019},
        "warning",
        [
            {"order_rate_1s": 200.0},
            {"order_rate_1s_mean_1h": 67.0},
            {"order_rate_1s_mean_1h": np.nan},
            {"fill_ratio_1s": 0.02},
            {"fill_ratio_1s": np.nan},
        ],
    ),
    (
        "surveillance",
        "spoofing",
        ORDER,
        {"pulled_size_5s": 20_001.0, "size_mean_1h": 1000.0, "price": 25.0},
        "critical",
        [
            {"pulled_size_5s": 0.0},
            {"pulled_size_5s": 20_000.0},
            {"size_mean_1h": 1000.1},
            {"size_mean_1h": np.nan},
            {"price": 24.9},
        ],
    ),
]


def rules_of(name: str) -> dict[str, RuleSettings]:
    return {rule: RuleSettings.model_validate(given) for rule, given in read_set(name).items()}


def compiled(name: str, rule: str) -> Rule:
    return compile_rule(rule, rules_of(name)[rule], MARKET)


def held_on(rule: Rule, kind: int, values: Values) -> tuple[bool, str]:
    columns = ExpressionColumns({name: np.array([value]) for name, value in values.items()}, {}, (), 1)
    held = rule.holds(columns, rows_of(rule.kinds, np.array([kind], np.int8)))
    severity = rule.severities(columns)
    return bool(held[0]), SEVERITIES[severity[0]]


@pytest.mark.parametrize(
    ("name", "rule", "kind", "values", "severity", "changes"),
    CASES,
    ids=[f"{case[1]}-{case[4]}" for case in CASES],
)
def test_is_true_there_and_just_not_here(
    name: str, rule: str, kind: int, values: Values, severity: str, changes: list[Values]
) -> None:
    found = compiled(name, rule)
    assert held_on(found, kind, values) == (True, severity)
    for change in changes:
        assert not held_on(found, kind, values | change)[0], change


ALL = [(name, rule) for name in set_names() for rule in rules_of(name)]


def test_every_rule_has_such_values() -> None:
    assert {(name, rule) for name, rule, *_ in CASES} == set(ALL)


@pytest.mark.parametrize(("name", "rule"), ALL)
def test_says_why_and_where_from_and_what(name: str, rule: str) -> None:
    settings = rules_of(name)[rule]
    assert settings.why
    assert settings.references
    assert settings.text
    said = compiled(name, rule).render({"symbol": "BTCUSDT"})
    assert "BTCUSDT" in said


def test_no_two_sets_have_a_rule_of_the_same_name() -> None:
    names = [rule for _, rule in ALL]
    assert len(names) == len(set(names))


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown rule set 'market-data' \(did you mean 'market-data-quality'\?\)"
    ):
        read_set("market-data")
