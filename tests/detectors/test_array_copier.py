"""Copies in memory that is used again are copies still."""

from __future__ import annotations

import numpy as np

from detectors.array_copier import Copier
from detectors.slot_arrays import SlotArrays, SlotColumn

BIG = 10_000


def test_a_copy_that_somebody_holds_never_changes() -> None:
    copier = Copier()
    first = copier.copy(np.full(BIG, 1.0))
    view = first[5:].view(np.int64)
    del first  # a view holds it still
    second = copier.copy(np.full(BIG, 2.0))
    assert (view.view(np.float64) == 1.0).all()
    assert (second == 2.0).all()


def test_memory_that_nobody_holds_is_used_again() -> None:
    copier = Copier()
    first = copier.copy(np.full(BIG, 1.0))
    address = first.ctypes.data
    del first
    again = copier.copy(np.full(BIG, 2.0))
    assert again.ctypes.data == address
    assert (again == 2.0).all()


def test_arrays_of_another_size_or_type_are_copied_as_they_are() -> None:
    copier = Copier()
    for array in (np.zeros(BIG), np.ones(2 * BIG), np.ones(2 * BIG, np.int64), np.ones((2, BIG))):
        found = copier.copy(array)
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert (found == array).all()
        del found


def test_two_states_of_the_same_slots_stay_apart() -> None:
    arrays = SlotArrays({"last": SlotColumn(np.float64)})
    arrays.grow(BIG)
    before = arrays.state()
    arrays["last"][:BIG] = 7.0
    after = arrays.state()
    assert (before["last"] == 0.0).all()
    assert (after["last"] == 7.0).all()


def test_memory_that_was_reserved_holds_the_next_copy_even_of_some_more() -> None:
    copier = Copier()
    copier.reserve((BIG,), np.float64)
    first = copier.copy(np.full(BIG, 1.0))
    address = first.ctypes.data
    del first
    copier.reserve((BIG + 10,), np.float64)
    again = copier.copy(np.full(BIG + 10, 2.0))
    assert again.ctypes.data == address
    assert (again == 2.0).all()


def test_reserving_leaves_what_somebody_holds() -> None:
    copier = Copier()
    held = copier.copy(np.full(BIG, 1.0))
    copier.reserve((4 * BIG,), np.float64)
    copier.reserve((BIG,), np.float64)
    assert (copier.copy(np.full(BIG, 2.0)) == 2.0).all()
    assert (held == 1.0).all()
