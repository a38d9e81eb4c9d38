"""Per-instrument arrays that grow as instruments appear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import DTypeLike, NDArray

from detectors.array_copier import Copier
from detectors.event_columns import State
from detectors.growing_array import Growing

# by which room grows: what is not used costs no memory; others than the next arrays', so that no slot finds
# all of them full
_FACTORS = tuple(3 + step / 32 for step in range(64))
_MOST_AHEAD = 1 << 16  # slots of room beyond those in use
_UNSEEN_AHEAD = 16  # slots that are written as unseen ones at once


class StateMismatchError(ValueError):
    """A saved state does not have the shape that this part keeps."""


class NoRoomError(MemoryError):
    """There is no memory for so many slots; what there was is as it was."""


@dataclass(frozen=True, slots=True)
class SlotColumn:
    """How one array looks: its type, what an unseen instrument holds, and the shape of one entry."""

    dtype: DTypeLike
    fill: float = 0
    shape: tuple[int, ...] = ()


_all: WeakSet[SlotArrays] = WeakSet()
_numbers = count()


def all_arrays() -> list[SlotArrays]:
    """Those that are in use in this process, for what is done to all of them."""
    return list(_all)


class SlotArrays:
    """Named arrays with one entry for each slot.

    Parameters
    ----------
    layout
        The arrays by name.

    Examples
    --------
    >>> arrays = SlotArrays({"last": SlotColumn(np.float64, fill=np.nan)})
    >>> arrays.grow(3)
    >>> arrays.state()["last"]
    array([nan, nan, nan])
    """

    def __init__(self, layout: Mapping[str, SlotColumn]) -> None:
        self._layout = dict(layout)
        self._n_slots = 0
        self._capacity = 0
        self._unseen_to = 0
        self._factor = _FACTORS[next(_numbers) % len(_FACTORS)]
        self._arrays = {name: Growing(column.dtype, column.shape) for name, column in self._layout.items()}
        self._copiers = {name: Copier() for name in self._layout}
        _all.add(self)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array as kernels use it: writable, contiguous, at least as long as there are slots.

        Not to be kept over a `grow`.
        """
        return self._arrays[name].array

    @property
    def n_slots(self) -> int:
        """How many slots have been asked for."""
        return self._n_slots

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; what is there is not copied once it is large.

        Raises
        ------
        NoRoomError
            Where there is no memory for them. Nothing has changed then, and fewer may be asked for.
        """
        if n_slots > self._unseen_to:
            if n_slots > self._capacity:
                self._make_room(n_slots)
            self._write_unseen(min(n_slots + _UNSEEN_AHEAD, self._capacity))
        self._n_slots = max(self._n_slots, n_slots)

    def _make_room(self, n_slots: int) -> None:
        if self._extended(self._room_for(n_slots)) is None:
            return
        error = self._extended(n_slots)
        if error is not None:
            size = sum(growing.entry_bytes for growing in self._arrays.values())
            raise NoRoomError(f"no memory for {n_slots:,} instruments, each of {size:,} bytes") from error

    def _room_for(self, n_slots: int) -> int:
        return min(int(self._factor * n_slots), n_slots + _MOST_AHEAD)

    def _extended(self, capacity: int) -> OSError | MemoryError | None:
        """Give all arrays room for so many slots; what came in between, where it was given to none."""
        try:
            for growing in self._arrays.values():
                growing.extend(capacity)
        except (OSError, MemoryError) as error:
            for growing in self._arrays.values():
                growing.shorten(self._capacity)
            return error
        self._capacity = capacity
        return None

    def _write_unseen(self, end: int) -> None:
        for name, column in self._layout.items():
            if column.fill != 0:
                self[name][self._unseen_to : end] = column.fill
        self._unseen_to = end

    def state(self) -> State:
        """An exact copy of what the slots in use hold."""
        return {name: self._copiers[name].copy(self[name][: self._n_slots]) for name in self._layout}

    def lacks_for_copies(self) -> int:
        """Bytes that `state` would have to get first."""
        wanted = {
            name: ((self._n_slots, *column.shape), column.dtype) for name, column in self._layout.items()
        }
        return sum(self._copiers[name].lacks(*array) for name, array in wanted.items())

    def reserve_copies(self) -> None:
        """Have memory ready for `state`, on any thread: getting it takes longer than copying."""
        for name, column in self._layout.items():
            self._copiers[name].reserve((self._n_slots, *column.shape), column.dtype)

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Hold what `state` holds; slots beyond it, where there were more, are as unseen ones.

        Raises
        ------
        StateMismatchError
            When an array is missing, or has another type or shape.
        """
        before, held = self._n_slots, self._held(state, self._layout)
        for name, column in self._layout.items():
            self._arrays[name] = Growing(column.dtype, column.shape)
            self._arrays[name].extend(held)
            self[name][:held] = state[name]
        self._n_slots = self._capacity = self._unseen_to = held
        self._extended(self._room_for(max(before, held)))
        self.grow(before)

    @staticmethod
    def _held(
        state: Mapping[str, NDArray[np.generic]], layout: Mapping[str, SlotColumn], per_slot: int = 1
    ) -> int:
        """How many slots a state is of, if it is one of this layout."""
        if set(state) != set(layout):
            raise StateMismatchError(f"expected arrays {sorted(layout)}, got {sorted(state)}")
        entries = {len(array) for array in state.values()}
        if len(entries) != 1 or min(entries) % per_slot:
            raise StateMismatchError(f"arrays of different lengths: {sorted(entries)}")
        for name, column in layout.items():
            array = state[name]
            expected, found = (np.dtype(column.dtype), column.shape), (array.dtype, array.shape[1:])
            if found != expected:
                raise StateMismatchError(f"{name}: expected {expected}, got {found}")
        return min(entries) // per_slot
