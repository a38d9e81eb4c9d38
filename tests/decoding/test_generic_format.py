from __future__ import annotations

from typing import Any

import pytest
from decoding.decode_once import NO_TIME, RECEIVED_NS, a_format, decode, events, only_reason, reasons

TRADES: dict[str, Any] = {
    "event_type": "trade",
    "symbol": "sym",
    "ts_event": {"path": "t", "unit": "ms"},
    "trade": {"price": "px", "size": "qty"},
}
TRADE: dict[str, Any] = {"sym": "X", "t": 1_000, "px": "1.5", "qty": 2}


def _one(settings: dict[str, Any], event: object, **surroundings: Any) -> dict[str, Any]:
    decoded = decode(settings, event, **surroundings)
    assert not decoded.dead, decoded.dead
    (found,) = events(decoded.batch)
    return found


def _with(**changes: Any) -> dict[str, Any]:
    return {**TRADES, **changes}


def test_paths_lead_into_objects_and_lists() -> None:
    settings = _with(symbol="m.id", trade={"price": "levels.0.1", "size": "levels.1.0"})
    found = _one(settings, {"m": {"id": "X"}, "levels": [[0, "7.5"], ["3"]], "t": 5})
    assert (found["instrument"], found["price"], found["size"]) == (("here", "X"), 7.5, 3.0)
    assert only_reason(settings, {"m": {"id": "X"}, "levels": [[0]], "t": 5})[0] == "missing_field"
    assert only_reason(settings, {"m": {"id": "X"}, "levels": 5, "t": 5})[0] == "missing_field"
    assert only_reason(settings, {"m": [], "levels": [[0, "7.5"], ["3"]], "t": 5})[0] == "no_symbol"


@pytest.mark.parametrize(
    ("unit", "given", "expected_ns"),
    [
        ("s", 1618677817, 1618677817_000_000_000),
        ("s", 1618677817.061845, 1618677817_061_845_000),
        ("s", "1618677817.061845123", 1618677817_061_845_123),
        ("ms", 1723161255342, 1723161255342_000_000),
        ("ms", "1723161255342", 1723161255342_000_000),
        ("us", 1723161255342123, 1723161255342123_000),
        ("ns", 1723161255342123456, 1723161255342123456),
        ("ns", "1723161255342123456", 1723161255342123456),
        ("iso", "2021-04-17T16:43:52.760577Z", 1618677832_760_577_000),
        ("iso", "2021-04-17 16:43:52+02:00", 1618670632_000_000_000),
        ("iso", "2021-04-17T16:43:52.123456789-0530", 1618697632_123_456_789),
        ("iso", "1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_exact_in_their_stated_unit(unit: str, given: object, expected_ns: int) -> None:
    settings = _with(ts_event={"path": "t", "unit": unit}, ts_recv={"path": "t", "unit": unit})
    found = _one(settings, {**TRADE, "t": given})
    assert found["ts"] == expected_ns
    assert found["ts_recv"] == float(expected_ns)


@pytest.mark.parametrize(
    ("unit", "given", "reason"),
    [
        ("ms", 1723161255342123456, "out_of_bounds"),
        ("s", 1e300, "out_of_bounds"),
        ("s", "1e300", "out_of_bounds"),
        ("s", "1e999999999", "not_finite"),
        ("ms", -1, "out_of_bounds"),
        ("ns", -0.5e-9, None),
        ("ms", True, "wrong_type"),
        ("ms", "2021-04-17T16:43:52Z", "wrong_type"),
        ("iso", 5, "wrong_type"),
        ("iso", "2021-04-17T16:43:52", "wrong_type"),
        ("iso", "2021-02-30T16:43:52Z", "wrong_type"),
        ("iso", "1969-12-31T23:59:59Z", "out_of_bounds"),
        ("iso", "2200-01-01T00:00:01Z", "out_of_bounds"),
    ],
)
def test_times_that_are_none(unit: str, given: object, reason: str | None) -> None:
    settings = _with(ts_event={"path": "t", "unit": unit})
    decoded = decode(settings, {**TRADE, "t": given})
    assert reasons(decoded) == ([] if reason is None else [(0, 0, reason)])


@pytest.mark.parametrize("absent", [None, ""])
def test_an_event_without_a_time_takes_its_records(absent: object) -> None:
    assert _one(TRADES, {**TRADE, "t": absent})["ts"] == RECEIVED_NS
    assert only_reason(TRADES, {**TRADE, "t": absent}, timestamp=NO_TIME)[0] == "no_time"


def test_scaled_prices_are_the_decimals_they_stand_for() -> None:
    settings = _with(trade={"price": {"path": "px", "scale": 1e-9}, "size": {"path": "qty", "scale": 100}})
    found = _one(settings, {**TRADE, "px": 61837_630000000, "qty": "3"})
    assert (found["price"], found["size"]) == (61837.63, 300.0)
    cents = _with(trade={"price": {"path": "px", "scale": 0.01}, "size": "qty"})
    assert all(_one(cents, {**TRADE, "px": number})["price"] == number / 100 for number in range(1, 300))
    ticks = _with(trade={"price": {"path": "px", "scale": 0.03}, "size": "qty"})
    assert _one(ticks, {**TRADE, "px": 7})["price"] == 7 * 0.03


@pytest.mark.parametrize("number", ["1.5", 1.5, " 1.5 ", "+1.5", "15e-1", "01.50"])
def test_numbers_may_be_texts(number: object) -> None:
    assert _one(TRADES, {**TRADE, "px": number})["price"] == 1.5


def test_maps_take_truth_numbers_and_words() -> None:
    table = {True: "sell", "false": "buy", 0: "none", "B": "buy"}
    settings = _with(trade={"price": "px", "size": "qty", "aggressor_side": {"path": "m", "map": table}})
    found = events(decode(settings, *({**TRADE, "m": given} for given in (True, False, 0, "B"))).batch)
    assert [event["aggressor_side"] for event in found] == ["sell", "buy", "none", "buy"]
    assert "aggressor_side" not in _one(settings, {**TRADE, "m": None})
    assert only_reason(settings, {**TRADE, "m": "S"}) == (
        "unknown_value",
        "aggressor_side: 'S' is not in the map",
    )
    assert only_reason(settings, {**TRADE, "m": [1]})[0] == "unknown_value"


def test_enums_without_a_map_hold_the_schemas_own_words() -> None:
    settings = _with(trade={"price": "px", "size": "qty", "aggressor_side": "side"})
    assert _one(settings, {**TRADE, "side": "buy"})["aggressor_side"] == "buy"
    assert only_reason(settings, {**TRADE, "side": "BUY"})[0] == "unknown_value"


def test_constants_fill_what_events_do_not_say() -> None:
    settings = _with(
        symbol={"constant": "ONLY"},
        venue={"constant": "mine"},
        trade={"price": "px", "size": {"constant": 1}, "conditions": {"constant": "lit"}},
    )
    found = _one(settings, {"px": 3, "t": 5}, venue=None)
    assert (found["instrument"], found["size"], found["conditions"]) == (("mine", "ONLY"), 1.0, "lit")


@pytest.mark.parametrize(
    ("source", "surroundings", "symbol"),
    [
        ({"from": "topic"}, {"topic": "trades.BTC-USD"}, "trades.BTC-USD"),
        ({"from": "topic", "pattern": r"trades\.(.+)"}, {"topic": "trades.BTC-USD"}, "BTC-USD"),
        ({"from": "key"}, {"key": b"BTC-USD"}, "BTC-USD"),
        ({"from": "file"}, {"topic": "BTC-USD.csv.gz"}, "BTC-USD"),
        ({"from": "file"}, {"topic": "BTC.USD.zst"}, "BTC.USD"),
        (
            {"from": "file", "pattern": "([A-Z]+)_", "map": {"APPC": "APPCBTC"}},
            {"topic": "APPC_2020.csv"},
            "APPCBTC",
        ),
        ({"path": "sym", "map": {"X": "Y"}}, {}, "Y"),
    ],
)
def test_where_a_symbol_can_come_from(source: Any, surroundings: dict[str, Any], symbol: str) -> None:
    assert _one(_with(symbol=source), TRADE, **surroundings)["instrument"] == ("here", symbol)


@pytest.mark.parametrize(
    ("source", "surroundings", "reason"),
    [
        ({"from": "topic", "pattern": r"trades\.(.+)"}, {"topic": "quotes.X"}, "no_symbol"),
        ({"from": "topic", "pattern": "(USD)"}, {"topic": "BTC-USD"}, "no_symbol"),
        ({"from": "key"}, {"key": None}, "no_symbol"),
        ({"from": "key"}, {"key": b"\xff"}, "bad_utf8"),
        ({"path": "sym", "map": {"Z": "Y"}}, {}, "unknown_value"),
        ("nothing", {}, "no_symbol"),
    ],
)
def test_where_no_symbol_comes_from(source: Any, surroundings: dict[str, Any], reason: str) -> None:
    assert only_reason(_with(symbol=source), TRADE, **surroundings)[0] == reason


def test_the_venue_is_the_events_else_the_settings() -> None:
    settings = _with(venue="v")
    assert not a_format(settings).needs_venue
    assert a_format(TRADES).needs_venue
    assert _one(settings, {**TRADE, "v": "own"})["instrument"][0] == "own"
    assert _one(settings, TRADE)["instrument"][0] == "here"
    assert only_reason(settings, TRADE, venue=None)[0] == "no_venue"


KINDS: dict[str, Any] = {
    "event_type": {
        "path": "type",
        "map": {"match": "trade", "top": "quote", 9: "heartbeat"},
        "ignore": ["ping", 1],
    },
    "symbol": "sym",
    "account_id": "acc",
    "trade": {"price": "px", "size": "qty", "symbol": "pair"},
    "quote": {"bid_price": "b", "bid_size": "bs", "ask_price": "a", "ask_size": "as", "account_id": "desk"},
}


def test_each_kind_has_its_own_fields_and_may_replace_the_shared_ones() -> None:
    decoded = decode(
        KINDS,
        {"type": "match", "pair": "P", "sym": "S", "px": 1, "qty": 2, "acc": 77},
        {"type": "top", "sym": "S", "b": 1, "bs": 2, "a": 3, "as": 4, "acc": "shared", "desk": "own"},
        {"type": 9, "sym": "S"},
        {"type": "ping"},
        {"type": 1},
        {"type": "ping"},
    )
    trade, quote, heartbeat = events(decoded.batch)
    assert (trade["kind"], trade["instrument"][1], trade["account_id"]) == ("trade", "P", "77")
    assert (quote["kind"], quote["instrument"][1], quote["account_id"]) == ("quote", "S", "own")
    assert heartbeat["kind"] == "heartbeat"
    assert dict(decoded.ignored) == {"ping": 2, "1": 1}


def test_kinds_that_are_neither_mapped_nor_ignored_are_dead_letters() -> None:
    assert only_reason(KINDS, {"type": "new"}) == (
        "unknown_kind",
        "type: 'new' is neither mapped nor to be ignored",
    )
    assert only_reason(KINDS, {"type": [1]})[0] == "unknown_kind"
    assert only_reason(KINDS, {"sym": "S"}) == ("missing_field", "type is missing")


def test_without_a_map_the_field_holds_the_kinds_name() -> None:
    settings = {**TRADES, "event_type": {"path": "kind", "ignore": ["chat"]}}
    assert _one(settings, {**TRADE, "kind": "trade"})["kind"] == "trade"
    assert only_reason(settings, {**TRADE, "kind": "quote"})[0] == "unknown_kind"
    assert dict(decode(settings, {"kind": "chat"}).ignored) == {"chat": 1}


def test_what_a_mapping_provides_is_what_it_names() -> None:
    assert a_format(KINDS).provides == {
        "trade": {"account_id", "price", "size"},
        "quote": {"account_id", "bid_price", "bid_size", "ask_price", "ask_size"},
        "heartbeat": {"account_id"},
    }


def test_a_record_may_be_a_list_of_events() -> None:
    decoded = decode(TRADES, [TRADE, {**TRADE, "px": "x"}, TRADE], [])
    assert [event["at"] for event in events(decoded.batch)] == [(0, 0), (0, 2)]
    assert reasons(decoded) == [(0, 1, "wrong_type")]


OUTSIDE: dict[str, Any] = {
    **TRADES,
    "events": "data.rows",
    "event_type": {"path": "^.table", "map": {"trade": "trade"}, "ignore": ["book"]},
    "symbol": "^.arg.id",
}


def test_a_record_may_hold_a_list_of_events_and_say_itself_what_they_are() -> None:
    record = {"table": "trade", "arg": {"id": "OUT"}, "data": {"rows": [TRADE, {**TRADE, "px": -1}]}}
    decoded = decode(OUTSIDE, record, {"table": "book"}, {**record, "table": "other"}, {"table": "trade"}, 5)
    assert [(event["instrument"][1], event["at"]) for event in events(decoded.batch)] == [("OUT", (0, 0))]
    assert dict(decoded.ignored) == {"book": 1}
    assert reasons(decoded) == [
        (0, 1, "out_of_bounds"),
        (2, 0, "unknown_kind"),
        (3, 0, "missing_field"),
        (4, 0, "not_an_object"),
    ]


def test_every_kind_of_event_can_be_mapped() -> None:
    settings = {
        "event_type": {"path": "type"},
        "symbol": "s",
        "sequence": "n",
        "event_id": "id",
        "trader_id": "who",
        "order": {
            "order_id": "o", "action": {"path": "a", "map": {"A": "new"}}, "side": "d", "size": "q",
            "price": "p", "leaves_size": "l", "last_size": "x", "reason": "r",
        },
        "status": {"state": {"path": "st", "map": {1: "halt"}}},
        "metric": {"value": {"path": "v", "scale": 0.001}},
    }  # fmt: skip
    decoded = decode(
        settings,
        {
            "type": "order",
            "s": "X",
            "n": "12",
            "id": 5,
            "who": "w",
            "o": 7,
            "a": "A",
            "d": "sell",
            "q": 1,
            "l": 0,
        },
        {"type": "status", "s": "X", "n": 13, "st": 1},
        {"type": "metric", "s": "X", "v": -1500},
        {"type": "metric", "s": "X", "v": 1, "n": 1.5},
    )
    order, status, metric = events(decoded.batch)
    assert (order["order_id"], order["action"], order["side"], order["leaves_size"]) == (
        "7",
        "new",
        "sell",
        0.0,
    )
    assert (order["sequence"], order["event_id"], order["trader_id"]) == (12.0, "5", "w")
    assert "price" not in order
    assert (status["state"], status["sequence"], metric["value"]) == ("halt", 13.0, -1.5)
    assert reasons(decoded) == [(3, 0, "wrong_type")]
