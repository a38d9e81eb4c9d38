"""Banks: features of one sort are stored side by side and computed in one kernel call for all windows.

A kernel call costs more than computing a few rows, and memory that lies together is fetched together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.features.feature_rows import FeatureRows
from detectors.series_arrays import SeriesArrays, SeriesSpan
from detectors.slot_arrays import SlotArrays, SlotColumn

_Sort = TypeVar("_Sort", bound="ValueBank")


class SharedCopies:
    """Copies of arrays that several parts share; each array is copied once."""

    def __init__(self) -> None:
        self._copies: dict[SlotArrays, State] = {}

    def of(self, arrays: SlotArrays) -> State:
        """An exact copy of these arrays."""
        if arrays not in self._copies:
            self._copies[arrays] = arrays.state()
        return self._copies[arrays]


class Bank:
    """Series of one sort, for all slots of a task.

    All series are added before the first `grow`, which fixes their number.
    """

    layout: ClassVar[Mapping[str, SlotColumn]]
    """The arrays of one series."""

    def __init__(self) -> None:
        self._n_series = 0
        self._arrays: SeriesArrays | None = None

    @property
    def arrays(self) -> SeriesArrays:
        """The arrays of all series."""
        if self._arrays is None:
            self._arrays = SeriesArrays(self.layout, self._n_series)
        return self._arrays

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self.arrays.grow(n_slots)

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot of all series back to `to`, in ns; see `FeatureSet.rebase`."""
        raise NotImplementedError

    def forget(self, slot: int) -> None:
        """Make one slot of all series as it was before its first row."""
        self.arrays.forget(slot)

    def _add(self, count: int) -> SeriesSpan:
        self._n_series += count
        return SeriesSpan(self._n_series - count, count)


class Part:
    """The series of a bank that belong to one feature.

    Parameters
    ----------
    bank
        The bank.
    span
        Its series in the bank.
    """

    def __init__(self, bank: Bank, span: SeriesSpan) -> None:
        self._home = bank
        self._span = span

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._home.grow(n_slots)

    def state(self, copies: SharedCopies) -> State:
        """An exact copy of the state."""
        arrays = self._home.arrays
        return arrays.series_of(copies.of(arrays), self._span)

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._home.arrays.restore_series(state, self._span)


class ValueBank(Bank):
    """A bank in which each series has a value on every row."""

    def __init__(self) -> None:
        super().__init__()
        self.values: NDArray[np.float64] = np.empty((0, 0))
        """float64[series, n], of the last batch stepped."""

    def step(self, rows: FeatureRows) -> None:
        """Compute `values`."""
        raise NotImplementedError

    def _add_series(self) -> ValueSeries:
        return ValueSeries(self, self._add(1))


class ValueSeries(Part):
    """One series of a bank, with a value on every row: a `Node`.

    Parameters
    ----------
    bank
        The bank.
    span
        The series in the bank.
    """

    def __init__(self, bank: ValueBank, span: SeriesSpan) -> None:
        super().__init__(bank, span)
        self._bank = bank

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        """The values that the bank computed for the batch, float64[n]."""
        del rows
        return np.asarray(self._bank.values[self._span.first])

    def rebase(self, slot: int, to: int) -> None:
        """Nothing: its bank steps back with all its series."""

    def forget(self, slot: int) -> None:
        """Nothing: its bank forgets the slot with all its series."""


class Banks:
    """The banks of one feature set, one for each sort that its features need."""

    def __init__(self) -> None:
        self._banks: dict[type[ValueBank], ValueBank] = {}

    def of(self, sort: type[_Sort]) -> _Sort:
        """The bank of a sort, made on first use."""
        if sort not in self._banks:
            self._banks[sort] = sort()
        return cast(_Sort, self._banks[sort])

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        for bank in self._banks.values():
            bank.grow(n_slots)

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot of all banks back to `to`, in ns; see `FeatureSet.rebase`."""
        for bank in self._banks.values():
            bank.rebase(slot, to)

    def forget(self, slot: int) -> None:
        """Make one slot of all banks as it was before its first row."""
        for bank in self._banks.values():
            bank.forget(slot)

    def step(self, rows: FeatureRows) -> None:
        """Compute all series of all banks at each row."""
        for bank in self._banks.values():
            bank.step(rows)
