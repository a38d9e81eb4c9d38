"""What features of one sort keep side by side and compute in one go, whatever their windows.

Calling a kernel takes longer than a few rows do, and what lies together is fetched together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.features.feature_rows import FeatureRows
from detectors.series_arrays import LaneArrays, Lanes
from detectors.slot_arrays import SlotArrays, SlotColumn

_Sort = TypeVar("_Sort", bound="ValueBank")


class Copies:
    """Copies of arrays, each taken once: several parts may share them."""

    def __init__(self) -> None:
        self._taken: dict[SlotArrays, State] = {}

    def of(self, arrays: SlotArrays) -> State:
        """An exact copy of all that these arrays hold."""
        if arrays not in self._taken:
            self._taken[arrays] = arrays.state()
        return self._taken[arrays]


class Bank:
    """Lanes of one sort, in all slots of a task.

    Lanes are added first; from the first `grow` on there are as many as there are.
    """

    layout: ClassVar[Mapping[str, SlotColumn]]
    """The arrays of one lane."""

    def __init__(self) -> None:
        self._n_lanes = 0
        self._kept: LaneArrays | None = None

    @property
    def arrays(self) -> LaneArrays:
        """What all lanes keep."""
        if self._kept is None:
            self._kept = LaneArrays(self.layout, self._n_lanes)
        return self._kept

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self.arrays.grow(n_slots)

    def _add(self, count: int) -> Lanes:
        self._n_lanes += count
        return Lanes(self._n_lanes - count, count)


class Part:
    """What one feature has of a bank.

    Parameters
    ----------
    bank
        Which.
    lanes
        Where in it.
    """

    def __init__(self, bank: Bank, lanes: Lanes) -> None:
        self._kept_in = bank
        self._lanes = lanes

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._kept_in.grow(n_slots)

    def state(self, copies: Copies) -> State:
        """An exact copy of the state."""
        arrays = self._kept_in.arrays
        return arrays.lanes_of(copies.of(arrays), self._lanes)

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._kept_in.arrays.restore_lanes(state, self._lanes)


class ValueBank(Bank):
    """A bank of which each lane is a value on every row."""

    def __init__(self) -> None:
        super().__init__()
        self.values: NDArray[np.float64] = np.empty((0, 0))
        """float64[lanes, n], of the batch that was stepped last."""

    def step(self, rows: FeatureRows) -> None:
        """Compute `values`."""
        raise NotImplementedError

    def _lane(self) -> Lane:
        return Lane(self, self._add(1))


class Lane(Part):
    """One lane of a bank that gives a value on every row: a `Node`.

    Parameters
    ----------
    bank
        Which.
    lanes
        Where in it.
    """

    def __init__(self, bank: ValueBank, lanes: Lanes) -> None:
        super().__init__(bank, lanes)
        self._bank = bank

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        """What the bank has found for the batch, float64[n]."""
        del rows
        return np.asarray(self._bank.values[self._lanes.first])


class Banks:
    """The banks of one feature set, one of each sort that any of its features needs."""

    def __init__(self) -> None:
        self._banks: dict[type[ValueBank], ValueBank] = {}

    def of(self, sort: type[_Sort]) -> _Sort:
        """The bank of a sort, which is made where there is none yet."""
        if sort not in self._banks:
            self._banks[sort] = sort()
        return cast(_Sort, self._banks[sort])

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        for bank in self._banks.values():
            bank.grow(n_slots)

    def step(self, rows: FeatureRows) -> None:
        """Compute all lanes of all banks as of each row."""
        for bank in self._banks.values():
            bank.step(rows)
