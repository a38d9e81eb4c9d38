"""What a sample of a topic tells: counts and ranges, or the first mistake, wrong units and scales."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from alerts.receivers.safe_console import LineTable
from streamer.app.sampled_events import SampledEvents, decode_sample
from streamer.app.sampled_prices import OddPrices, odd_prices
from streamer.app.topic_checks import TopicCheck
from streamer.cli.check_tables import topic_table
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
    raw = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value in values]
    records = [Record(40 + n, value, NOW_NS) for n, value in enumerate(raw)]
    return decode_sample(plan, topic, SampledTopic({3: records}, is_empty=not records))


def shown(table: LineTable) -> str:
    console = Console(width=200, file=StringIO())
    console.print(table)
    return cast(StringIO, console.file).getvalue()


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
    assert "the event times of 3 of 3 records are past their records' by up to 5h" in ahead.problems[0]
    old = sampled([mine(-900 * 86_400 * 10**9)] * 3, MAPPING % "ms")
    assert not old.problems, "a capture that is published again"
    assert "event times are 900d before their records'" in old.notes[0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda n: NOW_NS // 1_000 if n % 5 == 0 else NOW_NS, "wrong_unit: the event times of 24 of 120"),
        (lambda n: NOW_NS // 1_000 if n % 2 else NOW_NS, "wrong_unit: the event times of 60 of 120"),
        (lambda n: NOW_NS if n % 5 == 0 else NOW_NS // 1_000, "wrong_unit: the event times of 96 of 120"),
        (lambda n: NOW_NS if n < 80 else NOW_NS // 10**6, "wrong_unit: the event times of 40 of 120"),
        (lambda n: NOW_NS if n % 5 else NOW_NS + 3_600 * 10**9, "ts_ahead: the event times of 24 of 120"),
        (lambda n: NOW_NS if n % 5 else 0, "wrong_unit: the event times of 24 of 120"),
    ],
)
def test_wrong_times_among_right_ones_are_counted_as_dead_letters_are(
    wrong: Callable[[int], int], told: str
) -> None:
    found = sampled([event(ts_event=wrong(n) + n % 2) for n in range(120)])
    (problem,) = found.problems
    assert problem.startswith(told)
    first = next(n for n in range(120) if wrong(n) != NOW_NS)
    assert f"the first: xex.t[3] offset {40 + first}" in problem
    assert "unit us" not in problem, "one unit is not right for all"


def test_a_single_wrong_time_is_told_and_no_problem() -> None:
    few = sampled([event(ts_event=NOW_NS // 1_000 if n == 7 else NOW_NS) for n in range(99)])
    assert not few.problems
    (told,) = few.notes
    assert told.startswith("wrong_unit: the event times of 1 of 99 records are in another unit")
    assert "the first: xex.t[3] offset 47" in told


@pytest.mark.parametrize("old_days", [2, 30])
@pytest.mark.parametrize("wrong", [24, 60])
def test_wrong_units_are_told_where_all_right_times_are_old(old_days: int, wrong: int) -> None:
    """A capture that is published again, or a weekend's backlog: no right time is near its record's."""
    old = NOW_NS - old_days * 86_400 * 10**9
    every = 120 // wrong
    found = sampled([event(ts_event=NOW_NS // 10**6 if n % every == 1 else old) for n in range(120)])
    (problem,) = found.problems
    assert problem.startswith(f"wrong_unit: the event times of {wrong} of 120 records")
    assert found.notes == (f"event times are {old_days}d before their records'",)


def test_times_of_a_kind_that_is_wrong_in_one_partition_are_told_with_it() -> None:
    plan = compile_plan(
        load_text("source: {kafka: {bootstrap: 'x:1'}, topics: [{match: t, format: tapewatch}]}")
    )
    times = {0: NOW_NS, 1: NOW_NS // 10**6, 2: NOW_NS}
    parts = {
        number: [Record(n, json.dumps(event(ts_event=at)).encode(), NOW_NS) for n in range(40)]
        for number, at in times.items()
    }
    found = decode_sample(plan, "t", SampledTopic(parts, is_empty=False))
    assert found.said.startswith("80 of 120 are events")
    assert found.dead == 40
    assert "the event times of 40 of 120 records" in found.problems[0]
    assert "the first: t[1] offset 0" in found.problems[0]


def test_bids_above_asks_in_nearly_all_quotes_are_swapped_paths() -> None:
    quote = {"type": "q", "b": 10.02, "bs": 1, "a": 10.01, "as": 1}
    right = {**quote, "a": 10.03}
    (problem,) = sampled([mine(0, **quote)] * 19 + [mine(0, **right)], MAPPING % "ms").problems
    assert problem.startswith("crossed: in 19 of 20 quotes the bid is above the ask")
    assert not sampled([mine(0, **quote)] * 9 + [mine(0, **right)] * 9, MAPPING % "ms").problems
    auction = sampled([mine(0, **quote)] * 3, MAPPING % "ms")
    assert not auction.problems, "a few may be crossed honestly"
    assert auction.notes[0].startswith("crossed: in 3 of 3 quotes the bid is above the ask")


def priced(topic: str, price: float, count: int = 5, form: str = MAPPING % "ms") -> SampledEvents:
    if form == "tapewatch":
        return sampled([event(price=price)] * count, form, topic)
    return sampled([mine(0, p=price)] * count, form, topic)


def test_the_topic_whose_prices_differ_from_most_by_a_power_of_ten_is_told() -> None:
    quote = {"type": "q", "b": 9.99, "bs": 1, "a": 10.01, "as": 1}
    both = sampled([mine(0), mine(0, **quote)] * 5, MAPPING % "ms", "xex.a")
    high, low = priced("xex.b", 1_001.0), priced("xex.c", 0.1)
    assert odd_prices({"xex.a": both}) == {}
    found = odd_prices({"xex.a": both, "xex.b": high, "xex.c": low})
    assert found == {"xex.b": OddPrices(found["xex.b"].problems), "xex.c": OddPrices(found["xex.c"].problems)}
    (told,) = found["xex.b"].problems
    assert told.startswith(
        "wrong_scale: trade price of ACME is 1,001, 100 times its trade price in xex.a (10)"
    )
    assert told.endswith("give it a scale, such as `{path: …, scale: 0.01}`")
    assert "0.1, 1/100 of its trade price" in found["xex.c"].problems[0]
    assert found["xex.c"].problems[0].endswith("scale: 100}`")


def test_prices_that_contradict_each_other_are_told_on_both_sides_and_without_a_scale() -> None:
    one, other = priced("xex.a", 10.0), priced("xex.b", 1_000.0)
    found = odd_prices({"xex.a": one, "xex.b": other})
    assert [len(each.problems) for each in found.values()] == [1, 1]
    assert all(each.problems[0].endswith("a mapping can give a field a `scale`") for each in found.values())


def test_a_few_wrong_prices_are_a_note_and_no_preset_is_told_to_scale() -> None:
    right = {"xex.a": priced("xex.a", 10.0), "xex.b": priced("xex.b", 10.0)}
    found = odd_prices({**right, "xex.c": priced("xex.c", 1_000.0, count=1)})
    assert (list(found), found["xex.c"].problems, len(found["xex.c"].notes)) == (["xex.c"], (), 1)
    found = odd_prices({**right, "xex.c": priced("xex.c", 1_000.0, form="tapewatch")})
    assert "the preset tapewatch takes prices as they are" not in str(found), (
        "another venue, so no comparison"
    )
    venue = (MAPPING % "ms").replace("xex", "x")
    right = {topic: priced(topic, 10.0, form=venue) for topic in right}
    found = odd_prices({**right, "xex.c": priced("xex.c", 1_000.0, form="tapewatch")})
    assert (
        found["xex.c"]
        .problems[0]
        .endswith("the preset tapewatch takes prices as they are, so look at the producer")
    )


def test_many_dead_letters_are_a_problem_and_a_few_are_counted() -> None:
    many = sampled([event(n=n) for n in range(100)] + [{}] * 100)
    assert many.dead == 100
    assert many.problems[0].startswith("100 dead letters, the first: xex.t[3] offset 140")
    few = sampled([event(n=n) for n in range(190)] + [{}] * 10)
    assert (few.dead, few.problems, len(few.notes)) == (10, (), 1)
    check = TopicCheck("xex.t", 1, few.said, few.problems, few.notes, dead=few.dead)
    assert "ok, 10 dead" in shown(topic_table([check]))


@pytest.mark.parametrize(
    ("value", "form", "ends"),
    [
        (
            None,
            "tapewatch",
            "the value is null; set `ignore: [tombstone]` beside its format if the topic is compacted",
        ),
        (
            gzip.compress(b"{}", mtime=0),
            "tapewatch",
            "; it looks gzip-compressed: decompress it before it is published",
        ),
        (event(symbol="A\x1b[2J"), "tapewatch", "; only the producer can mend that"),
        (
            event(price=None),
            "tapewatch",
            "; the preset tapewatch makes no event of it: mend the producer, or write a mapping of your own "
            "(docs/configuration.md)",
        ),
        (mine(0, q=-1), MAPPING % "ms", "; change `unit` or `scale` in its format"),
    ],
)
def test_each_mistake_is_told_with_what_mends_it(value: Any, form: str, ends: str) -> None:
    (problem,) = sampled([value], form).problems
    assert problem.endswith(ends)


def test_text_of_a_record_breaks_no_line() -> None:
    shown = sampled([b'{"type": "\x1b[2J\xe2\x80\xae", "a\\nb": 1}'], MAPPING % "ms")
    assert all(line.isprintable() for line in (shown.said, *shown.problems, *shown.notes))
