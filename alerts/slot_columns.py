"""Columns of state with one entry per instrument, which grow as instruments appear."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Growth factors; each set of columns takes the next one, so that not all of them resize on one instrument.
_FACTORS = tuple(1.5 + step / 64 for step in range(64))
_LEAST_CAPACITY = 8
_UNSEEN_AHEAD = 64  # slots initialised ahead of use, at a time: capacity beyond them takes no memory
_next_factor = count()


class SlotColumns:
    """Named columns with one entry per slot.

    Parameters
    ----------
    layout
        Type of each column, and its value for an unseen slot.

    Examples
    --------
    >>> columns = SlotColumns({"last": (np.int64, -1)})
    >>> columns.grow(2)
    >>> columns["last"][0] = 7
    >>> columns.state()["last"].tolist()
    [7, -1]
    """

    def __init__(self, layout: Mapping[str, tuple[type[np.generic], float]]) -> None:
        self._layout = dict(layout)
        self._n_slots = 0
        self._unseen_to = 0
        self._factor = _FACTORS[next(_next_factor) % len(_FACTORS)]
        self._columns: dict[str, NDArray[Any]] = {
            name: np.empty(0, dtype) for name, (dtype, _) in layout.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column as kernels take it, with at least `n_slots` entries; not to be kept across a `grow`."""
        return self._columns[name]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All columns in the order of the layout; not to be kept across a `grow`."""
        return tuple(self._columns.values())

    @property
    def n_slots(self) -> int:
        """Slots in use: the largest number that `grow` was given."""
        return self._n_slots

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; those in use keep their values."""
        if n_slots > self._unseen_to:
            if n_slots > self._capacity:
                self._make_room(max(int(self._factor * n_slots), _LEAST_CAPACITY))
            self._write_unseen(min(n_slots + _UNSEEN_AHEAD, self._capacity))
        self._n_slots = max(n_slots, self._n_slots)

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first use."""
        for name, (_, unseen) in self._layout.items():
            self._columns[name][slot] = unseen

    def state(self, *, lend: bool = False) -> dict[str, NDArray[np.generic]]:
        """A copy of the slots in use, by column; if `lend` the columns themselves, until the next step."""
        used = {name: column[: self._n_slots] for name, column in self._columns.items()}
        return used if lend else {name: column.copy() for name, column in used.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from a `state`; slots in use beyond it become unseen ones.

        Raises
        ------
        KeyError
            When a column is missing.
        """
        self.grow(max(len(column) for column in state.values()))
        for name, column in self._columns.items():
            n_restored = len(state[name])
            column[:n_restored] = state[name]
            column[n_restored : self._unseen_to] = self._layout[name][1]

    @property
    def _capacity(self) -> int:
        return min(len(column) for column in self._columns.values())

    def _make_room(self, capacity: int) -> None:
        for name, column in self._columns.items():
            grown = np.empty(capacity, column.dtype)
            grown[: self._unseen_to] = column[: self._unseen_to]
            self._columns[name] = grown

    def _write_unseen(self, end: int) -> None:
        for name, (_, unseen) in self._layout.items():
            self._columns[name][self._unseen_to : end] = unseen
        self._unseen_to = end
