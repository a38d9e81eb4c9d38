"""Series of one array: restoring one leaves the others alone."""

import numpy as np
import pytest

from detectors.series_arrays import SeriesArrays, SeriesSpan
from detectors.slot_arrays import SlotColumn, StateMismatchError

LAYOUT = {
    "last": SlotColumn(np.int64, -7),
    "sums": SlotColumn(np.float64, np.nan, (3,)),
    "n": SlotColumn(np.int64),
}
FIRST, PAIR = SeriesSpan(0, 1), SeriesSpan(1, 2)


def filled(n_slots):
    arrays = SeriesArrays(LAYOUT, 3)
    arrays.grow(n_slots)
    for number, name in enumerate(LAYOUT, 1):
        array = arrays[name][:n_slots]
        array[...] = np.arange(array.size).reshape(array.shape) * number
    return arrays


def held(arrays, span):
    return arrays.series_of(arrays.state(), span)


def same(left, right):
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left
    )


@pytest.mark.parametrize("span", [FIRST, PAIR])
def test_series_are_restored_and_the_others_stay(span):
    original, copy = filled(5), SeriesArrays(LAYOUT, 3)
    other = PAIR if span is FIRST else FIRST
    copy.grow(5)
    unseen = held(copy, other)
    copy.restore_series(held(original, span), span)
    assert same(held(copy, span), held(original, span))
    assert same(held(copy, other), unseen)


def test_an_entry_for_each_series_of_each_slot():
    arrays = filled(4)
    pair = held(arrays, PAIR)
    assert pair["sums"].shape == (8, 3)
    assert pair["last"].tolist() == arrays["last"][:4, 1:].reshape(-1).tolist()


def test_slots_beyond_a_state_are_as_unseen():
    small, large = filled(2), filled(5)
    large.restore_series(held(small, PAIR), PAIR)
    assert large.n_slots == 5
    found = held(large, PAIR)
    assert found["last"][:4].tolist() == held(small, PAIR)["last"].tolist()
    assert found["last"][4:].tolist() == [-7] * 6
    assert np.isnan(found["sums"][4:]).all()
    assert not found["n"][4:].any()


def test_a_larger_state_makes_room():
    small, large = filled(2), filled(500)
    before = held(small, FIRST)
    small.restore_series(held(large, PAIR), PAIR)
    assert small.n_slots == 500
    assert same(held(small, PAIR), held(large, PAIR))
    assert held(small, FIRST)["last"][:2].tolist() == before["last"].tolist()
    assert held(small, FIRST)["last"][2:].tolist() == [-7] * 498


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.pop("n"),
        lambda state: state.update(n=state["n"][:-2]),
        lambda state: state.update({name: array[:-1] for name, array in state.items()}),
        lambda state: state.update(n=state["n"].astype(np.float64)),
        lambda state: state.update(sums=state["sums"][:, :2]),
    ],
)
def test_what_is_not_such_a_state_is_refused_and_changes_nothing(spoil):
    arrays = filled(3)
    before, state = arrays.state(), held(filled(4), PAIR)
    spoil(state)
    with pytest.raises(StateMismatchError):
        arrays.restore_series(state, PAIR)
    assert same(before, arrays.state())
