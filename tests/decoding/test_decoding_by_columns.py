"""By columns or one by one: the same events, dead letters and counts, whatever comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from decoding.decode_once import RECEIVED_NS, a_format
from decoding.odd_records import (
    each_odd,
    lines,
    mapped_event,
    market_event,
    odd_records,
    own_event,
    own_of_each_kind,
    text_of,
)
from decoding.test_real_captures import BITMEX, COINBASE
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.config.load import load
from streamer.decoding.column_decoding import MIN_BLOCK
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.decoding.formats import DecodeContext, Format
from streamer.decoding.instruments import MOST
from streamer.messages.batch import Batch, Decoded, Kind
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.sources.files.file_records import FileInput, FileRecords

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTEXT = DecodeContext("trades.ALFA", "here", source=1)


TRADE: dict[str, Any] = {"e": "trade", "E": 5, "s": "X", "t": 7, "p": "1.5", "q": "2", "T": 5, "m": True}


def told(batch: Batch) -> list[Any]:
    """All that a batch says of each event, numbers to the last bit."""
    names = {
        name: [None if code < 0 else batch.texts.strings[code] for code in column.tolist()]
        for name, column in batch.texts.items()
    }
    columns = {name: [each.hex() for each in column.tolist()] for name, column in batch.numbers.items()}
    for name, texts in names.items():
        assert texts == [batch.texts.text(name, row) for row in range(len(batch))]
    return [
        (
            Kind(int(batch.kind[row])),
            batch.instruments[batch.instrument[row]],
            *(
                int(column[row])
                for column in (batch.ts, batch.record_ts, batch.source, batch.offset, batch.index)
            ),
            {name: column[row] for name, column in columns.items() if column[row] != "nan"},
            {name: texts[row] for name, texts in names.items() if texts[row] is not None},
        )
        for row in range(len(batch))
    ]


def summed(parts: Sequence[Decoded]) -> tuple[list[Any], list[Any], dict[str, int], set[str], set[str]]:
    """What parts say together."""
    ignored: dict[str, int] = {}
    for part in parts:
        for name, count in part.ignored.items():
            ignored[name] = ignored.get(name, 0) + count
    return (
        [event for part in parts for event in told(part.batch)],
        [letter for part in parts for letter in part.dead],
        ignored,
        {name for part in parts for name in part.batch.numbers},
        {name for part in parts for name in part.batch.texts},
    )


def cut(found: Sequence[Record], size: int) -> list[Sequence[Record]]:
    return [found[at : at + size] for at in range(0, len(found), size)]


def one_by_one(form: Format, found: Sequence[Record], context: DecodeContext) -> Any:
    return summed([form.decode([record], context) for record in found])


def check(preset: object, found: list[Record], random: Random, context: DecodeContext = CONTEXT) -> None:
    form = a_format(preset)
    expected = one_by_one(form, found, context)
    assert MIN_BLOCK > 1, "so that single records are not read by columns"
    assert summed([form.decode(found, context)]) == expected
    block = RecordBlock.of(found)
    size = random.randint(MIN_BLOCK, len(found))
    assert summed([form.decode(part, context) for part in cut(block, size)]) == expected
    rows = np.array(sorted(random.sample(range(len(expected[0])), len(expected[0]) // 2)), np.intp)
    assert told(form.decode(block, context).batch.take(rows)) == [expected[0][row] for row in rows.tolist()]


seeds = st.integers(0, 2**32)
venues = st.sampled_from(("here", "here", None))


@settings(max_examples=15, deadline=None)
@given(seeds, venues)
def test_events_of_the_public_schema(seed: int, venue: str | None) -> None:
    random = Random(seed)
    found = odd_records(random, random.choice((60, 200)), own_event)
    check("tapewatch", found, random, DecodeContext("t", venue, 1))


@settings(max_examples=15, deadline=None)
@given(seeds, venues)
def test_events_of_binance(seed: int, venue: str | None) -> None:
    random = Random(seed)
    found = odd_records(random, random.choice((60, 200)), market_event)
    check("binance", found, random, DecodeContext("t", venue, 1))


def test_every_odd_value_in_every_field_of_the_public_schema() -> None:
    found = each_odd(
        own_of_each_kind(), ("venue", "event_id", "reason", "conditions", "correction", "leaves_size")
    )
    assert len(found) > 3000
    check("tapewatch", found, Random(1))


def test_every_odd_value_in_every_field_of_binance() -> None:
    book = {"e": "bookTicker", "u": 7, "s": "X", "b": "1", "B": "2", "a": "3", "A": "4", "T": 5, "E": 6}
    nameless = {name: value for name, value in book.items() if name not in {"e", "T", "E"}}
    check("binance", each_odd([TRADE, {**TRADE, "e": "aggTrade", "a": 8}, book, nameless], ()), Random(1))


SNAPSHOT: dict[str, Any] = {"lastUpdateId": 7, "bids": [["1.5", "2"]] * 20, "asks": []}


def test_snapshots_of_depth_are_counted_by_columns() -> None:
    sound = [SNAPSHOT, {"stream": "x@depth20", "data": SNAPSHOT}]
    doubtful: list[dict[str, Any]] = [
        {**SNAPSHOT, "s": "X"},
        {**SNAPSHOT, "e": None},
        {"x": "depthUpdate", **SNAPSHOT},
        {**SNAPSHOT, "stream": "x", "data": {}},
        {**SNAPSHOT, "stream": "x", "data": SNAPSHOT},
        {**SNAPSHOT, "stream": None, "data": {}},
        {**SNAPSHOT, "stream": None, "data": TRADE},
        {**TRADE, "stream": "x", "data": SNAPSHOT},
        {**TRADE, "stream": 5, "data": TRADE},
        {"data": SNAPSHOT},
        {"stream": "x"},
        {"stream": "depthUpdate", "data": SNAPSHOT},
        {"u": 7, "s": "X", "b": "1", "B": "2", "a": "3", "A": "4", "lastUpdateId": "trade"},
    ]
    found = [Record(at, text_of(each).encode(), 5) for at, each in enumerate((sound + doubtful) * 5)]
    check("binance", found, Random(1))
    form = a_format("binance")
    assert form.decode(found[:: len(sound + doubtful)] * 4, CONTEXT).ignored == {"depth_snapshot": 20}
    assert _read_by_columns(form, found, CONTEXT) == 10


@pytest.mark.parametrize("preset", ["tapewatch", "binance"])
def test_a_sound_record_that_is_too_large_is_left(preset: str) -> None:
    sound = own_of_each_kind()[0] if preset == "tapewatch" else {**TRADE}
    sizes = (0, RECORD_MAX_BYTES - 400, RECORD_MAX_BYTES)
    found = [Record(at, text_of({**sound, "more": "x" * sizes[at % 3]}).encode(), 5) for at in range(60)]
    check(preset, found, Random(1))
    assert [letter.reason for letter in a_format(preset).decode(found, CONTEXT).dead] == ["too_large"] * 20


NUMBERS: Sequence[object] = (1, 2.5, "61837.63", 0.1, "1e3", 1234500, "00.5", 10**6)
TEXTS: Sequence[object] = ("A-17", "Ж", 7, "", None, "buy", -5)
NAMES: Sequence[object] = ("ALFA", "BRAVO", "x:CHARLIE", 17, 99)
ISO: Sequence[object] = (
    "2024-08-08T14:30:00.123Z", "2024-02-29 23:59:59Z", "2023-02-29T00:00:00Z", "1970-01-01T00:00:00Z",
    "2024-12-31T23:59:60Z", "2000-02-29T12:00:00.123456789987+05:30", "1970-01-01T00:00:00+00:01",
    "2199-12-31T23:59:59.999999999-00:00", "2200-01-01T00:00:00.000000001Z", "2024-08-08T14:30:00-0530",
    "2100-02-29T00:00:00Z", "2024-08-08T24:00:00Z", "2024-08-08T14:30:00,5z", "2024-08-08T14:30:00 UTC",
    "2024-13-01T00:00:00Z", "2024-00-10T00:00:00Z", "2024-04-31T00:00:00Z", "2024-08-08T14:30:00.Z",
    "2024-08-08T14:30:00+24:00", "2024-08-08T14:30:00+05:60", "2024-08-08t14:30:00Z", "2024-08-08T14:30:00",
)  # fmt: skip
COUNTS: Sequence[object] = (
    0, 5, 1723161255, 1723161255342, 1723161255342123, 1723161255342123456, 1618677817.061845, 1618677817.5,
    1723161255342.25, 1723161255342.1234, 1e9, 0.1, 1e-7, 4.503599627370496e9, 4.6e9, -0.5,
    "1618677817.061845",
    "1618677817.0618451", "1618677817.0618451234567", "1723161255342", "1723161255342123456", "7258118400",
    "7258118401", "7258118400000000001", "9999999999999999999", "1.", ".5", "0.9999999999", "-1",
    "1e9", " 5", "5 ",
)  # fmt: skip

MAPPINGS: Mapping[str, tuple[Any, Mapping[str, Sequence[object]]]] = {
    "one kind, nested paths": (
        {
            "event_type": "trade", "symbol": "m.id", "venue": "m.venue", "ts_event": {"path": "m.t",
            "unit": "ms"},
            "ts_recv": {"path": "m.t", "unit": "ms"}, "sequence": "n",
            "trade": {
                "price": "d.px", "size": "d.q", "trade_id": "n", "conditions": "^.c",
                "aggressor_side": {"path": "d.m", "map": {True: "sell", False: "buy"}},
            },
        },
        {
            "m.id": NAMES, "m.venue": ("v", "w", "v", ""), "m.t": COUNTS, "n": (1, "2", 3.0, 2**53, "9" * 18),
            "d.px": NUMBERS, "d.q": NUMBERS, "c": TEXTS, "d.m": (True, False),
        },
    ),
    "kinds by a map of all sorts": (
        {
            "event_type": {
                "path": "type", "map": {"match": "trade", 9: "quote", True: "status", "-3": "order",
                "beat": "heartbeat"},
                "ignore": ["ping", 1, False],
            },
            "symbol": {"path": "sym", "pattern": "(?:x:)?([A-Z0-9]+)", "map": {"ALFA": "A",
            "CHARLIE": "C", 17: "S"}},
            "account_id": {"path": "acc", "map": {"A-17": "first", 7: "seventh", "Ж": "third", -5: "buy"}},
            "trade": {"price": {"path": "px", "scale": 1e-4}, "size": {"path": "q", "scale": 100},
            "symbol": "pair"},
            "quote": {
                "bid_price": {"path": "px", "scale": 0.03}, "bid_size": "q", "ask_price": "a",
                "ask_size": {"constant": 5},
                "event_id": {"constant": "from a map"},
            },
            "order": {"order_id": "pair", "action": {"path": "acc", "map": {7: "new", "A-17": "cancel"}},
                      "side": {"constant": "buy"}, "size": "q", "price": "px"},
            "status": {"state": {"path": "sym", "map": {"ALFA": "halt", "BRAVO": "close"}}},
        },
        {
            "type": ("match", 9, True, -3, "-3", "beat", "9", "true", "ping", 1, "1", False, 0, "other", 9.0),
            "sym": NAMES, "acc": TEXTS, "px": NUMBERS, "q": NUMBERS, "a": NUMBERS, "pair": (*NAMES, "BRAVO"),
        },
    ),
    "the topic's name, a metric, ISO": (
        {
            "event_type": {"path": "k"}, "symbol": {"from": "topic", "pattern": r"trades\.(.+)"},
            "venue": {"constant": "mine"}, "ts_event": {"path": "at", "unit": "iso"},
            "metric": {"value": {"path": "v", "scale": 0.001}}, "quote": {
                "bid_price": "v", "bid_size": "v", "ask_price": {"constant": 2}, "ask_size": {"constant": 0}},
        },
        {"k": ("metric", "metric", "quote", "trade"), "at": ISO, "v": NUMBERS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*MAPPINGS, "s", "us", "ns"])
@settings(max_examples=10, deadline=None)
@given(seed=seeds, venue=venues)
def test_events_of_ones_own(name: str, seed: int, venue: str | None) -> None:
    if name in MAPPINGS:
        mapping, values = MAPPINGS[name]
    else:
        time = {"path": "t", "unit": name}
        mapping = {
            "event_type": "metric", "symbol": {"constant": "X"}, "ts_event": time,
            "metric": {"value": "v"}, "ts_recv": time,
        }  # fmt: skip
        values = {"t": COUNTS, "v": NUMBERS}
    random = Random(seed)
    found = odd_records(random, random.choice((60, 150)), mapped_event(values))
    check(mapping, found, random, DecodeContext("trades.ALFA", venue, 1))


def test_every_odd_value_in_every_field_of_a_mapping() -> None:
    mapping = {
        "event_type": {"path": "k", "map": {1: "trade", "o": "order", False: "status"}, "ignore": ["x"]},
        "symbol": {"path": "s", "pattern": "(.*)"}, "venue": "v", "ts_event": {"path": "t", "unit": "ns"},
        "ts_recv": {"path": "r", "unit": "iso"}, "sequence": "n", "event_id": "i",
        "trade": {"price": {"path": "p", "scale": 0.01}, "size": "q", "aggressor_side": "b"},
        "order": {"order_id": "i", "action": {"path": "b", "map": {5: "new", True: "cancel", "x": "fill"}},
                  "side": "b", "size": "q", "leaves_size": "p"},
        "status": {"state": {"path": "b", "map": {"buy": "halt", -1: "close"}}},
    }  # fmt: skip
    event = {
        "s": "X",
        "v": "w",
        "t": 5,
        "r": "2021-04-17T16:43:52Z",
        "n": 1,
        "i": "7",
        "p": 1,
        "q": 2,
        "b": "buy",
    }
    check(mapping, each_odd([{"k": kind, **event} for kind in (1, "o", False, "x")], ()), Random(1))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.floats(0, 1e16) | st.integers(0, 2**63) | st.decimals(0, 8 * 10**9, places=9), min_size=50)
)
def test_times_of_any_value(counts: list[Any]) -> None:
    for unit in ("s", "ms", "us"):
        time = {"path": "t", "unit": unit}
        mapping = {"event_type": "heartbeat", "symbol": {"constant": "X"}, "ts_event": time}
        values = [
            f'{{"t": {count if isinstance(count, int | float) else f"{chr(34)}{count}{chr(34)}"}}}'
            for count in counts
        ]
        found = [Record(at, value.encode(), RECEIVED_NS) for at, value in enumerate(values)]
        assert summed([a_format(mapping).decode(found, CONTEXT)]) == one_by_one(
            a_format(mapping), found, CONTEXT
        )


@pytest.fixture(scope="module")
def example() -> Any:
    """The sources of the shipped example of a mapping."""
    return load(EXAMPLES / "generic.yaml").settings.source


def _market(file: Path) -> list[Record]:
    return list(FileRecords(FileInput(file, "ns")))


def _executions(seed: int) -> list[Record]:
    """As the example's own comment shows them."""
    random = Random(seed)
    found = []
    for number in range(500):
        event: dict[str, Any] = {
            "product": random.choice(("ACME", "BOLT")),
            "account": f"A-{random.randrange(9)}",
        }
        event["at"] = f"2024-08-08T14:{random.randrange(60):02d}:00.{random.randrange(1000):03d}Z"
        if number % 50 == 0:
            event["type"] = "ping"
        elif number % 3:
            event |= {
                "type": "match",
                "px": 1234500 + number,
                "qty": 100,
                "maker": random.choice(("ask", "bid")),
            }
        else:
            event |= {"type": "top", "bid": 1234500, "bid_qty": 5, "ask": 1234600 + number, "ask_qty": 7}
        found.append(Record(number, text_of(event).encode(), RECEIVED_NS))
    return found


def _read_by_columns(form: Format, found: list[Record], context: DecodeContext) -> int:
    """How many of so many records are not left to be read one by one."""
    columns = form.columns(RecordBlock.of(found), context)
    assert columns is not None
    return len(found) - len(columns.slow)


def _whole(preset: object, found: list[Record], topic: str, taken: float) -> None:
    """A capture of which nearly all is plain: the same by columns, and really read by them."""
    form, context = a_format(preset), DecodeContext(topic, "here")
    parts = [form.decode(part, context) for part in cut(found, MIN_BLOCK - 1)]
    for size in (len(found), 1000, MIN_BLOCK):
        assert summed([form.decode(part, context) for part in cut(found, size) if len(part)]) == summed(parts)
    assert _read_by_columns(form, found, context) >= taken * len(found)


@pytest.mark.parametrize("name", ["spot_btcusdt.gz", "usdm_btcusdt.gz"])
def test_captures_of_binance_are_read_by_columns(captures: Path, name: str) -> None:
    _whole("binance", _market(captures / name)[:2000], name, 0.99)


def test_a_capture_in_the_public_schema_is_read_by_columns() -> None:
    found = [Record(at, line, RECEIVED_NS) for at, line in enumerate(lines("tapewatch.jsonl.gz"))]
    _whole("tapewatch", found, "t", 1.0)


def test_the_shipped_mappings_are_read_by_columns(captures: Path, example: Any) -> None:
    table = list(FileRecords(FileInput(captures / "trades.csv.gz")))
    _whole(example.files[0].format, table, "APPC_2020-11-18.csv.gz", 1.0)
    _whole(example.topics[0].format, _executions(3), "executions", 1.0)


@pytest.mark.parametrize(
    "part",
    [
        {"events": "data"},
        {"symbol": {"from": "key"}},
        {"trade": {"price": "levels.0.1", "size": "q"}},
        {"trade": {"price": "p", "size": "p.q"}},
        {"trade": {"price": "p", "size": "q", "trade_id": "p"}},
        {"sequence": {"path": "n", "scale": 10}},
        {"sequence": {"constant": 1.5}},
        {"trade": {"price": {"constant": -1}, "size": "q"}},
        {"trade": {"price": "a.b.c.d.e.f.g.h.i", "size": "q"}},
    ],
)
def test_mappings_that_are_not_plain_are_read_one_by_one(part: dict[str, Any]) -> None:
    plain = {"event_type": "trade", "symbol": "s", "trade": {"price": "p", "size": "q"}}
    form = a_format({**plain, **part})
    block = RecordBlock.of([Record(0, b'{"s":"X","p":1,"q":2}')])
    assert form.columns(block, CONTEXT) is None
    assert a_format(plain).columns(block, CONTEXT) is not None


def test_a_mapping_by_the_records_key_sees_the_keys_of_many_records() -> None:
    form = a_format({"event_type": "heartbeat", "symbol": {"from": "key"}})
    found = [Record(at, b"{}", 5, f"S{at % 3}".encode()) for at in range(2 * MIN_BLOCK)]
    batch = form.decode(found, CONTEXT).batch
    assert [batch.instruments[row].symbol for row in batch.instrument] == [
        f"S{at % 3}" for at in range(2 * MIN_BLOCK)
    ]


def test_instruments_keep_their_numbers_from_block_to_block() -> None:
    form = a_format("tapewatch")
    event = b'{"event_type":"heartbeat","symbol":"%s","venue":"%s","ts_event":1}'
    names = [(f"S{at % 7}", f"V{at % 2}") for at in range(2 * MIN_BLOCK)]
    found = [Record(at, event % (s.encode(), v.encode())) for at, (s, v) in enumerate(names)]
    first, second = form.decode(found, CONTEXT).batch, form.decode(found[::-1], CONTEXT).batch
    assert first.instruments is second.instruments
    assert first.instrument.tolist() == second.instrument.tolist()[::-1]


def test_instruments_without_end_are_not_remembered_without_end() -> None:
    form, many = a_format("binance"), MOST + 3 * 5000
    event = b'{"e":"trade","s":"\\u0041%d","t":1,"p":"1","q":"1","T":5,"m":true}'  # the escape: one by one
    most = 0
    for first in range(0, many, 5000):
        batch = form.decode([Record(at, event % at) for at in range(first, first + 5000)], CONTEXT).batch
        assert batch.instruments[batch.instrument[-1]].symbol == f"A{first + 4999}"
        most = max(most, len(batch.instruments))
    assert most <= MOST + 5000


def test_a_batch_of_many_venues_is_read_one_by_one() -> None:
    form = a_format("tapewatch")
    event = b'{"event_type":"trade","venue":"v%d","symbol":"X","ts_event":5,"price":2,"size":1}'
    found = [Record(at, event % (at % 100)) for at in range(1000)]
    columns = form.columns(RecordBlock.of(found), CONTEXT)
    assert columns is not None
    assert len(columns.slow) == 1000
    batch = form.decode(found, CONTEXT).batch
    assert [batch.instruments[row].venue for row in batch.instrument] == [
        f"v{at % 100}" for at in range(1000)
    ]


REAL: Mapping[str, tuple[object, Any, float | None]] = {
    "binance/spot_btcusdt_20240808.gz": ("binance", "ns", 0.99),
    "binance/spot_ethusdt_20240808.gz": ("binance", "ns", 0.99),
    "binance/usdm_btcusdt_20240808.gz": ("binance", "ns", 0.99),
    "captures/COINBASE.ws.28.0.gz": (COINBASE, "s", 0.95),
    "captures/BITMEX.ws.1.0.gz": (BITMEX, "s", None),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_captures_are_the_same_by_columns(data_dir: Path | None, name: str) -> None:
    if data_dir is None:
        pytest.skip("TAPEWATCH_DATA is not set; the committed captures are read in any case")
    preset, unit, taken = REAL[name]
    found = list(FileRecords(FileInput(data_dir / name, unit)))[:6_000]
    form, context = a_format(preset), DecodeContext(name, "here")
    parts = [form.decode(part, context) for part in cut(found, MIN_BLOCK - 1)]
    assert summed([form.decode(part, context) for part in cut(found, 5000)]) == summed(parts)
    if taken is not None:
        assert _read_by_columns(form, found, context) >= taken * len(found)
