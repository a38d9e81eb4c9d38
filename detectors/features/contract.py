"""What a family of features is, and what it sees of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.columns import TICK, Columns, State
from detectors.fields import Shape
from detectors.kernels import kernel

Unit = Literal["bps", "ratio", "per_second", "seconds", "number"]

NS = 1_000_000_000
"""Nanoseconds in a second."""


class Rows:
    """One batch as feature kernels want it: writable contiguous columns, and what several of them share.

    Parameters
    ----------
    columns
        The batch.
    """

    def __init__(self, columns: Columns) -> None:
        self.slot = np.require(columns.slot, np.int32, ("C", "W"))
        self.kind = np.require(columns.kind, np.int8, ("C", "W"))
        self.clock = np.require(columns.clock, np.int64, ("C", "W"))
        self.tick: NDArray[np.bool_] = self.kind == TICK
        self._fields = columns.fields
        self._masks: dict[frozenset[int], NDArray[np.bool_]] = {}
        self._numbers: dict[tuple[str, frozenset[int]], NDArray[np.float64]] = {}
        self._buckets: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.slot)

    def of(self, kinds: frozenset[int]) -> NDArray[np.bool_]:
        """Which rows are of one of these kinds."""
        if kinds not in self._masks:
            mask = np.zeros(len(self), np.bool_)
            for kind in sorted(kinds):
                mask |= self.kind == kind
            self._masks[kinds] = mask
        return self._masks[kinds]

    def field(self, name: str, kinds: frozenset[int]) -> NDArray[np.float64]:
        """A field on rows of these kinds, NaN elsewhere and where it is not finite. Not to be written to."""
        if (name, kinds) not in self._numbers:
            column = self._fields.get(name)
            number = np.empty(len(self))
            if column is None:
                number.fill(np.nan)
            else:
                _finite_rows(np.require(column, np.float64, ("C", "W")), self.of(kinds), number)
            self._numbers[name, kinds] = number
        return self._numbers[name, kinds]

    def bucket(self, bucket_ns: int) -> NDArray[np.int64]:
        """Which stretch of `bucket_ns` each row's clock is in. Not to be written to."""
        if bucket_ns not in self._buckets:
            self._buckets[bucket_ns] = self.clock // bucket_ns
        return self._buckets[bucket_ns]


@kernel
def _finite_rows(column, wanted, out):  # type: ignore[no-untyped-def]
    for row in range(column.shape[0]):
        value = column[row]
        out[row] = value if wanted[row] and math.isfinite(value) else np.nan


class Node(Protocol):
    """A running computation: one value on every row, one state for every slot."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(self, rows: Rows) -> NDArray[np.float64]:
        """The value as of each row, float64[n]; `TICK` rows change nothing."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Go on from a copy."""


Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Makes other values of a feature's, row by row; what it is given it leaves as it is."""


@dataclass(frozen=True, slots=True)
class Family:
    """A feature by its stem: what it measures, and how to compute it for one window.

    Parameters
    ----------
    stem
        The name without its window.
    doc
        One line for people.
    unit, shape
        What its values are measured in, and how they behave.
    fed_by
        The kinds of rows on which its value can change by what the row says.
    needs
        The event fields it reads.
    build
        Makes the node for a window in ns (0 where `windowed` is false).
    windowed
        Whether its name ends in a window.
    version
        Goes up whenever the same events would give other values, or a state looks otherwise.
    of, convert
        For what is made, row by row, of another family's values over the same window: its stem, and
        the function. Such a family has no state of its own, and `build` is None.
    """

    stem: str
    doc: str
    unit: Unit
    shape: Shape
    fed_by: frozenset[int]
    needs: frozenset[str]
    build: Callable[[int], Node] | None
    windowed: bool = True
    version: int = 1
    of: str | None = None
    convert: Convert | None = None


Values = Mapping[str, NDArray[np.float64]]
"""Features by name, each float64[n]."""
