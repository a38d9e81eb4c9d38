"""Arrays that grow along their first axis without being copied."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAPPED = 1 << 16
"""Bytes from which an array lies in pages of its own: those can be moved instead of copied, and
take no memory before they are written to."""


LARGE = 1 << 22
"""Bytes from which an array's pages are to be large ones, where the system has such: of so many small ones
the processor cannot keep in mind where they are, and looks that up again and again."""

_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class Growing:
    """An array of zeros that can be made longer, keeping what it holds.

    Longer arrays get pages from the system that are moved to where there is room (`mremap`); where
    the system has no such thing they are copied. Room that was never written to costs nothing.

    Parameters
    ----------
    dtype
        Type of its elements.
    shape
        Shape of one entry.

    Examples
    --------
    >>> growing = Growing(np.int64, (2,))
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
        """Bytes that one entry takes."""
        self._pages: mmap.mmap | None = None
        self.array: NDArray[Any] = np.zeros((0, *shape), dtype)
        """The array itself. Whoever keeps it over an `extend` may hold what it was before."""

    def extend(self, entries: int) -> None:
        """Make it at least `entries` long.

        Raises
        ------
        OSError, MemoryError
            Where there is no memory. It is as long as before then, and holds what it held.
        """
        if entries <= len(self.array):
            return
        size = entries * self.entry_bytes
        if size < MAPPED:
            self._copy_to(np.zeros((entries, *self._shape), self._dtype))
            self._pages = None
        elif self._pages is None or not self._move(self._pages, size):
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._copy_to(self._seen(pages))
            self._pages = pages
        if size >= LARGE and self._pages is not None and _LARGE_PAGES is not None:
            with suppress(OSError):  # a system without them says so
                self._pages.madvise(_LARGE_PAGES)

    def shorten(self, entries: int) -> None:
        """Give back the room beyond the first `entries`, to which nothing may have been written yet.

        It stays where the array has no pages of its own, or somebody still looks at them.
        """
        if self._pages is None or entries >= len(self.array):
            return
        if entries == 0:
            self._pages, self.array = None, np.zeros((0, *self._shape), self._dtype)
        else:
            self._move(self._pages, entries * self.entry_bytes)

    def _move(self, pages: mmap.mmap, size: int) -> bool:
        """Give the pages another size; False where the system cannot, or somebody still looks at them."""
        self.array = self.array[:0].copy()  # pages that are looked at cannot be moved
        try:
            pages.resize(size)
        except (BufferError, SystemError):
            return False
        finally:
            self.array = self._seen(pages)
        return True

    def _copy_to(self, longer: NDArray[Any]) -> None:
        longer[: len(self.array)] = self.array
        self.array = longer

    def _seen(self, pages: mmap.mmap) -> NDArray[Any]:
        entries = len(pages) // self.entry_bytes
        flat = np.frombuffer(pages, self._dtype, entries * math.prod(self._shape))
        return flat.reshape((entries, *self._shape))
