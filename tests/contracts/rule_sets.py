"""What every rule set of the catalogue keeps to.

A new rule needs a rig in `CASES`: values on which it is just true, and changes of them on which it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
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
    (
        "market-data-quality",
        "stale_feed",
        TIMER,
        {"silence_s": 30.1, "silent_share_30s": 0.49},
        "warning",
        [{"silence_s": 30.0}],
    ),
    (
        "market-data-quality",
        "stale_feed",
        TIMER,
        {"silence_s": 30.1, "silent_share_30s": 0.5},
        "critical",
        [{"silence_s": 30.0}],
    ),
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


Case = tuple[str, str, int, Values, str, list[Values]]
RuleSet = Mapping[str, Mapping[str, Any]]


def cases_of(name: str, rule: str) -> list[Case]:
    """The values of a rule.

    Raises
    ------
    LookupError
        When there are none.
    """
    found = [case for case in CASES if case[:2] == (name, rule)]
    if not found:
        raise LookupError(f"no values on which {rule!r} of {name!r} is true: add them to CASES in {__name__}")
    return found


def compiled(rules: RuleSet, rule: str) -> Rule:
    return compile_rule(rule, RuleSettings.model_validate(dict(rules[rule])), MARKET)


def held_on(rule: Rule, kind: int, values: Values) -> tuple[bool, str]:
    columns = ExpressionColumns({name: np.array([value]) for name, value in values.items()}, {}, (), 1)
    held = rule.holds(columns, rows_of(rule.kinds, np.array([kind], np.int8)))
    severity = rule.severities(columns)
    return bool(held[0]), SEVERITIES[severity[0]]


def check_names(name: str, rules: RuleSet) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert rules
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", rule) for rule in rules)
    others = {rule for other in set_names() if other != name for rule in read_set(other)}
    assert not others & set(rules), "no two sets have a rule of the same name"
    assert not set(set_names()) & set(rules), "no rule is called like a set"


def check_it_says_why_and_where_from_and_what(name: str, rules: RuleSet) -> None:
    for rule, given in rules.items():
        settings = RuleSettings.model_validate(dict(given))
        assert settings.why, rule
        assert settings.references, rule
        assert settings.text, rule
        assert "BTCUSDT" in compiled(rules, rule).render({"symbol": "BTCUSDT"}), rule


def check_it_is_true_there_and_just_not_here(name: str, rules: RuleSet) -> None:
    for rule in rules:
        for _, _, kind, values, severity, changes in cases_of(name, rule):
            found = compiled(rules, rule)
            assert held_on(found, kind, values) == (True, severity), rule
            for change in changes:
                assert not held_on(found, kind, values | change)[0], (rule, change)


Check = Callable[[str, RuleSet], None]

CHECKS: tuple[Check, ...] = (
    check_names,
    check_it_says_why_and_where_from_and_what,
    check_it_is_true_there_and_just_not_here,
)
