import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import same_state

from detectors.growing_array import MAPPED, GrowingArray
from detectors.slot_arrays import SlotArrays, SlotColumn

LAYOUT = {
    "zero": SlotColumn(np.float64),
    "never": SlotColumn(np.int64, np.iinfo(np.int64).min),
    "wide": SlotColumn(np.float64, np.nan, (3, 700)),
    "small": SlotColumn(np.uint8, 7, (5,)),
}


def write(arrays, slot):
    for at, name in enumerate(LAYOUT):
        arrays[name][slot] = slot % 100 + at


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_what_is_held_stays_and_the_rest_is_unseen_however_it_grows(steps):
    arrays = SlotArrays(LAYOUT)
    n = 0
    for step in steps:
        arrays.grow(n + step)
        for name, column in LAYOUT.items():
            new = arrays[name][n : n + step]
            assert np.array_equal(new, np.full_like(new, column.fill), equal_nan=name == "wide")
        for entry in range(n, n + step):
            write(arrays, entry)
        n += step
    state = arrays.state()
    for at, name in enumerate(LAYOUT):
        expected = np.arange(n) % 100 + at
        assert (state[name].reshape(n, -1) == expected[:, None]).all(), name


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300))
def test_a_restored_state_grows_like_the_one_it_was_taken_from(held, before, after):
    source, copy = SlotArrays(LAYOUT), SlotArrays(LAYOUT)
    source.grow(held)
    copy.grow(before)
    for slot in range(held):
        write(source, slot)
    for slot in range(before):
        write(copy, slot)
    copy.restore(source.state())
    for arrays in (source, copy):
        arrays.grow(max(held, before) + after)
    assert same_state(source.state(), copy.state())


def test_arrays_are_as_kernels_want_them():
    arrays = SlotArrays(LAYOUT)
    for n in (1, 30, 1000):
        arrays.grow(n)
        for name, column in LAYOUT.items():
            array = arrays[name]
            assert len(array) >= n
            assert array.dtype == column.dtype
            assert array.shape[1:] == column.shape
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert array.flags.aligned


@pytest.mark.parametrize("entries", [MAPPED // 8 - 1, MAPPED // 8, 5 * MAPPED])
def test_whoever_still_looks_at_the_array_does_no_harm(entries):
    growing = GrowingArray(np.int64)
    growing.extend(entries)
    growing.array[:] = np.arange(entries)
    held = growing.array
    growing.extend(2 * entries)
    growing.array[entries:] = -1
    assert (growing.array[:entries] == np.arange(entries)).all()
    assert (growing.array[entries : 2 * entries] == -1).all()
    assert (held == np.arange(entries)).all()


def test_large_arrays_are_moved_and_their_room_is_not_touched():
    growing = GrowingArray(np.float64, (1024,))
    growing.extend(64)
    growing.array[:64] = 1.0
    resident = resident_bytes()
    growing.extend(64 * 1024)
    assert growing.array.nbytes >= 500 << 20
    assert resident_bytes() - resident < 100 << 20
    assert growing.array[63:65, 0].tolist() == [1.0, 0.0]


def test_large_arrays_are_not_copied():
    growing = GrowingArray(np.float64, (1024,))
    growing.extend(2048)
    growing.array[:] = 1.0
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    growing.extend(4096)
    assert growing.array[2047:2049, 0].tolist() == [1.0, 0.0]
    # a copy would have had to touch 4096 new pages
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < 2000


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
