"""Per-instrument arrays that grow as instruments appear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from detectors.event_columns import State
from detectors.growing_array import GrowingArray

# Growth factors; each set of arrays takes the next one, so that not all of them resize on one instrument.
# Capacity that was never written to takes no memory.
_FACTORS = tuple(3 + step / 32 for step in range(64))
_MOST_SPARE = 1 << 16  # slots of capacity beyond those in use, at most
_UNSEEN_AHEAD = 16  # slots initialised ahead of use, at a time


class StateMismatchError(ValueError):
    """A saved state does not fit the arrays that are to restore it."""


class NoRoomError(MemoryError):
    """There is no memory for that many slots; the arrays are unchanged."""


@dataclass(frozen=True, slots=True)
class SlotColumn:
    """Layout of one array: its type, the value of an unseen instrument, and the shape of one entry."""

    dtype: DTypeLike
    fill: float = 0
    shape: tuple[int, ...] = ()


_lending: ContextVar[bool] = ContextVar("lending", default=False)
_next_factor = count()


class LentRows(np.ndarray[Any, Any]):
    """A live array by slot, lent to be looked at: the entries of a slot lie together."""


@contextmanager
def lending() -> Iterator[None]:
    """States that are taken within it are the arrays themselves, as `LentRows`, and nothing is copied.

    They are valid until anything steps or grows, and nobody may write to them.

    Examples
    --------
    >>> arrays = SlotArrays({"last": SlotColumn(np.float64)})
    >>> arrays.grow(1)
    >>> with lending():
    ...     lent = arrays.state()["last"]
    >>> arrays["last"][0] = 7.0
    >>> isinstance(lent, LentRows), float(lent[0])
    (True, 7.0)
    """
    token = _lending.set(True)
    try:
        yield
    finally:
        _lending.reset(token)


def is_lending() -> bool:
    """Whether states are lent at present; see `lending`."""
    return _lending.get()


class SlotArrays:
    """Named arrays with one entry per slot.

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
        self._factor = _FACTORS[next(_next_factor) % len(_FACTORS)]
        self._arrays = {
            name: GrowingArray(column.dtype, column.shape) for name, column in self._layout.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array as kernels take it: writable, contiguous, with at least `n_slots` entries.

        Not to be kept across a `grow`.
        """
        return self._arrays[name].array

    @property
    def n_slots(self) -> int:
        """Slots in use: the largest number that `grow` was given."""
        return self._n_slots

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; large arrays grow without being copied.

        Raises
        ------
        NoRoomError
            When there is no memory for them. Nothing has changed then, and fewer slots may still fit.
        """
        if n_slots > self._unseen_to:
            if n_slots > self._capacity:
                self._make_room(n_slots)
            self._write_unseen(min(n_slots + _UNSEEN_AHEAD, self._capacity))
        self._n_slots = max(self._n_slots, n_slots)

    def _make_room(self, n_slots: int) -> None:
        if self._extended(self._capacity_for(n_slots)) is None:
            return
        error = self._extended(n_slots)
        if error is not None:
            size = sum(growing.entry_bytes for growing in self._arrays.values())
            raise NoRoomError(f"no memory for {n_slots:,} instruments, each of {size:,} bytes") from error

    def _capacity_for(self, n_slots: int) -> int:
        return min(int(self._factor * n_slots), n_slots + _MOST_SPARE)

    def _extended(self, capacity: int) -> OSError | MemoryError | None:
        """Extend all arrays to a capacity; returns the error if that failed, with no array extended."""
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

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first use."""
        for name, column in self._layout.items():
            self[name][slot] = column.fill

    def state(self) -> State:
        """An exact copy of the slots in use; within `lending`, these themselves."""
        used = {name: self[name][: self._n_slots] for name in self._layout}
        if is_lending():
            return {name: array.view(LentRows) for name, array in used.items()}
        return {name: array.copy() for name, array in used.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from a `state`; slots in use beyond it become unseen ones.

        Raises
        ------
        StateMismatchError
            When an array is missing, or has another type or shape.
        """
        before, n_restored = self._n_slots, self._slots_in(state, self._layout)
        for name, column in self._layout.items():
            self._arrays[name] = GrowingArray(column.dtype, column.shape)
            self._arrays[name].extend(n_restored)
            self[name][:n_restored] = state[name]
        self._n_slots = self._capacity = self._unseen_to = n_restored
        self._extended(self._capacity_for(max(before, n_restored)))
        self.grow(before)

    @staticmethod
    def _slots_in(
        state: Mapping[str, NDArray[np.generic]], layout: Mapping[str, SlotColumn], per_slot: int = 1
    ) -> int:
        """The number of slots in a state, checked against a layout."""
        if set(state) != set(layout):
            raise StateMismatchError(f"expected arrays {sorted(layout)}, got {sorted(state)}")
        entries = {len(array) for array in state.values()}
        if len(entries) != 1 or min(entries) % per_slot:
            raise StateMismatchError(f"arrays of different lengths: {sorted(entries)}")
        for name, column in layout.items():
            array = state[name]
            expected, actual = (np.dtype(column.dtype), column.shape), (array.dtype, array.shape[1:])
            if actual != expected:
                raise StateMismatchError(f"{name}: expected {expected}, got {actual}")
        return min(entries) // per_slot
