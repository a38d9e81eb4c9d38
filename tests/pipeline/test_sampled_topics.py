"""What a sample of a topic tells: counts and ranges, or the first mistake, wrong units and scales."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from streamer.app.sampled_events import SampledEvents, decode_sample
from streamer.app.sampled_prices import price_problems
from streamer.config.load import load_text
from streamer.messages.records import Record
from streamer.pipeline.compile import compile_plan
from streamer.sources.kafka.topic_sample import SampledTopic

NOW_NS = time.time_ns() // 10**9 * 10**9
MAPPING = """
event_type: {path: type, map: {t: trade, q: quote}}
symbol: s
venue: {constant: xex}
ts_event: {path: at, unit: %s}
trade: {price: p, size: q}
quote: {bid_price: b, bid_size: bs, ask_price: a, ask_size: as}
"""


def sampled(values: Sequence[Any], form: str = "tapewatch", topic: str = "xex.t") -> SampledEvents:
    form = (
        form.strip().replace("\n", ", ")
        if form == "tapewatch"
        else "{" + form.strip().replace("\n", ", ") + "}"
    )
    topic_entry = f"{{match: 'xex.*', format: {form}}}"
    plan = compile_plan(load_text(f"source: {{kafka: {{bootstrap: 'x:1'}}, topics: [{topic_entry}]}}"))
    raw = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    records = [Record(40 + n, value, NOW_NS) for n, value in enumerate(raw)]
    return decode_sample(plan, topic, SampledTopic({3: records}, is_empty=not records))


def event(kind: str = "trade", n: int = 0, **fields: Any) -> dict[str, Any]:
    own = {"price": 99.9 + n % 2 * 1.3, "size": 1.0} if kind == "trade" else {}
    return {"event_type": kind, "venue": "x", "symbol": "ACME", "ts_event": NOW_NS, **own, **fields}


def mine(at: int, unit: int = 10**6, **fields: Any) -> dict[str, Any]:
    return {"type": "t", "s": "ACME", "at": (NOW_NS + at) // unit, "p": 10.0, "q": 1.0, **fields}


def test_a_sample_that_decodes_says_what_it_holds() -> None:
    others = [event("status", state="halt"), event("heartbeat")]
    found = sampled([*(event(n=n) for n in range(198)), *others])
    assert found.said == (
        "200 of 200 are events; price 99.9 to 101.2; 3 kinds (trade, status, heartbeat); 1 instrument"
    )
    assert not found.problems
    assert not found.notes
    assert found.fields is not None
    assert found.fields["trade"] == {"price", "size"}
    assert sampled([]).said.startswith("empty")
    assert not sampled([]).problems


def test_a_mapping_that_decodes_nothing_tells_the_first_mistake_with_its_record() -> None:
    found = sampled([{"type": "t", "s": "A", "at": NOW_NS // 10**6, "px": 1.5, "q": 1}] * 5, MAPPING % "ms")
    (problem,) = found.problems
    assert problem.startswith("first mistake: xex.t[3] offset 40: missing_field: price is missing in {")
    assert "change the paths of its format: the record has type, s, at, px, q" in problem
    assert found.said.startswith("0 of 5 are events")
    kind = sampled([{"type": "new", "s": "A"}], MAPPING % "ms").problems[0]
    assert "unknown_kind" in kind
    assert "map the word in `event_type`, or put it under `ignore`" in kind
    assert "formats read JSON objects" in sampled([b"\x00\x01avro"]).problems[0]
    binance = {"e": "trade", "E": 1, "s": "B", "t": 1, "p": "1", "q": "1", "T": NOW_NS // 10**6, "m": True}
    assert "the preset binance reads it: `format: binance`" in sampled([binance] * 3).problems[0]
    part = sampled([event(), event(price=None)])
    assert not part.problems
    assert part.notes[0].startswith("1 dead letter, the first: xex.t[3] offset 41: missing_field")


@pytest.mark.parametrize(
    ("declared", "unit", "told"),
    [
        ("ns", 10**6, "read in ns; in ms they are of"),
        ("ms", 10**9, "read in ms; in s they are of"),
        ("us", 10**6, "read in us; in ms they are of"),
        ("ms", 1_000, "declare unit us"),
        ("s", 10**6, "declare unit ms"),
    ],
)
def test_times_in_another_unit_are_told_with_the_one_that_fits(declared: str, unit: int, told: str) -> None:
    (problem,) = sampled([mine(0, unit)] * 3, MAPPING % declared).problems
    assert "wrong_unit" in problem
    assert told in problem
    assert sampled([mine(0, unit)] * 3, MAPPING % {10**6: "ms", 10**9: "s", 1_000: "us"}[unit]).problems == ()


def test_times_that_are_ahead_or_old_are_told() -> None:
    ahead = sampled([mine(5 * 3_600 * 10**9)] * 3, MAPPING % "ms")
    assert "3 of 3 event times are past their records' by up to 5h" in ahead.problems[0]
    old = sampled([mine(-900 * 86_400 * 10**9)] * 3, MAPPING % "ms")
    assert not old.problems, "a capture that is published again"
    assert "event times are 900d before their records'" in old.notes[0]


def test_prices_that_are_off_by_a_power_of_ten_are_told() -> None:
    quote = {"type": "q", "b": 9.99, "bs": 1, "a": 10.01, "as": 1}
    right = sampled([mine(0), mine(0, **quote)], MAPPING % "ms", "xex.a")
    cents = sampled([mine(0, p=1_001.0)], MAPPING % "ms", "xex.b")
    assert price_problems({"xex.a": right}) == {}
    ((topic, lines),) = price_problems({"xex.a": right, "xex.b": cents}).items()
    assert topic == "xex.b"
    assert lines[0].startswith(
        "wrong_scale: trade price of ACME is 1,001, 100 times its trade price in xex.a"
    )
    assert "scale: 0.01" in lines[0]


def test_text_of_a_record_breaks_no_line() -> None:
    shown = sampled([b'{"type": "\x1b[2J\xe2\x80\xae", "a\\nb": 1}'], MAPPING % "ms")
    assert all(line.isprintable() for line in (shown.said, *shown.problems, *shown.notes))
