"""Slot arrays that several parts share: what is computed together lies together in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.slot_arrays import SlotArrays, SlotColumn


@dataclass(frozen=True, slots=True)
class Lanes:
    """Lanes of one part, one after the other."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """The lane behind the last one."""
        return self.first + self.count


class LaneArrays(SlotArrays):
    """Slot arrays in which the entry of a slot is a row of lanes, each of them one part's.

    Parameters
    ----------
    layout
        The arrays by name, as one lane has them.
    lanes
        How many there are.

    Examples
    --------
    >>> arrays = LaneArrays({"last": SlotColumn(np.float64, fill=np.nan)}, 2)
    >>> arrays.grow(3)
    >>> arrays["last"][:3, 1] = 7.0
    >>> arrays.lanes_of(arrays.state(), Lanes(1, 1))["last"]
    array([7., 7., 7.])
    """

    def __init__(self, layout: Mapping[str, SlotColumn], lanes: int) -> None:
        self._lane = dict(layout)
        super().__init__(
            {name: SlotColumn(one.dtype, one.fill, (lanes, *one.shape)) for name, one in layout.items()}
        )

    def lanes_of(self, copied: State, lanes: Lanes) -> State:
        """What a copy, as `state` gives it, holds of some lanes: an entry for each lane of each slot."""
        return {
            name: array[:, lanes.first]
            if lanes.count == 1
            else array[:, lanes.first : lanes.end].reshape(-1, *array.shape[2:])
            for name, array in copied.items()
        }

    def restore_lanes(self, state: Mapping[str, NDArray[np.generic]], lanes: Lanes) -> None:
        """Let some lanes hold what `lanes_of` gave of them; where it holds nothing they are as unseen.

        Raises
        ------
        StateMismatchError
            When an array is missing, or has another type or shape.
        """
        held = self._held(state, self._lane, lanes.count)
        self.grow(held)
        for name, column in self._lane.items():
            mine = self[name][:, lanes.first : lanes.end]
            mine[:held] = state[name].reshape(held, lanes.count, *column.shape)
            mine[held : self._unseen_to] = column.fill
