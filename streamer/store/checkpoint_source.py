"""A checkpoint's file while it is read.

It is read, not mapped: a page that the disk cannot give back is an error then, which there is a way on from.
Of a mapped file it is a signal that ends the process, at every start. Nothing of the file is held beside
what is made of it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class CheckpointSource:
    """A file that is open for reading, to be used in a ``with``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        When it cannot be opened; so do the methods when it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size
        """Its bytes."""

    def __enter__(self) -> CheckpointSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def sha256(self) -> str:
        """The checksum of all of it."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def fill(self, at: int, out: NDArray[np.uint8]) -> None:
        """Read into all of `out`, from byte `at` of the file on.

        Raises
        ------
        ValueError
            When the file ends before.
        """
        left = out.data
        while left:
            count = os.preadv(self._file.fileno(), [left], at)
            if not count:
                raise ValueError("it is cut short")
            left, at = left[count:], at + count

    def at(self, at: int, length: int) -> bytes:
        """So many bytes, from byte `at` on.

        Raises
        ------
        ValueError
            When the file ends before.
        """
        out = np.empty(length, np.uint8)
        self.fill(at, out)
        return out.tobytes()
