from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, build_format

GOOD: dict[str, Any] = {
    "event_type": "trade",
    "symbol": "s",
    "ts_event": {"path": "t", "unit": "ms"},
    "trade": {
        "price": "p",
        "size": {"path": "q", "scale": 1e-8},
        "aggressor_side": {"path": "m", "map": {True: "buy"}},
    },
}


def _problem(settings: object) -> tuple[str, str]:
    """Place and message of the one problem."""
    with pytest.raises(ValidationError) as caught:
        FormatSettings.model_validate(settings)
    (error,) = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize("preset", sorted(set(FORMATS) - {"generic"}))
def test_a_preset_is_its_name(preset: str) -> None:
    settings = FormatSettings.model_validate(preset)
    assert settings == FormatSettings.model_validate({"preset": preset})
    assert settings.document() == preset
    assert build_format(settings).name == preset


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"events": "data", "event_type": {"path": "^.type", "map": {"x": "trade"}, "ignore": ["y", True, 5]}},
        {"symbol": {"from": "file", "pattern": "(.*)", "map": {"a": "b"}}, "venue": {"constant": "here"}},
        {"sequence": {"constant": 5}, "account_id": {"path": "a", "map": {1: "one"}}},
    ],
)
def test_the_document_makes_the_same_settings_again(changes: dict[str, Any]) -> None:
    settings = FormatSettings.model_validate({**GOOD, **changes})
    again = FormatSettings.model_validate(json.loads(json.dumps(settings.document())))
    assert again == settings
    assert build_format(again).spec == build_format(settings).spec


def test_other_settings_have_another_spec() -> None:
    specs = {
        build_format(FormatSettings.model_validate({**GOOD, **change})).spec
        for change in ({}, {"symbol": "z"}, {"ts_event": {"path": "t", "unit": "s"}}, {"venue": "v"})
    }
    assert len(specs) == 4


def _mapped(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "trade": {**GOOD["trade"], **changes}}


@pytest.mark.parametrize(
    ("settings", "place", "message"),
    [
        ("binnance", "", "'binnance' is none of the presets binance, generic, tapewatch"),
        ({"preset": "bnc"}, "preset", "'bnc' is none of the presets binance, generic, tapewatch"),
        ({"preset": "binance", "symbol": "s"}, "", "the preset binance knows its fields: leave out symbol"),
        ("generic", "", "event_type is missing: name a kind, such as trade, or give a path and a map"),
        (5, "", "Input should be a valid dictionary or instance of FormatSettings"),
        ({**GOOD, "event_type": "type"}, "event_type",
         "'type' is none of trade, quote, order, status, metric, "
         "heartbeat; where a field holds the kind, give its path and a map"),
        ({**GOOD, "event_type": {"path": "t", "constant": "trade"}}, "event_type",
         "takes only one of path and constant"),
        ({**GOOD, "event_type": {}}, "event_type", "needs path or constant"),
        ({**GOOD, "event_type": {"constant": "trade", "ignore": ["x"]}}, "event_type",
         "map and ignore go with path"),
        ({**GOOD, "event_type": "quote"}, "",
         "events can be of kind quote, so a section quote must say where its fields come from"),
        ({**GOOD, "quote": {"bid_price": "b", "bid_size": "b", "ask_price": "b", "ask_size": "b"}}, "",
         "there is a section quote, but event_type never gives quote"),
        ({"event_type": {"path": "t"}, "symbol": "s"}, "",
         "a section must say where fields come from: trade, quote, order, status or metric"),
        ({key: value for key, value in GOOD.items() if key != "symbol"}, "",
         "symbol is missing: give a path, {from: topic}, {from: key}, {from: file} or a constant"),
        ({**GOOD, "ts_event": "t"}, "ts_event",
         "needs a unit, which is never guessed: {path: t, unit: ms} (or s, us, ns, iso)"),
        ({**GOOD, "ts_event": {"path": "t"}}, "ts_event.unit", "Field required"),
        ({**GOOD, "ts_event": {"path": "t", "unit": "min"}}, "ts_event.unit",
         "Input should be 's', 'ms', 'us', 'ns' or 'iso'"),
        ({**GOOD, "symbol": "a..b"}, "symbol.path",
         "'a..b' is not a path: names joined by single dots, such as data.price"),
        ({**GOOD, "symbol": {"from": "header"}}, "symbol.from", "Input should be 'topic', 'key' or 'file'"),
        ({**GOOD, "symbol": {"from": "topic", "pattern": "["}}, "symbol.pattern",
         "'[' is not a regular expression: unterminated character set at position 0"),
        ({**GOOD, "symbol": {"from": "topic", "pattern": "abc"}}, "symbol.pattern",
         "'abc' must have exactly one group (...), which is what is taken"),
        ({**GOOD, "symbol": {"constant": "X", "pattern": "(.)"}}, "symbol",
         "pattern and map do not go with constant"),
        ({**GOOD, "symbol": {"constant": ""}}, "symbol.constant", "String should have at least 1 character"),
        ({**GOOD, "trade": {"price": "p"}}, "trade.size", "Field required"),
        (_mapped(prize="p"), "trade.prize", "Extra inputs are not permitted"),
        (_mapped(size={"path": "q", "scale": 0}), "trade.size.scale", "Input should be greater than 0"),
        (_mapped(size={"constant": 1, "scale": 2}), "trade.size", "scale goes with path"),
        (_mapped(size={"constant": "1"}), "trade.size.constant", "'1' is not a number"),
        (_mapped(size={"constant": float("nan")}), "trade.size.constant", "nan is not a number"),
        ({**GOOD, "event_type": {"path": "t", "ignore": [1.5]}}, "event_type.ignore.0",
         "1.5 is neither a text, a whole number, true nor false"),
        (_mapped(trade_id={"constant": "x", "map": {"a": "b"}}), "trade.trade_id", "map goes with path"),
        (_mapped(aggressor_side={"path": "m", "map": {"B": "bought"}}), "trade.aggressor_side",
         "'bought' is none of buy, sell, none"),
        (_mapped(correction={"constant": "bust"}), "trade.correction",
         "'bust' is none of none, cancel, correct"),
        (_mapped(aggressor_side={"path": "m", "map": {1: "buy", "1": "sell"}}), "trade.aggressor_side.map",
         "the key '1' is there twice"),
        (_mapped(aggressor_side={"path": "m", "map": {1.5: "buy"}}), "trade.aggressor_side.map",
         "1.5 cannot be a key: only texts, whole numbers, true and false can"),
        (_mapped(aggressor_side={"path": "m", "map": {}}), "trade.aggressor_side.map",
         "the map is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(settings: object, place: str, message: str) -> None:
    assert _problem(settings) == (place, message)


def test_the_exported_schema_admits_the_short_forms() -> None:
    schema = TypeAdapter(FormatSettings).json_schema()
    text = json.dumps(schema)
    assert sorted(FORMATS) == schema["anyOf"][0]["enum"]
    assert "a path" in text
    assert '"from"' in text
