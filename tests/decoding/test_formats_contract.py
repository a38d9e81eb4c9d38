"""What every registered format owes, on samples of what it reads and on arbitrary bytes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding.decode_once import NO_TIME, RECEIVED_NS, a_format, events, records
from decoding.fuzz import fuzz_messages
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import (
    ENUM_STRINGS,
    FIELDS_BY_KIND,
    KIND_NAMES,
    NUMBER_FIELDS,
    TEXT_FIELDS,
)
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, DecodeContext
from streamer.messages.batch import Batch, Decoded, Kind
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record

DATA = Path(__file__).parent.parent / "data"
CONTEXT = DecodeContext("topic", "here")
MAPPING: dict[str, Any] = {
    "event_type": {"path": "^.stream", "map": {"btcusdt@trade": "trade"}, "ignore": ["btcusdt@bookTicker"]},
    "events": "data",
    "symbol": "s",
    "ts_event": {"path": "T", "unit": "ms"},
    "trade": {
        "price": "p",
        "size": "q",
        "aggressor_side": {"path": "m", "map": {True: "sell", False: "buy"}},
    },
}
SETTINGS: Mapping[str, Any] = {"tapewatch": "tapewatch", "binance": "binance", "generic": MAPPING}


def _lines(name: str) -> list[bytes]:
    return gzip.decompress((DATA / name).read_bytes()).splitlines()


def _samples() -> dict[str, list[bytes]]:
    raw = [line.split(b" ", 1)[1] for line in _lines("spot_btcusdt.gz")[:600]]
    listed = [line.replace(b'"data":{', b'"data":[{').replace(b"}}", b"}]}") for line in raw]
    return {"tapewatch": _lines("tapewatch.jsonl.gz")[:600], "binance": raw, "generic": listed}


SAMPLES = _samples()
all_formats = pytest.mark.parametrize("name", sorted(FORMATS))


def _decode(name: str, found: list[Record]) -> Decoded:
    return a_format(SETTINGS[name]).decode(found, CONTEXT)


def _mixed(name: str) -> list[Record]:
    """Sound and faulty records in turns."""
    faulty = [message.value for message in fuzz_messages(5, 600)]
    values = [value for pair in zip(SAMPLES[name], faulty, strict=False) for value in pair]
    return records(values)


def test_every_format_has_settings_and_samples_here() -> None:
    assert set(FORMATS) == set(SETTINGS) == set(SAMPLES)


@all_formats
def test_samples_become_events(name: str) -> None:
    decoded = _decode(name, records(SAMPLES[name]))
    assert len(decoded.batch) > 100
    if name != "generic":  # its mapping here knows one stream only
        assert not decoded.dead


@all_formats
def test_columns_are_of_one_length_and_the_stated_types(name: str) -> None:
    batch = _decode(name, _mixed(name)).batch
    types = {"instrument": "i4", "kind": "i1", "ts": "i8", "record_ts": "i8", "source": "i1", "offset": "i8"}
    for column, wanted in {**types, "index": "i2"}.items():
        found = getattr(batch, column)
        assert (found.dtype, found.shape) == (np.dtype(wanted), (len(batch),))
        assert found.flags.c_contiguous
    assert set(batch.numbers) <= set(NUMBER_FIELDS)
    assert set(batch.texts) <= set(TEXT_FIELDS)
    assert all(column.dtype == np.float64 and len(column) == len(batch) for column in batch.numbers.values())
    assert all(column.dtype == np.int32 and len(column) == len(batch) for column in batch.texts.values())
    assert all(column.max() < len(batch.texts.strings) for column in batch.texts.values())
    assert tuple(batch.texts.strings)[: len(ENUM_STRINGS)] == ENUM_STRINGS


@all_formats
def test_only_fields_that_occur_are_there(name: str) -> None:
    batch = _decode(name, _mixed(name)).batch
    assert all(np.isfinite(column).any() for column in batch.numbers.values())
    assert all((column >= 0).any() for column in batch.texts.values())


@all_formats
def test_events_carry_what_the_format_says_it_provides(name: str) -> None:
    form = a_format(SETTINGS[name])
    assert set(form.provides) <= set(KIND_NAMES)
    assert all(fields <= FIELDS_BY_KIND[kind] for kind, fields in form.provides.items())
    batch = _decode(name, records(SAMPLES[name])).batch
    for row in range(len(batch)):
        kind = Kind(int(batch.kind[row])).name.lower()
        assert set(batch.event(row)) <= form.provides[kind]


@all_formats
def test_every_record_is_accounted_for_once(name: str) -> None:
    found = _mixed(name)
    decoded = _decode(name, found)
    offsets = {*decoded.batch.offset.tolist(), *(letter.offset for letter in decoded.dead)}
    silent = [record for record in found if record.offset not in offsets]
    assert len(silent) == sum(decoded.ignored.values())
    places = [*zip(decoded.batch.offset.tolist(), decoded.batch.index.tolist(), strict=True)]
    dead = [(letter.offset, letter.index) for letter in decoded.dead]
    assert places == sorted(set(places))
    assert dead == sorted(set(dead))
    assert not set(places) & set(dead)


@all_formats
def test_dead_letters_are_whole_and_have_a_known_reason(name: str) -> None:
    found = _mixed(name)
    decoded = _decode(name, found)
    assert decoded.dead
    for letter in decoded.dead:
        assert letter.reason in {reason.value for reason in Reason}
        assert type(letter.reason) is str
        assert 0 < len(letter.detail) < 300
        assert letter.value == found[letter.offset].value
        assert letter.record_ts == RECEIVED_NS


def _cut(found: list[Record], sizes: Iterator[int]) -> Iterator[list[Record]]:
    at = 0
    while at < len(found):
        size = next(sizes)
        yield found[at : at + size]
        at += size


def _joined(parts: list[Decoded]) -> tuple[Any, Any, dict[str, int]]:
    ignored: dict[str, int] = {}
    for part in parts:
        for name, count in part.ignored.items():
            ignored[name] = ignored.get(name, 0) + count
    return (
        [event for part in parts for event in events(part.batch)],
        [letter for part in parts for letter in part.dead],
        dict(sorted(ignored.items())),
    )


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.randoms(use_true_random=False))
def test_what_a_record_becomes_does_not_depend_on_its_batch(name: str, random: Any) -> None:
    form = a_format(SETTINGS[name])
    found = _mixed(name)[:400]
    random.shuffle(found)
    found = [Record(at, each.value, each.timestamp) for at, each in enumerate(found)]
    sizes = iter(lambda: random.randint(1, 60), 0)
    whole = form.decode(found, CONTEXT)
    parts = [a_format(SETTINGS[name]).decode(part, CONTEXT) for part in _cut(found, sizes)]
    assert _joined([whole]) == _joined(parts)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.randoms(use_true_random=False))
def test_by_columns_is_one_by_one(name: str, random: Any) -> None:
    """Single records are never read by columns."""
    found = random.sample(_mixed(name), 150)
    found = [Record(at, each.value, each.timestamp) for at, each in enumerate(found)]
    form = a_format(SETTINGS[name])
    whole = [form.decode(RecordBlock.of(found), CONTEXT)]
    assert _joined(whole) == _joined([form.decode([each], CONTEXT) for each in found])


@all_formats
def test_what_kernels_leave_is_all_that_they_do_not_take(name: str) -> None:
    found = _mixed(name)
    columns = a_format(SETTINGS[name]).columns(RecordBlock.of(found), CONTEXT)
    if columns is None:
        assert SETTINGS[name] is MAPPING, "which has lists"
        return
    taken, left = columns.events.place.tolist(), columns.slow.tolist()
    assert taken == sorted(taken)
    assert left == sorted(left)
    assert len({*taken, *left}) == len(taken) + len(left)
    assert len(taken) + len(left) + sum(columns.ignored.values()) == len(found)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_nothing_that_comes_raises(name: str, data: st.DataObject) -> None:
    """Sound records with bytes changed, and bytes of any kind."""
    sound = data.draw(st.sampled_from(SAMPLES[name][:50]))
    at = data.draw(st.integers(0, len(sound)))
    value = sound[:at] + data.draw(st.binary(max_size=6)) + sound[at + data.draw(st.integers(0, 6)) :]
    timestamp = data.draw(st.sampled_from((NO_TIME, 0, RECEIVED_NS)))
    found = [Record(0, data.draw(st.none() | st.just(value) | st.binary(max_size=40)), timestamp)]
    decoded = _decode(name, found)
    assert len(decoded.batch) + len(decoded.dead) + sum(decoded.ignored.values()) <= 1 + len(value)


@all_formats
def test_the_source_number_goes_into_the_rows(name: str) -> None:
    form = a_format(SETTINGS[name])
    batch: Batch = form.decode(records(SAMPLES[name]), DecodeContext("t", "v", source=1)).batch
    assert set(batch.source.tolist()) == {1}


@all_formats
def test_no_records_make_an_empty_batch(name: str) -> None:
    decoded = _decode(name, [])
    assert (len(decoded.batch), decoded.dead, dict(decoded.ignored)) == (0, (), {})


@all_formats
def test_equal_settings_have_equal_specs(name: str) -> None:
    again = FormatSettings.model_validate(a_format_document(name))
    assert a_format(SETTINGS[name]).spec == FORMATS[name](again).spec
    assert a_format(SETTINGS[name]).spec.startswith(f"{name}/")
    assert a_format(SETTINGS[name]).name == name


def a_format_document(name: str) -> object:
    return FormatSettings.model_validate(SETTINGS[name]).document()
