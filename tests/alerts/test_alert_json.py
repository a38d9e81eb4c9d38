"""The alert's JSON: which keys, in which order, and the same bytes whenever it is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alert import Alert, rfc3339

ALERT = Alert(
    id="00ff",
    origin="detect",
    transition="updated",
    number=2,
    rule="fat_finger",
    rule_version="1f2e",
    severity="critical",
    venue="binance",
    symbol="BTCUSDT",
    ts_event_ns=1_700_000_000_123_456_789,
    source={"index": 0, "offset": 7, "partition": 3, "topic": "spot"},
    values={"size": 512.0, "price": 0.1, "aggressor_side": "sell", "bid_price": None, "value": 1e300},
    detector="tape",
    score=0.25,
    rarity_s=None,
    model_version="m1",
    config_hash="c0",
    text='a "quoted" ä €',
)

LINE = (
    '{"id":"00ff","origin":"detect","transition":"updated","number":2,"rule":"fat_finger","rule_version":"1f2e",'
    '"severity":"critical","venue":"binance","symbol":"BTCUSDT","ts_event_ns":1700000000123456789,'
    '"ts_event":"2023-11-14T22:13:20.123456789Z",'
    '"source":{"topic":"spot","partition":3,"offset":7,"index":0},'
    '"values":{"aggressor_side":"sell","bid_price":null,"price":0.1,"size":512.0,"value":1e+300},'
    '"detector":"tape","score":0.25,"rarity_s":null,"model_version":"m1","config_hash":"c0",'
    '"text":"a \\"quoted\\" ä €"}'
)


def test_keys_stand_in_their_order() -> None:
    assert ALERT.to_json().decode() == LINE


def test_the_order_of_what_was_given_does_not_matter() -> None:
    turned = replace(
        ALERT, values=dict(reversed(ALERT.values.items())), source=dict(reversed(ALERT.source.items()))
    )
    assert turned.to_json() == ALERT.to_json()


def test_a_timer_has_its_number_and_a_service_alert_its_own_source() -> None:
    of_timer = replace(
        ALERT, source={"tick": 4, "index": None, "offset": None, "partition": 0, "topic": "spot"}
    )
    source = json.loads(of_timer.to_json())["source"]
    assert list(source) == ["topic", "partition", "offset", "index", "tick"]
    parked = replace(ALERT, source={"receiver": "desk", "kept": 1}, venue=None, symbol=None)
    assert list(json.loads(parked.to_json())["source"]) == ["kept", "receiver"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(value: float) -> None:
    read = json.loads(replace(ALERT, score=value, values={"size": value}).to_json())
    assert (read["score"], read["values"]) == (None, {"size": None})


def test_half_a_surrogate_pair_does_not_stop_an_alert() -> None:
    assert json.loads(replace(ALERT, text="a\ud800b").to_json())["text"] == "a?b"


VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), VALUES, max_size=4),
    st.text(st.characters(codec="utf-8")),
)
def test_is_read_back_as_it_was(values: dict[str, float | str | None], text: str) -> None:
    alert = replace(ALERT, values=values, text=text)
    line = alert.to_json()
    assert Alert.from_json(line) == alert
    assert Alert.from_json(line).to_json() == line
    assert b"\n" not in line


def test_what_is_no_alert_is_refused() -> None:
    for body in (b"[]", b"{}", b"nonsense"):
        with pytest.raises(ValueError):
            Alert.from_json(body)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        (7_258_118_400_000_000_000, "2200-01-01T00:00:00.000000000Z"),
    ],
)
def test_times_keep_every_nanosecond(ns: int, text: str) -> None:
    assert rfc3339(ns) == text
