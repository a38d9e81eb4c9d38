from __future__ import annotations

import json
import math
from typing import Any

import pytest
from decoding.decode_once import NO_TIME, RECEIVED_NS, as_bytes, decode, events, only_reason, reasons
from decoding.event_documents import sound_events, strange_events
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamer.decoding.event_fields import FIELDS_BY_KIND
from streamer.decoding.event_schema import EVENT
from streamer.decoding.formats import DecodeContext
from streamer.decoding.formats.tapewatch import TapewatchFormat
from streamer.messages.records import Record

TRADE: dict[str, Any] = {"event_type": "trade", "symbol": "X", "price": 2.5, "size": 4}


def _expected(model: Any, at: tuple[int, int]) -> dict[str, Any]:
    """What the batch must hold of a validated event."""
    fields = model.model_dump(exclude_none=True, include=set(FIELDS_BY_KIND[model.event_type]))
    return {
        "kind": model.event_type,
        "instrument": (model.venue or "here", model.symbol),
        "ts": RECEIVED_NS if model.ts_event is None else model.ts_event,
        "record_ts": RECEIVED_NS,
        "at": at,
        **{name: float(value) if isinstance(value, int) else value for name, value in fields.items()},
    }


@settings(deadline=None)
@given(st.lists(sound_events(), max_size=8))
def test_columns_hold_what_was_written(documents: list[dict[str, Any]]) -> None:
    decoded = decode("tapewatch", *documents)
    assert not decoded.dead
    expected = [_expected(EVENT.validate_python(each), (at, 0)) for at, each in enumerate(documents)]
    assert events(decoded.batch) == expected


@settings(max_examples=50, deadline=None)
@given(strange_events())
def test_a_record_is_taken_exactly_where_the_public_model_takes_it(document: dict[str, Any]) -> None:
    value = as_bytes(document)
    assert value is not None
    decoded = decode("tapewatch", value)
    try:
        model = EVENT.validate_json(value)
    except ValidationError:
        assert len(decoded.batch) == 0
        assert len(decoded.dead) == 1
    else:
        assert not decoded.dead
        assert events(decoded.batch) == [_expected(model, (0, 0))]


@settings(max_examples=25, deadline=None)
@given(st.lists(strange_events(), max_size=5))
def test_a_list_is_as_good_as_records_of_their_own(documents: list[dict[str, Any]]) -> None:
    alone = decode("tapewatch", *documents)
    together = decode("tapewatch", json.dumps(documents))
    swapped = [(0, offset, reason) for offset, _, reason in reasons(alone)]
    assert reasons(together) == swapped
    strip = lambda found: [{**each, "at": None} for each in found]  # noqa: E731
    assert strip(events(together.batch)) == strip(events(alone.batch))


def test_a_faulty_event_in_a_list_fails_alone() -> None:
    decoded = decode("tapewatch", [TRADE, {**TRADE, "price": -1}, 5, {**TRADE, "price": 3}])
    assert [event["at"] for event in events(decoded.batch)] == [(0, 0), (0, 3)]
    assert reasons(decoded) == [(0, 1, "out_of_bounds"), (0, 2, "not_an_object")]
    assert all(letter.value is not None and letter.value.startswith(b"[") for letter in decoded.dead)


def test_a_number_that_is_none_spoils_only_its_own_event() -> None:
    text = json.dumps([TRADE, {**TRADE, "price": math.nan}, {**TRADE, "unused": math.inf}])
    decoded = decode("tapewatch", text.replace("Infinity", "1e999"))
    assert [event["at"] for event in events(decoded.batch)] == [(0, 0), (0, 2)]
    assert reasons(decoded) == [(0, 1, "not_finite")]


def test_time_and_venue_come_from_around_the_event_where_it_has_none() -> None:
    own = {**TRADE, "ts_event": 77, "venue": "elsewhere"}
    first, second = events(decode("tapewatch", TRADE, own).batch)
    assert (first["ts"], first["instrument"]) == (RECEIVED_NS, ("here", "X"))
    assert (second["ts"], second["instrument"]) == (77, ("elsewhere", "X"))
    assert only_reason("tapewatch", TRADE, timestamp=NO_TIME)[0] == "no_time"
    assert only_reason("tapewatch", TRADE, venue=None)[0] == "no_venue"
    assert events(decode("tapewatch", own, timestamp=NO_TIME, venue=None).batch)[0]["ts"] == 77


def test_instruments_are_numbered_by_first_appearance() -> None:
    symbols = ["B", "A", "B", "C", "A"]
    batch = decode("tapewatch", *({**TRADE, "symbol": symbol} for symbol in symbols)).batch
    assert [instrument.symbol for instrument in batch.instruments] == ["B", "A", "C"]
    assert batch.instrument.tolist() == [0, 1, 0, 2, 1]


def test_the_last_of_two_equal_keys_counts() -> None:
    assert events(decode("tapewatch", json.dumps(TRADE)[:-1] + ', "price": 9}').batch)[0]["price"] == 9.0
    assert only_reason("tapewatch", json.dumps(TRADE)[:-1] + ', "price": -9}')[0] == "out_of_bounds"


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"price": 1e300}, "out_of_bounds", "price: 1e+300 is not in (0, 1e+12]"),
        ({"price": 0}, "out_of_bounds", "price: 0 is not in (0, 1e+12]"),
        ({"size": -0.5}, "out_of_bounds", "size: -0.5 is not in [0, 1e+15]"),
        ({"price": None}, "missing_field", "price is missing"),
        ({"price": "2.5"}, "wrong_type", "price: '2.5' is not a number"),
        ({"price": 10**400}, "not_finite", "price: a number of about 400 digits"),
        ({"symbol": None}, "no_symbol", "symbol is missing"),
        ({"symbol": ""}, "no_symbol", "symbol is empty"),
        ({"symbol": 5}, "wrong_type", "symbol: 5 is not a text"),
        ({"symbol": "a\tb"}, "out_of_bounds", "symbol has characters that cannot be printed"),
        ({"venue": ""}, "no_venue", "venue is empty"),
        ({"trade_id": "x" * 257}, "out_of_bounds", "trade_id is longer than 256 characters"),
        ({"aggressor_side": "up"}, "unknown_value", "aggressor_side: 'up' is none of buy, sell, none"),
        ({"aggressor_side": 1}, "wrong_type", "aggressor_side: 1 is not a text"),
        ({"sequence": 1.5}, "wrong_type", "sequence: 1.5 is not a whole number"),
        ({"sequence": 2**53 + 1}, "out_of_bounds", "sequence: 9007199254740993 is not in"),
        ({"ts_event": -1}, "out_of_bounds", "ts_event: -1 is not in [0, 7258118400000000000]"),
        ({"event_type": "tick"}, "unknown_kind", "event_type: 'tick' is no kind of event"),
        ({"event_type": None}, "unknown_kind", "event_type: None is no kind of event"),
    ],
)
def test_a_refusal_says_what_is_wrong(change: dict[str, Any], reason: str, detail: str) -> None:
    found, text = only_reason("tapewatch", {**TRADE, **change})
    assert found == reason
    assert text.startswith(detail)


def test_an_event_without_a_kind_is_told_so() -> None:
    assert only_reason("tapewatch", {"symbol": "X"}) == ("missing_field", "event_type is missing")


def test_a_list_of_no_events_is_counted() -> None:
    found = TapewatchFormat().decode([Record(0, b"[]")], DecodeContext("events", "here"))
    assert len(found.batch) == 0
    assert not found.dead
    assert found.ignored == {"empty_list": 1}
