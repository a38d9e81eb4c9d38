"""What every format keeps to, on samples of what it reads and on arbitrary bytes.

A new format needs a rig in `RIGS`: settings that name it, and records of its own.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from decoding.decode_once import NO_TIME, RECEIVED_NS, events, records
from decoding.fuzz import fuzz_messages
from hypothesis import Phase, given, settings
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
from streamer.decoding.formats import DecodeContext, Format
from streamer.decoding.mapping_settings import MappingSettings
from streamer.messages.batch import Decoded, Kind
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record

DATA = Path(__file__).parent.parent / "data"
CONTEXT = DecodeContext("topic", "here")
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # a small example of a failure is not looked for
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


@dataclass(frozen=True)
class Rig:
    """How a format is set up, and records that it reads.

    `sound` says that all of them become events; `kernels`, that it has kernels with these settings.
    """

    settings: Any
    samples: Callable[[], list[bytes]]
    sound: bool = True
    kernels: bool = True


@cache
def lines(name: str) -> list[bytes]:
    return gzip.decompress((DATA / name).read_bytes()).splitlines()[:600]


def raw() -> list[bytes]:
    return [line.split(b" ", 1)[1] for line in lines("spot_btcusdt.gz")]


def lists() -> list[bytes]:
    return [line.replace(b'"data":{', b'"data":[{').replace(b"}}", b"}]}") for line in raw()]


RIGS: Mapping[str, Rig] = {
    "tapewatch": Rig("tapewatch", lambda: lines("tapewatch.jsonl.gz")),
    "binance": Rig("binance", raw),
    # this mapping knows one stream only, and lists are read without kernels
    "generic": Rig(MAPPING, lists, sound=False, kernels=False),
}


def rig_of(name: str) -> Rig:
    """The rig of a format.

    Raises
    ------
    LookupError
        When there is none.
    """
    if name not in RIGS:
        raise LookupError(f"no rig for format {name!r}: add it to RIGS in {__name__}")
    return RIGS[name]


Make = Callable[[MappingSettings], Format]


@dataclass
class Case:
    """What makes a format, under the name it is registered as, in its rig."""

    name: str
    make: Make
    rig: Rig

    def format(self) -> Format:
        return self.make(FormatSettings.model_validate(self.rig.settings))

    def decode(self, found: list[Record]) -> Decoded:
        return self.format().decode(found, CONTEXT)

    def mixed(self) -> list[Record]:
        """Sound and faulty records in turns."""
        faulty = [message.value for message in fuzz_messages(5, 600)]
        return records([value for pair in zip(self.rig.samples(), faulty, strict=False) for value in pair])


def check_registration(case: Case) -> None:
    again = FormatSettings.model_validate(FormatSettings.model_validate(case.rig.settings).document())
    assert case.format().name == case.name
    assert case.format().spec == case.make(again).spec
    assert case.format().spec.startswith(f"{case.name}/")
    assert isinstance(case.format().needs_venue, bool)


def check_samples_become_events(case: Case) -> None:
    decoded = case.decode(records(case.rig.samples()))
    assert len(decoded.batch) > 100
    assert bool(decoded.dead) <= (not case.rig.sound)


def check_columns_are_of_one_length_and_the_stated_types(case: Case) -> None:
    batch = case.decode(case.mixed()).batch
    types = {"instrument": "i4", "kind": "i1", "ts": "i8", "record_ts": "i8", "source": "i2", "offset": "i8"}
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


def check_only_fields_that_occur_are_there(case: Case) -> None:
    batch = case.decode(case.mixed()).batch
    assert all(np.isfinite(column).any() for column in batch.numbers.values())
    assert all((column >= 0).any() for column in batch.texts.values())


def check_events_carry_what_the_format_says_it_provides(case: Case) -> None:
    provides = case.format().provides
    assert set(provides) <= set(KIND_NAMES)
    assert all(fields <= FIELDS_BY_KIND[kind] for kind, fields in provides.items())
    batch = case.decode(records(case.rig.samples())).batch
    for row in range(len(batch)):
        kind = Kind(int(batch.kind[row])).name.lower()
        assert set(batch.event(row)) <= provides[kind]


def check_the_same_again(case: Case) -> None:
    found = case.mixed()
    assert joined([case.decode(found)]) == joined([case.decode(found)])


def check_every_record_is_accounted_for_once(case: Case) -> None:
    found = case.mixed()
    decoded = case.decode(found)
    offsets = {*decoded.batch.offset.tolist(), *(letter.offset for letter in decoded.dead)}
    silent = [record for record in found if record.offset not in offsets]
    assert len(silent) == sum(decoded.ignored.values())
    places = [*zip(decoded.batch.offset.tolist(), decoded.batch.index.tolist(), strict=True)]
    dead = [(letter.offset, letter.index) for letter in decoded.dead]
    assert places == sorted(set(places))
    assert dead == sorted(set(dead))
    assert not set(places) & set(dead)


def check_dead_letters_are_whole_and_have_a_known_reason(case: Case) -> None:
    found = case.mixed()
    decoded = case.decode(found)
    assert decoded.dead
    for letter in decoded.dead:
        assert letter.reason in {reason.value for reason in Reason}
        assert type(letter.reason) is str
        assert 0 < len(letter.detail) < 300
        assert letter.value == found[letter.offset].value
        assert letter.record_ts == RECEIVED_NS


def cut(found: list[Record], sizes: Iterator[int]) -> Iterator[list[Record]]:
    at = 0
    while at < len(found):
        size = next(sizes)
        yield found[at : at + size]
        at += size


def joined(parts: list[Decoded]) -> tuple[Any, Any, dict[str, int]]:
    ignored: dict[str, int] = {}
    for part in parts:
        for name, count in part.ignored.items():
            ignored[name] = ignored.get(name, 0) + count
    return (
        [event for part in parts for event in events(part.batch)],
        [letter for part in parts for letter in part.dead],
        dict(sorted(ignored.items())),
    )


def check_what_a_record_becomes_does_not_depend_on_its_batch(case: Case) -> None:
    @settings(max_examples=6, deadline=None, phases=PHASES)
    @given(st.randoms(use_true_random=False))
    def holds(random: Any) -> None:
        found = case.mixed()[:400]
        random.shuffle(found)
        found = [Record(at, each.value, each.timestamp) for at, each in enumerate(found)]
        sizes = iter(lambda: random.randint(1, 60), 0)
        parts = [case.format().decode(part, CONTEXT) for part in cut(found, sizes)]
        assert joined([case.decode(found)]) == joined(parts)

    holds()


def check_by_columns_is_one_by_one(case: Case) -> None:
    """Single records are never read by columns."""

    @settings(max_examples=6, deadline=None, phases=PHASES)
    @given(st.randoms(use_true_random=False))
    def holds(random: Any) -> None:
        found = random.sample(case.mixed(), 150)
        found = [Record(at, each.value, each.timestamp) for at, each in enumerate(found)]
        form = case.format()
        whole = [form.decode(RecordBlock.of(found), CONTEXT)]
        assert joined(whole) == joined([form.decode([each], CONTEXT) for each in found])

    holds()


def check_what_kernels_leave_is_all_that_they_do_not_take(case: Case) -> None:
    found = case.mixed()
    columns = case.format().columns(RecordBlock.of(found), CONTEXT)
    assert (columns is not None) == case.rig.kernels
    if columns is None:
        return
    taken, left = columns.events.place.tolist(), columns.slow.tolist()
    assert taken == sorted(taken)
    assert left == sorted(left)
    assert len({*taken, *left}) == len(taken) + len(left)
    assert len(taken) + len(left) + sum(columns.ignored.values()) == len(found)


def check_nothing_that_comes_raises(case: Case) -> None:
    """Sound records with bytes changed, and bytes of any kind."""

    @settings(max_examples=100, deadline=None, phases=PHASES)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        sound = data.draw(st.sampled_from(case.rig.samples()[:50]))
        at = data.draw(st.integers(0, len(sound)))
        value = sound[:at] + data.draw(st.binary(max_size=6)) + sound[at + data.draw(st.integers(0, 6)) :]
        timestamp = data.draw(st.sampled_from((NO_TIME, 0, RECEIVED_NS)))
        found = [Record(0, data.draw(st.none() | st.just(value) | st.binary(max_size=40)), timestamp)]
        decoded = case.decode(found)
        assert len(decoded.batch) + len(decoded.dead) + sum(decoded.ignored.values()) <= 1 + len(value)

    holds()


def check_the_source_number_goes_into_the_rows(case: Case) -> None:
    context = DecodeContext("t", "v", source=1)
    batch = case.format().decode(records(case.rig.samples()), context).batch
    assert set(batch.source.tolist()) == {1}


def check_no_records_make_an_empty_batch(case: Case) -> None:
    decoded = case.decode([])
    assert (len(decoded.batch), decoded.dead, dict(decoded.ignored)) == (0, (), {})


Check = Callable[[Case], None]

CHECKS: tuple[Check, ...] = (
    check_registration,
    check_samples_become_events,
    check_columns_are_of_one_length_and_the_stated_types,
    check_only_fields_that_occur_are_there,
    check_events_carry_what_the_format_says_it_provides,
    check_the_same_again,
    check_every_record_is_accounted_for_once,
    check_dead_letters_are_whole_and_have_a_known_reason,
    check_what_a_record_becomes_does_not_depend_on_its_batch,
    check_by_columns_is_one_by_one,
    check_what_kernels_leave_is_all_that_they_do_not_take,
    check_nothing_that_comes_raises,
    check_the_source_number_goes_into_the_rows,
    check_no_records_make_an_empty_batch,
)
