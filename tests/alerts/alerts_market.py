"""The names a small market has: what the configuration's own symbol table gives, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alerts.language.symbols import Symbol, SymbolTable, SymbolType

TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT, TIMER = range(7)


def field(name: str, *kinds: int, **more: Any) -> Symbol:
    return Symbol(name, more.pop("type", "number"), kinds=frozenset(kinds), source="field", **more)


def feature(name: str, type_: SymbolType, scale: float, *kinds: int) -> Symbol:
    return Symbol(name, type_, scale, kinds=frozenset(kinds), source="feature")


MARKET = SymbolTable.of(
    field("price", TRADE, ORDER),
    field("size", TRADE, ORDER),
    field("notional", TRADE),
    field("bid_price", QUOTE),
    field("ask_price", QUOTE),
    field("bid_size", QUOTE),
    field("ask_size", QUOTE),
    field("value", METRIC),
    field("aggressor_side", TRADE, type="enum", members=("buy", "sell", "none")),
    field("side", ORDER, type="enum", members=("buy", "sell")),
    field("buyer_account", TRADE, type="string"),
    field("seller_account", TRADE, type="string"),
    Symbol("symbol", "string"),
    Symbol("severity", "enum", members=("info", "warning", "critical"), ordered=True),
    Symbol("ts_lag", "seconds", 1e-9, kinds=frozenset({TRADE})),
    feature("return_bps_10s", "relative", 1e-4, TRADE),
    feature("return_bps_10s_z_1h", "number", 1.0, TRADE),
    feature("log_notional_10s_z_1h", "number", 1.0, TRADE),
    feature("notional_10s", "number", 1.0, TRADE),
    feature("notional_10s_mean_1h", "number", 1.0, TRADE),
    feature("size_mean_1h", "number", 1.0, TRADE, ORDER),
    feature("price_mean_5m", "number", 1.0, TRADE, ORDER),
    feature("spread_bps", "relative", 1e-4, QUOTE),
    feature("spread_bps_mean_1h", "relative", 1e-4, QUOTE),
    feature("return_bps_25s", "relative", 1e-4, TRADE),
    feature("trade_rate_25s", "per_second", 1.0, TRADE),
    feature("trade_rate_25s_mean_1h", "per_second", 1.0, TRADE),
    feature("notional_25s", "number", 1.0, TRADE),
    feature("notional_25s_mean_1h", "number", 1.0, TRADE),
    feature("bid_size_mean_1h", "number", 1.0, QUOTE),
    feature("ask_size_mean_1h", "number", 1.0, QUOTE),
    feature("trade_to_mid_bps", "relative", 1e-4, TRADE, QUOTE),
    feature("imbalance", "relative", 1.0, QUOTE),
    feature("missing_events", "number", 1.0, *range(6)),
    feature("order_rate_1s", "per_second", 1.0, ORDER),
    feature("order_rate_1s_mean_1h", "per_second", 1.0, ORDER),
    feature("fill_ratio_1s", "relative", 1.0, ORDER),
    feature("pulled_size_5s", "number", 1.0, ORDER),
    feature("silence_s", "seconds", 1.0, *range(7)),
    feature("silent_share_30s", "relative", 1.0, TIMER),
    feature("trade_rate_1m", "per_second", 1.0, TRADE),
    Symbol("tape.score", "number", kinds=frozenset({TRADE}), source="detector"),
    Symbol("tape.rarity", "seconds", kinds=frozenset({TRADE}), source="detector"),
)


class Explaining(SymbolTable):
    """A table that has something to say of one name."""

    def explain(self, name: str) -> str | None:
        return "windows go from 1s to 1h, not 9d" if name == "return_bps_9d" else None


def explaining(symbols: Iterable[Symbol]) -> Explaining:
    return Explaining({symbol.name: symbol for symbol in symbols})
