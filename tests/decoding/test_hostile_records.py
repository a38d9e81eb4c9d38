"""No record ends decoding, holds it up, or changes what the records around it become."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from decoding.decode_once import RECEIVED_NS, a_format, decode, events, reasons, records
from format_fuzz import MAPPINGS, fuzz, subjects
from hostile_values import hostile

from streamer.config.load import load_text
from streamer.decoding.batch_builder import EventHead
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats.generic import GenericFormat
from streamer.decoding.formats.record_decoding import DecodeCall, decode_each, decode_events
from streamer.messages.records import Partition, Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.task import Task

MIB = 1 << 20
TRADE = (
    b'{"event_type":"trade","e":"trade","s":"X","symbol":"X",'
    b'"p":"1","q":"2","price":1,"size":2,"T":5,"m":true'
)


def trade(more: bytes) -> bytes:
    return TRADE + b"," + more + b"}"


def filled(begin: bytes, unit: bytes, end: bytes) -> bytes:
    """As many units as 1 MiB takes."""
    return begin + unit * ((MIB - len(begin) - len(end)) // len(unit)) + end


def listed(unit: bytes, first: bytes = b"0") -> bytes:
    return filled(trade(b'"x":[' + first)[:-1], b"," + unit, b"]}")


HOSTILE: Mapping[str, bytes] = {
    "unclosed string in brackets": filled(b"[" * 301 + b'"', b'\\"', b""),
    "closed string in brackets": filled(b"[" * 301 + b'"', b'\\"', b'"' + b"]" * 301),
    "brackets": b"[" * MIB,
    "pairs of brackets": listed(b"[]"),
    "nested lists": listed(b"[" * 290 + b"]" * 290),
    "unclosed pairs": filled(b"", b"[]", b""),
    "backslashes": filled(b'"', b"\\", b""),
    "quotes": b'"' * MIB,
    "digits": filled(trade(b'"T":1')[:-1], b"1", b"}"),
    "digits of a time, then a letter": filled(trade(b'"T":"1')[:-1], b"1", b'x"}'),
    "digits of a price, then a letter": filled(trade(b'"p":"1')[:-1], b"1", b'x"}'),
    "digits after the point": filled(trade(b'"T":"1.')[:-1], b"7", b'x"}'),
    "digits of an exponent": filled(trade(b'"T":"1e-')[:-1], b"9", b'"}'),
    "zeros": filled(trade(b'"T":"-')[:-1], b"0", b'"}'),
    "blanks": b" " * MIB,
    "numbers and NaN": listed(b"1", b"NaN"),
    "large numbers and NaN": listed(b"9" * 400, b"NaN"),
    "numbers too long to be read": listed(b"9" * 4301),
    "halves of surrogate pairs": filled(trade(b'"x":"')[:-1], b"\\ud800", b'"}'),
    "surrogate pairs, numbers and NaN": listed(b"1", b'NaN,"\\ud83d\\ude80"'),
    "a comma too many": listed(b"1")[:-3] + b",]}",
    "levels that are none at last": listed(b'["1","2"]')[:-8] + b"]]}",
    "one key": filled(b'{"', b"k", b'":1}'),
    "keys": b"{" + b",".join(b'"%x":1' % key for key in range(95_000)) + b"}",
    "keys in place of a kind": trade(b'"e":{' + b",".join(b'"%x":1' % key for key in range(95_000)) + b"}"),
    "the same key": filled(b'{"e":1', b',"e":1', b"}"),
    "a long name": filled(trade(b'"s":"')[:-1], b"x", b'"}'),
    "escapes": filled(trade(b'"s":"')[:-1], b"\\n", b'"}'),
    "bad UTF-8 at last": filled(trade(b'"x":"')[:-1], b"\xc3\xa9", b'\xff"}'),
    "empty events": b"[" + b"{}," * 9_999 + b"{}]",
    "bad events": b"[" + b",".join([TRADE + b',"price":-1,"p":"x"}'] * 8_300) + b"]",
}
PLAIN = (
    b"["
    + b",".join([trade(b'"E":1723161255342,"t":%d' % (10**9 + number)) for number in range(7_000)])
    + b"]"
)
PRESETS = ["tapewatch", "binance", MAPPINGS["plain"][0]]


def seconds(settings: object, value: bytes, *, block: bool) -> float:
    """The least of some runs: others have the machine, too."""
    form, found = a_format(settings), records([value] + [b""] * (40 if block else 0))
    form.decode(found, DecodeContext("t", "here"))
    taken = []
    for _ in range(2):
        began = time.process_time()
        form.decode(found, DecodeContext("t", "here"))
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=[] if name == "generic" else pytest.mark.long)
        for name, settings in zip(("tapewatch", "binance", "generic"), PRESETS, strict=True)
    ],
)
def test_no_shape_costs_much_more_than_plain_json(settings: object) -> None:
    assert len(PLAIN) < MIB
    allowed = 10 * max(seconds("binance", PLAIN, block=False), 0.02)
    for name, value in HOSTILE.items():
        assert len(value) <= MIB + 2, name
        assert seconds(settings, value, block=True) < allowed, name  # kernels, then the slow path


def test_hostile_records_raise_nothing_and_change_nothing() -> None:
    tally = fuzz(8_000, seed=3)
    assert tally.problems == []
    assert tally.events > 500
    assert len(tally.reasons) >= 10


def test_good_records_score_as_without_the_refused_ones() -> None:
    from random import Random

    for subject in subjects():
        if subject.name not in {"tapewatch", "binance", "generic, plain"}:
            continue
        random, context = Random(5), DecodeContext("t", "here")
        refused = []
        for number in range(400):
            value = hostile(random, random.choice(subject.good), random.choice(subject.good))
            decoded = subject.format.decode([Record(number, value, RECEIVED_NS)], context)
            if not len(decoded.batch):
                refused.append(value)
        assert len(refused) > 100
        good = list(subject.good) * 2
        assert _scores(subject.format, _mixed(random, good, refused)) == _scores(
            subject.format, [(value, True) for value in good]
        )


def _mixed(random: Any, good: list[bytes], refused: list[bytes | None]) -> list[tuple[bytes | None, bool]]:
    order = [True] * len(good) + [False] * len(refused)
    random.shuffle(order)
    sound, other = iter(good), iter(refused)
    return [(next(sound) if each else next(other), each) for each in order]


PLAN = """
source: {files: [{match: "t", format: tapewatch}]}
detectors:
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s]
    params: {n_trees: 3, height: 4, window_size: 20, seed: 7}
rules: {big: {when: size > 2 * size_mean_1h, severity: info}}
"""


def _scores(form: Any, values: list[tuple[bytes | None, bool]]) -> list[tuple[float, float, int]]:
    task = Task(compile_plan(load_text(PLAN)), Partition("t", "", 0))
    scores: list[tuple[float, float, int]] = []
    for start in range(0, len(values), 100):
        part = values[start : start + 100]
        found = [Record(start + at, value, RECEIVED_NS) for at, (value, _) in enumerate(part)]
        for each in task.step(form.decode(found, DecodeContext("t", "here"))).scores:
            rows = zip(each.score, np.nan_to_num(each.rarity, nan=-1), each.status, strict=True)
            scores += [(repr(float(score)), float(rarity), int(status)) for score, rarity, status in rows]  # type: ignore[misc]
    return scores


# ---------------------------------------------------------------- the last resort


def test_a_record_on_which_the_decoder_fails_is_refused_by_the_name_of_the_exception() -> None:
    def decode_one(value: bytes, record: Record, call: DecodeCall) -> None:
        def decode_event(event: object, index: int) -> None:
            call.builder.add(EventHead(5, "here", "X", 7), record, index, (), ())
            if event == b"bad":
                raise RecursionError("too\ndeep " + "x" * 1000)

        decode_events([value, b"bad"] if value == b"half" else value, record, call, decode_event)

    decoded = decode_each(records([b"a", b"bad", b"half", b"b"]), DecodeContext("t"), decode_one)
    assert decoded.batch.offset.tolist() == [0, 2, 3]
    assert reasons(decoded) == [(1, 0, "decoder_error"), (2, 1, "decoder_error")]
    assert decoded.dead[0].detail.startswith("RecursionError: too deep xxx")
    assert len(decoded.dead[0].detail) < 250


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_what_says_nothing_about_the_record_is_raised(error: type[BaseException]) -> None:
    def decode_one(value: bytes, record: Record, call: DecodeCall) -> None:
        raise error

    with pytest.raises(error):
        decode_each(records([b"a"]), DecodeContext("t"), decode_one)


# ---------------------------------------------------------------- numeric texts

TIMES = {"event_type": "trade", "symbol": "s", "ts_event": {"path": "t", "unit": "s"},
         "trade": {"price": "p", "size": "q", "sequence": "n"}}  # fmt: skip


def timed(**fields: object) -> dict[str, object]:
    return {"s": "X", "t": 5, "p": 1, "q": 1, **fields}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-99999999999999999999", "out_of_bounds"),
        ("0e99999999999999999999", 0),
        ("1e99999999999999999999", "not_finite"),
        ("1618677817.99999999999999999999999", 1618677817999999999),
        ("16186778179999999999e-10", 1618677817999999999),
        ("0.0000000001", "out_of_bounds"),
        ("-0.0000000001", "out_of_bounds"),
        ("1" * 5000, "not_finite"),
    ],
)
def test_times_in_texts_are_exact_or_refused(text: str, expected: int | str) -> None:
    for again in (1, 40):
        decoded = decode(TIMES, *[timed(t=text)] * again)
        got = [event["ts"] for event in events(decoded.batch)] or [one.reason for one in decoded.dead]
        assert got == [expected] * again


@pytest.mark.parametrize("number", ["9007199254740993.0", "9007199254740993e0", 9007199254740993])
def test_a_sequence_that_a_double_cannot_hold_is_refused(number: object) -> None:
    assert [one.reason for one in decode(TIMES, timed(n=number)).dead] == ["out_of_bounds"]


def test_a_broken_time_of_binance_is_a_dead_letter() -> None:
    value = b'{"e":"trade","s":"X","t":7,"p":"1","q":"1","T":"1e-99999999999999999999","m":true}'
    assert reasons(decode("binance", value, value)) == [(0, 0, "out_of_bounds"), (1, 0, "out_of_bounds")]


# ---------------------------------------------------------------- tombstones


@pytest.mark.parametrize("settings", PRESETS, ids=["tapewatch", "binance", "generic"])
def test_tombstones_are_dead_letters_or_counted(settings: object) -> None:
    found = records([None, b"null"] * 20)
    told = a_format(settings).decode(found, DecodeContext("t", "here"))
    assert {one.reason for one in told.dead} == {"null_value", "not_an_object"}
    assert "ignore: [tombstone]" in told.dead[0].detail
    counted = a_format(settings).decode(found, DecodeContext("t", "here", ignored=frozenset({"tombstone"})))
    assert (counted.dead, dict(counted.ignored)) == ((), {"tombstone": 40})


def test_ignoring_is_part_of_the_document_only_where_it_is_set() -> None:
    plain = compile_plan(load_text(PLAN))
    ignoring = compile_plan(load_text(PLAN.replace("tapewatch}", "tapewatch, ignore: [tombstone]}")))
    assert "ignore" not in plain.document.partition('"rules"')[0]
    assert '"ignore":["tombstone"]' in ignoring.document
    feed = ignoring.feed("t")
    assert feed is not None
    assert feed.context("t").ignored == {"tombstone"}


def test_what_all_events_of_a_record_share_is_read_once() -> None:
    settings = FormatSettings.model_validate(
        {
            "event_type": "trade",
            "events": "e",
            "symbol": {"from": "key"},
            "ts_event": {"path": "^.t", "unit": "ms"},
            "trade": {"price": "p", "size": "^.q"},
        }
    )

    def seconds(q: str, key: bytes) -> float:
        value = b'{"q":"%s","t":1722510000000,"e":[%s]}' % (q.encode(), b",".join([b'{"p":1}'] * 10_000))
        began = time.process_time()
        GenericFormat(settings).decode([Record(0, value, key=key)], DecodeContext("t", "v"))
        return time.process_time() - began

    plain = seconds("1", b"A")
    assert seconds("9" * 800_000, b"A") < 10 * plain
    assert seconds("0" * 800_000 + "1", b"A") < 10 * plain
    assert seconds("1", "\u00e9".encode() * 400_000) < 10 * plain
