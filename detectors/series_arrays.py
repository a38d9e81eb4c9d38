"""Slot arrays shared by several series, so that what is computed together lies together in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.slot_arrays import SlotArrays, SlotColumn, is_lending


@dataclass(frozen=True, slots=True)
class SeriesSpan:
    """The consecutive series of one part."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """One past the last series."""
        return self.first + self.count


class SeriesArrays(SlotArrays):
    """Slot arrays in which the entry of a slot is a row of series, each owned by one part.

    Parameters
    ----------
    layout
        The arrays of one series, by name.
    n_series
        How many series there are.

    Examples
    --------
    >>> arrays = SeriesArrays({"last": SlotColumn(np.float64, fill=np.nan)}, 2)
    >>> arrays.grow(3)
    >>> arrays["last"][:3, 1] = 7.0
    >>> arrays.series_of(arrays.state(), SeriesSpan(1, 1))["last"]
    array([7., 7., 7.])
    """

    def __init__(self, layout: Mapping[str, SlotColumn], n_series: int) -> None:
        self._series_layout = dict(layout)
        super().__init__(
            {
                name: SlotColumn(column.dtype, column.fill, (n_series, *column.shape))
                for name, column in layout.items()
            }
        )

    def series_of(self, state: State, span: SeriesSpan) -> State:
        """Some series out of what `state` gave: an entry for each of these series in each slot.

        What is lent stays an entry for each slot, so that nothing has to be copied.
        """
        if span.count == 1:
            return {name: array[:, span.first] for name, array in state.items()}
        some = {name: array[:, span.first : span.end] for name, array in state.items()}
        if is_lending():
            return some
        return {name: array.reshape(-1, *array.shape[2:]) for name, array in some.items()}

    def restore_series(self, state: Mapping[str, NDArray[np.generic]], span: SeriesSpan) -> None:
        """Restore some series from what `series_of` gave; slots beyond it become unseen ones.

        Raises
        ------
        StateMismatchError
            When an array is missing, or has another type or shape.
        """
        state = {name: self._by_series(name, array, span.count) for name, array in state.items()}
        n_slots = self._slots_in(state, self._series_layout, span.count)
        self.grow(n_slots)
        for name, column in self._series_layout.items():
            own = self[name][:, span.first : span.end]
            own[:n_slots] = state[name].reshape(n_slots, span.count, *column.shape)
            own[n_slots : self._unseen_to] = column.fill

    def _by_series(self, name: str, array: NDArray[np.generic], count: int) -> NDArray[np.generic]:
        """An entry for each series, where the state was lent and has one for each slot."""
        column = self._series_layout.get(name)
        by_slot = column is not None and array.shape[1:] == (count, *column.shape)
        return array.reshape(-1, *array.shape[2:]) if by_slot else array
