"""Memory between pages that cannot be touched: who reads a byte too far dies of it."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


class GuardedMemory:
    """Writable pages, an untouchable one before and one behind them."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // _PAGE) * _PAGE
        self._map = mmap.mmap(-1, self.size + 2 * _PAGE)
        self._all = np.frombuffer(self._map, np.uint8)
        address = self._all.ctypes.data
        for page in (address, address + _PAGE + self.size):
            if _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(_PAGE), 0) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def at_end(self, size: int, beyond: int = 0) -> NDArray[np.uint8]:
        """The last bytes before the page behind, the last `beyond` of them on it and not to be touched."""
        behind = _PAGE + self.size + beyond
        return self._all[behind - size : behind]

    def at_start(self, size: int) -> NDArray[np.uint8]:
        """The first bytes behind the page before."""
        return self._all[_PAGE : _PAGE + size]


def spans(values: Sequence[bytes | None]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each value lies when they stand side by side, and its size."""
    size = np.array([-1 if value is None else len(value) for value in values], np.int64)
    room = np.maximum(size, 0)
    return room.cumsum() - room, size
