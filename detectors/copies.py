"""Copies of state that are taken again and again, in memory that is used again."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Any = TypeVar("_Any", bound=np.generic)
_SMALL_BYTES = 4096


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
        self._last: NDArray[Any] | None = None

    def copy(self, array: NDArray[_Any]) -> NDArray[_Any]:
        """An exact copy, which the caller alone holds."""
        last = self._last
        if last is None or sys.getrefcount(last) > _HELD_BY_TWO or not _fits(last, array):
            last = array.copy()
            self._last = last if array.nbytes > _SMALL_BYTES else None
            return last
        np.copyto(last, array)
        return last


def _count_of_two() -> int:
    """What is counted, by this version of Python, of what an object and a local variable hold."""
    held = [np.empty(0)]
    last = held[0]
    return sys.getrefcount(last)


_HELD_BY_TWO = _count_of_two()


def _fits(memory: NDArray[Any], array: NDArray[Any]) -> bool:
    return memory.shape == array.shape and memory.dtype == array.dtype
