"""What packages that may not import one another each state for themselves is stated alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import alerts.durations
import alerts.language.symbols
import detectors.event_columns
import detectors.time_units
import streamer.messages.time_units
from alerts.slot_columns import SlotColumns
from detectors.slot_arrays import SlotArrays, SlotColumn
from streamer.decoding import event_fields, event_schema, event_structs
from streamer.messages.batch import Kind

ROOT = Path(__file__).parents[2]
STORED = ("trade", "quote", "order", "status", "metric", "heartbeat", "tick")
"""Kinds of events as they are stored, in the order of their codes: neither may ever change."""


def test_kinds_have_the_same_names_and_codes_everywhere() -> None:
    names = [kind.name.lower() for kind in Kind]
    assert [int(kind) for kind in Kind] == list(range(len(STORED)))
    assert names == [*STORED[:-1], "timer"]
    assert list(alerts.language.symbols.KIND_LABELS) == names
    assert alerts.language.symbols.KIND_NAMES == detectors.event_columns.KIND_NAMES == STORED
    for kind, number in zip(names, Kind, strict=True):
        assert getattr(detectors.event_columns, kind.upper()) == number, kind


def test_kinds_that_come_from_outside_are_all_but_the_timer() -> None:
    outside = STORED[:-1]
    assert outside == event_fields.KIND_NAMES
    assert (
        get_args(alerts.language.symbols.EventKind) == get_args(detectors.event_columns.EventKind) == outside
    )
    structs = get_args(event_structs.AnyStruct)
    assert tuple(struct.__struct_config__.tag for struct in structs) == outside
    [models, _] = get_args(event_schema.Event)
    tags = [get_args(model.model_fields["event_type"].annotation) for model in get_args(models)]
    assert tuple(tag for (tag,) in tags) == outside


def test_enumerations_have_the_same_members_in_the_same_order() -> None:
    assert detectors.event_columns.ACTIONS == event_fields.ACTIONS
    assert detectors.event_columns.SIDES == event_fields.SIDES
    for action in event_fields.ACTIONS:
        code = getattr(detectors.event_columns, action.upper())
        assert detectors.event_columns.ACTIONS[code] == action


def test_a_second_has_the_same_nanoseconds_everywhere_and_is_spelt_out_once_a_package() -> None:
    assert (
        alerts.durations.NS_PER_SECOND
        == detectors.time_units.NS_PER_SECOND
        == streamer.messages.time_units.NS_PER_SECOND
    )
    spelt = re.compile(r"^\w+(?:: \w+)? = (?:1_000_000_000|1000000000|10\*\*9|1e9)$", re.MULTILINE)
    for package in ("alerts", "detectors", "streamer"):
        files = [
            str(path.relative_to(ROOT))
            for path in sorted((ROOT / package).rglob("*.py"))
            if spelt.search(path.read_text("utf-8"))
        ]
        assert len(files) == 1, files


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=10), st.integers(0, 200))
def test_state_by_slot_grows_alike_in_alerts_and_detectors(sizes: list[int], kept: int) -> None:
    columns = SlotColumns({"last": (np.int64, -7), "n": (np.int32, 0)})
    arrays = SlotArrays({"last": SlotColumn(np.int64, -7), "n": SlotColumn(np.int32)})
    written = 0
    for size in sizes:
        for part in (columns, arrays):
            part.grow(size)
            part["last"][written:size] = np.arange(written, size)
        written = max(written, size)
        assert columns.n_slots == arrays.n_slots == written
        for name in ("last", "n"):
            assert columns.state()[name].tolist() == arrays.state()[name].tolist()
    state = {name: column[:kept] for name, column in columns.state().items()}
    for part in (columns, arrays):
        part.restore(state)
    for name in ("last", "n"):
        assert columns.state()[name].tolist() == arrays.state()[name].tolist()


@pytest.mark.parametrize("missing", ["last", "n"])
def test_a_state_without_one_of_its_columns_is_refused(missing: str) -> None:
    columns = SlotColumns({"last": (np.int64, -7), "n": (np.int32, 0)})
    state = {name: column for name, column in columns.state().items() if name != missing}
    with pytest.raises(KeyError):
        columns.restore(state)
