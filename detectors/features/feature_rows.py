"""A batch in the form that feature kernels take."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import Columns, plain
from detectors.kernels import kernel


class FeatureRows:
    """One batch in the form that feature kernels take: contiguous writable columns, each made once.

    Parameters
    ----------
    columns
        The batch.
    """

    def __init__(self, columns: Columns) -> None:
        self.slot = plain(columns.slot, np.int32)
        self.kind = plain(columns.kind, np.int8)
        self.clock = plain(columns.clock, np.int64)
        self._fields = columns.fields
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._numbers: dict[tuple[str, frozenset[int]], NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.slot)

    def column(self, name: str) -> NDArray[np.float64]:
        """A field, all NaN if no event of the batch has it. Not to be written to."""
        if name not in self._columns:
            column = self._fields.get(name)
            self._columns[name] = np.full(len(self), np.nan) if column is None else plain(column, np.float64)
        return self._columns[name]

    def field(self, name: str, kinds: frozenset[int]) -> NDArray[np.float64]:
        """A field on rows of these kinds, NaN elsewhere and where it is not finite. Not to be written to."""
        if name not in self._fields:
            return self.column(name)
        if (name, kinds) not in self._numbers:
            number = np.empty(len(self))
            _finite_rows(self.column(name), self.kind, bits_of(kinds), number)
            self._numbers[name, kinds] = number
        return self._numbers[name, kinds]


@cache
def bits_of(kinds: frozenset[int]) -> int:
    """Kinds of rows as a bit mask, for `is_of`.

    Examples
    --------
    >>> bits_of(frozenset({0, 2}))
    5
    """
    return sum(1 << kind for kind in kinds)


@kernel
def is_of(kind, bits):  # type: ignore[no-untyped-def]
    """Whether a kind is in a mask that `bits_of` made; 1 or 0."""
    return bits >> np.int64(kind) & 1


@kernel
def _finite_rows(column, kind, bits, out):  # type: ignore[no-untyped-def]
    for row in range(column.shape[0]):
        value = column[row]
        out[row] = value if is_of(kind[row], bits) and math.isfinite(value) else np.nan
