from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from decoding.decode_once import NO_TIME, RECEIVED_NS, a_format, decode, events, only_reason
from decoding.fuzz import AT_MS, IGNORED, fuzz_messages
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.formats import DecodeContext
from streamer.messages.records import Record

TRADE: dict[str, Any] = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000",
    "q": "0.02000000", "T": 1723161255342, "m": True, "M": True,
}  # fmt: skip
BOOK: dict[str, Any] = {
    "u": 50093239212, "s": "BTCUSDT", "b": "61837.63", "B": "3.78826", "a": "61837.64", "A": "1.54698",
}  # fmt: skip
PERP_BOOK = {"e": "bookTicker", **BOOK, "T": 1723161256313, "E": 1723161256314}


def _enveloped(event: object, stream: str = "btcusdt@trade") -> dict[str, Any]:
    return {"stream": stream, "data": event}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("write", [json.dumps, _compact, lambda value: _compact(_enveloped(value))])
def test_a_trade(write: Any) -> None:
    (event,) = events(decode("binance", write(TRADE)).batch)
    assert event == {
        "kind": "trade",
        "instrument": ("here", "BTCUSDT"),
        "ts": 1723161255342 * 10**6,
        "record_ts": RECEIVED_NS,
        "at": (0, 0),
        "aggressor_side": "sell",
        "price": 61837.63,
        "size": 0.02,
        "trade_id": "3735683259",
    }


def test_the_maker_is_on_the_other_side() -> None:
    bought, sold = {**TRADE, "m": False}, {**TRADE, "m": True}
    sides = [event["aggressor_side"] for event in events(decode("binance", bought, sold).batch)]
    assert sides == ["buy", "sell"]


def test_an_aggregated_trade() -> None:
    aggregated = {**TRADE, "e": "aggTrade", "a": 5, "f": 1, "l": 3}
    (event,) = events(decode("binance", _compact(aggregated)).batch)
    assert (event["kind"], event["trade_id"], event["price"]) == ("trade", "5", 61837.63)


@pytest.mark.parametrize("write", [_compact, lambda value: _compact(_enveloped(value, "btcusdt@bookTicker"))])
def test_spots_quote_takes_its_records_time_and_futures_has_its_own(write: Any) -> None:
    spot, perp = events(decode("binance", write(BOOK), write(PERP_BOOK)).batch)
    assert (spot["kind"], spot["ts"]) == ("quote", RECEIVED_NS)
    assert perp["ts"] == 1723161256313 * 10**6
    quoted = [spot[name] for name in ("bid_price", "bid_size", "ask_price", "ask_size")]
    assert quoted == [61837.63, 3.78826, 61837.64, 1.54698]
    assert quoted == [perp[name] for name in ("bid_price", "bid_size", "ask_price", "ask_size")]


def test_a_quote_without_any_time_is_refused() -> None:
    assert only_reason("binance", _compact(BOOK), timestamp=NO_TIME)[0] == "no_time"
    assert len(decode("binance", _compact(PERP_BOOK), timestamp=NO_TIME).batch) == 1


def test_the_transactions_time_goes_before_the_messages() -> None:
    later = {**PERP_BOOK, "T": None}
    assert events(decode("binance", _compact(later)).batch)[0]["ts"] == 1723161256314 * 10**6


def test_there_is_no_venue_but_the_settings() -> None:
    assert a_format("binance").needs_venue
    assert only_reason("binance", TRADE, venue=None)[0] == "no_venue"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"result": None, "id": 1}, "subscription_ack"),
        ({"lastUpdateId": 1, "bids": [], "asks": []}, "depth_snapshot"),
        (_enveloped({"lastUpdateId": 1, "bids": [], "asks": []}, "btcusdt@depth20"), "depth_snapshot"),
        (_enveloped({"e": "depthUpdate", "b": [], "a": []}, "btcusdt@depth@100ms"), "depthUpdate"),
        ({"e": "kline", "s": "BTCUSDT"}, "kline"),
        ({"error": {"code": 2, "msg": "no"}, "id": 1}, "request_error"),
        ({"code": -1121, "msg": "Invalid symbol."}, "request_error"),
        ({**TRADE, "p": "0", "q": "0", "X": "NA"}, "trade_NA"),
    ],
)
def test_what_is_known_and_not_used_is_counted(message: Any, name: str) -> None:
    for text in (json.dumps(message), _compact(message)):
        decoded = decode("binance", text, text)
        assert (len(decoded.batch), decoded.dead, dict(decoded.ignored)) == (0, (), {name: 2})


def test_a_truncated_depth_update_is_not_merely_counted() -> None:
    whole = _compact(_enveloped({"e": "depthUpdate", "b": [["1", "2"]]}, "btcusdt@depth"))
    assert only_reason("binance", whole[:-3])[0] == "bad_json"


def test_a_list_of_messages_in_one_envelope() -> None:
    decoded = decode("binance", _enveloped([TRADE, {**TRADE, "p": "-1"}, {**TRADE, "t": 6}], "!trade@arr"))
    assert [event["at"] for event in events(decoded.batch)] == [(0, 0), (0, 2)]
    assert [(letter.index, letter.reason) for letter in decoded.dead] == [(1, "out_of_bounds")]


def test_fuzzed_messages_become_what_they_must() -> None:
    messages = fuzz_messages(seed=7, n=20_000)
    records = [Record(at, message.value, AT_MS * 10**6) for at, message in enumerate(messages)]
    decoded = a_format("binance").decode(records, DecodeContext("topic", "here"))
    dead = {letter.offset: letter.reason for letter in decoded.dead}
    taken = set(decoded.batch.offset.tolist())
    wrong: Counter[tuple[str | None, str | None]] = Counter()
    for at, message in enumerate(messages):
        found = dead.get(at, None if at in taken else IGNORED)
        wrong[message.expected, found] += found != message.expected and message.expected != "ts_ahead"
    assert not +wrong
    expected = {message.expected for message in messages}
    by_decoder = {reason.value for reason in Reason} - {"ts_ahead", "too_many_instruments"}
    elsewhere = {
        "unknown_value",
        "no_time",
        "no_venue",
        "decoder_error",
        "wrong_unit",
        "damaged_range",
    }  # not from a value, or not here
    assert by_decoder - expected == elsewhere


def test_the_fuzz_is_the_same_for_the_same_seed() -> None:
    assert fuzz_messages(3, 500) == fuzz_messages(3, 500)
    assert fuzz_messages(3, 500) != fuzz_messages(4, 500)
    assert len(fuzz_messages(1, 5)) == 5


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**14)
    | st.floats()
    | st.sampled_from(
        ("1", "1.5", " 1", "1 ", "+1", "1_0", "nan", "inf", "", ".5", "1.", "1e5", "00012.5", "0x1", "1e400",
         "-0", "true", "null", "１２", "1e-400", "61837.63000000", "123456789012345678901234567890", "0.1e-5",
         "9007199254740993")
    )
    | st.decimals(allow_nan=False, allow_infinity=False, places=9).map(str)
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.sampled_from((TRADE, BOOK, PERP_BOOK, {**TRADE, "e": "aggTrade", "a": 9})), st.data())
def test_the_quick_way_and_the_slow_way_agree(base: dict[str, Any], data: st.DataObject) -> None:
    """White space in front hides the common kinds from the quick way; results must be the same."""
    event = dict(base)
    for name in data.draw(st.lists(st.sampled_from(sorted(base)), max_size=2)):
        event[name] = data.draw(scalars)
    if data.draw(st.booleans()):
        event.pop(data.draw(st.sampled_from(sorted(event))))
    stream = data.draw(st.sampled_from(("btcusdt@trade", "btcusdt@bookTicker", "")))
    text = _compact(_enveloped(event, stream) if stream else event)
    quick, slow = (decode("binance", text), decode("binance", " " * 200 + text))
    assert events(quick.batch) == events(slow.batch)
    assert [(letter.reason, letter.detail) for letter in quick.dead] == [
        (letter.reason, letter.detail) for letter in slow.dead
    ]
    assert quick.ignored == slow.ignored
