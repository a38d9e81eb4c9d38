"""An array that grows along its first axis without being copied."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAPPED = 1 << 16
"""Bytes from which an array gets its own memory mapping: its pages can be moved instead of copied, and take
no memory before they are written to."""


LARGE = 1 << 22
"""Bytes from which an array asks for huge pages, where the system has them: with small ones most accesses
would miss the processor's TLB."""

_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class GrowingArray:
    """An array of zeros that can be extended, keeping its content.

    From `MAPPED` bytes on it is an anonymous memory mapping, which the system can move (`mremap`); where it
    cannot, the array is copied. Capacity that was never written to takes no memory.

    Parameters
    ----------
    dtype
        Type of the elements.
    shape
        Shape of one entry.

    Examples
    --------
    >>> growing = GrowingArray(np.int64, (2,))
    >>> growing.extend(1)
    >>> growing.array[0] = 7
    >>> growing.extend(3)
    >>> growing.array.tolist()
    [[7, 7], [0, 0], [0, 0]]
    """

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self._dtype = np.dtype(dtype)
        self._shape = shape
        self.entry_bytes = math.prod(shape) * self._dtype.itemsize
        """Bytes per entry."""
        self._pages: mmap.mmap | None = None
        self.array: NDArray[Any] = np.zeros((0, *shape), dtype)
        """The array itself; a reference kept across an `extend` may still show the old one."""

    def extend(self, entries: int) -> None:
        """Make it at least `entries` long.

        Raises
        ------
        OSError, MemoryError
            When there is no memory. Length and content are unchanged then.
        """
        if entries <= len(self.array):
            return
        size = entries * self.entry_bytes
        if size < MAPPED:
            self._copy_to(np.zeros((entries, *self._shape), self._dtype))
            self._pages = None
        elif self._pages is None or not self._move(self._pages, size):
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._copy_to(self._view(pages))
            self._pages = pages
        if size >= LARGE and self._pages is not None and _LARGE_PAGES is not None:
            with suppress(OSError):  # not supported by this system
                self._pages.madvise(_LARGE_PAGES)

    def shorten(self, entries: int) -> None:
        """Give back the memory beyond the first `entries`, which must not have been written to.

        Does nothing if the array has no mapping of its own, or another array still refers to it.
        """
        if self._pages is None or entries >= len(self.array):
            return
        if entries == 0:
            self._pages, self.array = None, np.zeros((0, *self._shape), self._dtype)
        else:
            self._move(self._pages, entries * self.entry_bytes)

    def _move(self, pages: mmap.mmap, size: int) -> bool:
        """Resize the mapping; False if the system cannot, or another array still refers to it."""
        self.array = self.array[:0].copy()  # a mapping that an array refers to cannot be moved
        try:
            pages.resize(size)
        except (BufferError, SystemError):
            return False
        finally:
            self.array = self._view(pages)
        return True

    def _copy_to(self, longer: NDArray[Any]) -> None:
        longer[: len(self.array)] = self.array
        self.array = longer

    def _view(self, pages: mmap.mmap) -> NDArray[Any]:
        entries = len(pages) // self.entry_bytes
        flat = np.frombuffer(pages, self._dtype, entries * math.prod(self._shape))
        return flat.reshape((entries, *self._shape))
