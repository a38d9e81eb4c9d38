"""Copies of state that are taken again and again, in memory that is used again."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Any = TypeVar("_Any", bound=np.generic)
_SMALL_BYTES = 4096
_SPARE = 8  # an eighth: so much an array may grow before other memory is needed


class Copier:
    """Copies one array after another, into the last copy's memory where nobody holds that any more.

    Memory that was just handed out by the system has no pages yet, and getting them takes several times as
    long as copying does.

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
        """An exact copy, which the caller alone holds."""
        memory = self._memory
        if memory is None or sys.getrefcount(memory) > _HELD_BY_TWO or not _fits(memory, array):
            if array.nbytes <= _SMALL_BYTES:
                return array.copy()
            memory = self._memory = _memory_for(array.shape, array.dtype)
        copied = memory[: len(array)]
        np.copyto(copied, array)
        return copied

    def lacks(self, shape: tuple[int, ...], dtype: DTypeLike) -> int:
        """Bytes of memory that a copy of an array like this would need, and that are not there."""
        wanted = np.broadcast_to(np.zeros((), dtype), shape)
        memory = self._memory
        if wanted.nbytes <= _SMALL_BYTES or (memory is not None and _fits(memory, wanted)):
            return 0
        return wanted.nbytes

    def reserve(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Have memory, with its pages, for a copy of an array like this; on any thread."""
        if self.lacks(shape, dtype):
            memory = _memory_for(shape, dtype)
            memory.fill(0)  # others go on meanwhile: no lock is held
            self._memory = memory


def _memory_for(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    return np.empty((shape[0] + shape[0] // _SPARE, *shape[1:]), dtype)


def _count_of_two() -> int:
    """What is counted, by this version of Python, of what an object and a local variable hold."""
    held = [np.empty(0)]
    last = held[0]
    return sys.getrefcount(last)


_HELD_BY_TWO = _count_of_two()


def _fits(memory: NDArray[Any], array: NDArray[Any]) -> bool:
    alike = memory.dtype == array.dtype and memory.shape[1:] == array.shape[1:]
    return alike and len(memory) >= len(array)
