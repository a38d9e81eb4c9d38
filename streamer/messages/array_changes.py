"""What changed in the arrays of a task's state, as units of bytes that replace those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNIT = 64
"""Bytes that are compared and written together, where an array has no rows to be cut by."""

_WORD = 8


@dataclass(frozen=True, slots=True, eq=False)
class ArrayChange:
    """One array as it is now, and which of its bytes are not as they were.

    Parameters
    ----------
    name, dtype, shape
        The array.
    kept
        False where it takes the place of whatever was there; True where it goes on from that, with zeros for
        bytes that are new.
    unit
        Bytes of a unit; the last unit may be shorter.
    index
        uint32[k], the units to be replaced, in order; None for all.
    data
        uint8[], all bytes of the array as it is now.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    kept: bool
    unit: int
    index: NDArray[np.uint32] | None
    data: NDArray[np.uint8]


def unit_of(row_bytes: int) -> int:
    """The bytes of a unit for rows of so many bytes: they divide a row evenly, into whole words if they can.

    Examples
    --------
    >>> unit_of(8), unit_of(10_240), unit_of(200), unit_of(8 * 17), unit_of(1)
    (8, 64, 40, 8, 1)
    """
    step = _WORD if row_bytes % _WORD == 0 else 1
    return next(unit for unit in range(min(row_bytes, UNIT), 0, -step) if row_bytes % unit == 0)


def flat_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """All bytes of an array in order, uint8[]; without a copy where it is contiguous.

    Examples
    --------
    >>> flat_bytes(np.array([1, 256], np.int16)).tolist()
    [1, 0, 0, 1]
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8) if flat.nbytes else np.empty(0, np.uint8)
