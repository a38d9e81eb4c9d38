"""Per-instrument arrays that grow as instruments appear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from detectors.columns import State


class StateMismatchError(ValueError):
    """A saved state does not have the shape that this part keeps."""


@dataclass(frozen=True, slots=True)
class Column:
    """How one array looks: its type, what an unseen instrument holds, and the shape of one entry."""

    dtype: DTypeLike
    fill: float = 0
    shape: tuple[int, ...] = ()


class SlotArrays:
    """Named arrays with one entry for each slot.

    Parameters
    ----------
    layout
        The arrays by name.
    per_slot
        Entries each slot takes along the first axis.

    Examples
    --------
    >>> arrays = SlotArrays({"last": Column(np.float64, fill=np.nan)})
    >>> arrays.grow(3)
    >>> arrays.state()["last"]
    array([nan, nan, nan])
    """

    def __init__(self, layout: Mapping[str, Column], per_slot: int = 1) -> None:
        self._layout = dict(layout)
        self._per_slot = per_slot
        self._n_slots = 0
        self._capacity = 0
        self._arrays = {name: _filled(column, 0) for name, column in self._layout.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array as kernels use it: writable, contiguous, at least as long as there are slots."""
        return self._arrays[name]

    @property
    def n_slots(self) -> int:
        """How many slots have been asked for."""
        return self._n_slots

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; capacity doubles, so that growing one by one is cheap."""
        if n_slots > self._capacity:
            capacity = max(n_slots, 2 * self._capacity)
            for name, column in self._layout.items():
                grown = _filled(column, capacity * self._per_slot)
                used = self._n_slots * self._per_slot
                grown[:used] = self._arrays[name][:used]
                self._arrays[name] = grown
            self._capacity = capacity
        self._n_slots = max(self._n_slots, n_slots)

    def state(self) -> State:
        """An exact copy of what the slots in use hold."""
        used = self._n_slots * self._per_slot
        return {name: array[:used].copy() for name, array in self._arrays.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Hold what `state` holds; slots beyond it, where there were more, are as unseen ones.

        Raises
        ------
        StateMismatchError
            When an array is missing, or has another type or shape.
        """
        if set(state) != set(self._layout):
            raise StateMismatchError(f"expected arrays {sorted(self._layout)}, got {sorted(state)}")
        entries = {len(array) for array in state.values()}
        if len(entries) != 1 or min(entries) % self._per_slot:
            raise StateMismatchError(f"arrays of different lengths: {sorted(entries)}")
        for name, column in self._layout.items():
            array = state[name]
            expected, found = (np.dtype(column.dtype), column.shape), (array.dtype, array.shape[1:])
            if found != expected:
                raise StateMismatchError(f"{name}: expected {expected}, got {found}")
        for name in self._layout:
            self._arrays[name] = np.array(state[name], order="C", copy=True)
        before = self._n_slots
        self._n_slots = self._capacity = min(entries) // self._per_slot
        self.grow(before)


def _filled(column: Column, n: int) -> NDArray[Any]:
    shape = (n, *column.shape)
    if column.fill == 0:
        return np.zeros(shape, column.dtype)
    return np.full(shape, column.fill, column.dtype)
