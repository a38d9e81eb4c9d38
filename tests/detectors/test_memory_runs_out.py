"""Where there is no memory to grow, what is held stays, and what fits is still given."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMITED = """
import resource
from pathlib import Path

import numpy as np

from detectors.growing_array import GrowingArray
from detectors.slot_arrays import SlotColumn, NoRoomError, SlotArrays

MIB = 1 << 20


def limit(more):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else used + more, hard))


def refused(grow, most):
    try:
        grow(most)
    except (OSError, MemoryError) as error:
        return error
    raise AssertionError("there was room")
"""

ONE_ARRAY = """
growing = GrowingArray(np.float64, (512,))
growing.extend(before)
growing.array[:] = 7.0
limit(100 * MIB)
refused(growing.extend, 100_000)
assert growing.array.shape == (before, 512)
assert (growing.array == 7.0).all()
growing.extend(2 * before)
assert (growing.array[:before] == 7.0).all()
assert (growing.array[before:] == 0.0).all()
"""

SLOTS = """
# 40 MiB an array in the end; room ahead fits into the first two at most, and leaves too little for the third
zeros = SlotColumn(np.float64, 0, (512,))
arrays = SlotArrays({"a": SlotColumn(np.float64, np.nan, (512,)), "b": zeros, "c": zeros})


def held(n_written):
    assert all((arrays[name][:n_written, 0] == np.arange(n_written)).all() for name in "abc")
    assert np.isnan(arrays["a"][n_written : arrays.n_slots]).all()
    assert not any(arrays[name][n_written : arrays.n_slots].any() for name in "bc")


arrays.grow(2_048)
for name in "abc":
    arrays[name][:2_048, 0] = np.arange(2_048)
limit(200 * MIB)
arrays.grow(10_400)
assert arrays.n_slots == 10_400
held(2_048)
for name in "abc":
    arrays[name][:10_400, 0] = np.arange(10_400)
error = refused(arrays.grow, 100_000)
assert isinstance(error, NoRoomError), error
assert str(error) == "no memory for 100,000 instruments, each of 12,288 bytes", error
assert arrays.n_slots == 10_400
held(10_400)
arrays.grow(10_500)
held(10_400)
refused(arrays.grow, 100_000)
limit(None)
arrays.grow(100_000)
assert arrays.n_slots == 100_000
held(10_400)
"""

AGAIN = """
arrays = SlotArrays({"a": SlotColumn(np.float64, 1.0, (512,)), "b": SlotColumn(np.float64, 2.0, (512,))})
arrays.grow(before)
limit(100 * MIB)
refused(arrays.grow, 20_000)
refused(arrays.grow, 20_000)
assert arrays.n_slots == before
for n in (before + 1, before + 10, 1_000):
    arrays.grow(n)
    assert (arrays["a"][:n] == 1.0).all()
    assert (arrays["b"][:n] == 2.0).all()
"""


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param("before = 8" + ONE_ARRAY, id="a short array"),
        pytest.param("before = 1024" + ONE_ARRAY, id="a long array"),
        pytest.param(SLOTS, id="slots"),
        pytest.param("before = 0" + AGAIN, id="no slots before"),
        pytest.param("before = 2" + AGAIN, id="few slots before"),
        pytest.param("before = 64" + AGAIN, id="slots before"),
    ],
)
def test_a_growth_that_fails_changes_nothing(steps: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED + steps], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
