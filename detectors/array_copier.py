"""Repeated copies of an array into the same memory."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Any = TypeVar("_Any", bound=np.generic)
_SMALL_BYTES = 4096
_SPARE = 8  # an eighth more memory than needed, so that an array can grow that much without a new buffer


class Copier:
    """Copies arrays into the memory of its last copy, unless that copy is still referred to.

    Fresh memory from the system has no pages yet, and page faults take several times as long as copying.

    Examples
    --------
    >>> copier = Copier()
    >>> kept = copier.copy(np.arange(3))
    >>> again = copier.copy(np.arange(3, 6))
    >>> kept, again
    (array([0, 1, 2]), array([3, 4, 5]))
    """

    def __init__(self) -> None:
        self._memory: NDArray[Any] | None = None

    def copy(self, array: NDArray[_Any]) -> NDArray[_Any]:
        """An exact copy, to which nobody else refers."""
        memory = self._memory
        if memory is None or sys.getrefcount(memory) > _REFERENCES_OF_TWO or not _fits(memory, array):
            if array.nbytes <= _SMALL_BYTES:
                return array.copy()
            memory = self._memory = _memory_for(array.shape, array.dtype)
        copy = memory[: len(array)]
        np.copyto(copy, array)
        return copy

    def lacks(self, shape: tuple[int, ...], dtype: DTypeLike) -> int:
        """Bytes that a copy of such an array would have to allocate."""
        example = np.broadcast_to(np.zeros((), dtype), shape)
        memory = self._memory
        if example.nbytes <= _SMALL_BYTES or (memory is not None and _fits(memory, example)):
            return 0
        return example.nbytes

    def reserve(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Allocate memory, with its pages, for a copy of such an array; on any thread."""
        if self.lacks(shape, dtype):
            memory = _memory_for(shape, dtype)
            memory.fill(0)  # touches every page; numpy releases the GIL meanwhile
            self._memory = memory


def _memory_for(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    return np.empty((shape[0] + shape[0] // _SPARE, *shape[1:]), dtype)


def _count_of_two() -> int:
    """The reference count that this Python reports for an object held by a list and a local variable."""
    holder = [np.empty(0)]
    last = holder[0]
    return sys.getrefcount(last)


_REFERENCES_OF_TWO = _count_of_two()


def _fits(memory: NDArray[Any], array: NDArray[Any]) -> bool:
    same_layout = memory.dtype == array.dtype and memory.shape[1:] == array.shape[1:]
    return same_layout and len(memory) >= len(array)
