"""The layout of a checkpoint's file: a piece of a state, written one array at a time.

Layout, version 2: the magic ``TAPEWTCH``, a version (u32, little endian); the arrays' bytes, for an array of
which only some units are there preceded by their numbers (u32 each); the instruments that changed (JSON
lines); a JSON footer that says where all that is; the footer's length (u64), and the magic again. The footer
also has the SHA-256 of the file that these changes follow, so that no file of a chain can be left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.array_changes import UNIT, ArrayChange
from streamer.store.array_image import ArrayPart
from streamer.store.private_files import make_private_folder, open_private
from streamer.store.unit_kernels import gather, units_not_zero

FORMAT_VERSION = 2
MAGIC = b"TAPEWTCH"
PREFIX = struct.Struct("<8sI")
TRAILER = struct.Struct("<Q8s")

Name = tuple[int, str, str]
"""A slot, and the venue and symbol of its instrument."""

_UNFINISHED = ".tmp"
_SYNCED_BYTES = 1 << 20  # so that a commit waits for the disk behind at most this much of a checkpoint
_SPARSE_SHARE = 0.75  # of an array's units; with more of them it is written whole
_WORD = 8
_NAMES_AT_ONCE = 1_000  # JSON holds the GIL, and the hot path waits for it


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """A checkpoint file on disk: its name in the folder, checksum and size in bytes."""

    file: str
    sha256: str
    size: int


class CheckpointFile:
    """A file while it is written, under another name until it is finished.

    Parameters
    ----------
    folder
        Created where it does not exist.
    name
        The file's name.

    Raises
    ------
    TapewatchError
        When the folder cannot be written to; so do the methods. Nothing of the file is left then.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._temporary = folder / f"{name}{_UNFINISHED}"
        self._digest = hashlib.sha256()
        self._described: list[dict[str, Any]] = []
        self._names: tuple[int, int] = (0, 0)
        self._synced = 0
        self.size = 0
        """Bytes so far."""
        try:
            make_private_folder(folder)
            self._out = os.fdopen(open_private(self._temporary, os.O_WRONLY | os.O_TRUNC), "wb")
        except OSError as error:
            raise self._failed(error) from error
        self._write(PREFIX.pack(MAGIC, FORMAT_VERSION))

    def add(self, change: ArrayChange) -> None:
        """Write what is to be replaced of an array; of one that begins anew, what is not zero."""
        index, unit = change.index, change.unit
        if index is None and not change.kept:
            some = _not_zero(change.data)
            if len(some) * UNIT < _SPARSE_SHARE * len(change.data):
                unit, index = UNIT, some
        described = {
            "name": change.name,
            "dtype": change.dtype,
            "shape": list(change.shape),
            "kept": change.kept,
            "unit": unit,
            "units": None if index is None else len(index),
            "at": self.size,
        }
        self._described.append(described)
        if index is None:
            self._write_bytes(change.data)
            return
        self._write_bytes(index.view(np.uint8))
        at_once = max(_SYNCED_BYTES // unit, 1)
        for first in range(0, len(index), at_once):
            some = index[first : first + at_once]
            out = np.empty(len(some) * unit, np.uint8)
            self._write(out[: gather(change.data, unit, some, out)].data)

    def add_part(self, name: str, part: ArrayPart, first: int) -> None:
        """Write what is not zero of a part of an array that begins anew, from byte `first` on.

        The parts of an array come in order; all but the last are of whole units.
        """
        index = _not_zero(part.data)
        self._described.append(
            {
                "name": name,
                "dtype": part.dtype,
                "shape": list(part.shape),
                "kept": first > 0,
                "unit": UNIT,
                "units": len(index),
                "at": self.size,
            }
        )
        self._write_bytes((index + np.uint32(first // UNIT)).view(np.uint8))
        out = np.empty(len(index) * UNIT, np.uint8)
        self._write_bytes(out[: gather(part.data, UNIT, index, out)])

    def add_names(self, names: Sequence[Name]) -> None:
        """Write the instruments of some slots."""
        begin = self.size
        for first in range(0, len(names), _NAMES_AT_ONCE):
            self._write(json.dumps(names[first : first + _NAMES_AT_ONCE]).encode() + b"\n")
        self._names = begin, self.size

    def finish(
        self, meta: Mapping[str, Any] | None, n_names: int, after: str | None, keep: Iterable[str] = ()
    ) -> WrittenCheckpoint:
        """Write the footer, sync the file, and give it its name.

        Parameters
        ----------
        meta
            The small parts of the state; None for a file that is only a base to changes.
        n_names
            How many instruments there are.
        after
            SHA-256 of the file that this one follows, None for one that needs no other.
        keep
            Arrays that stay as they were; those that are neither named here nor added are dropped.
        """
        footer = {
            "meta": meta,
            "after": after,
            "arrays": self._described,
            "kept": sorted(keep),
            "names": [*self._names, n_names],
        }
        encoded = json.dumps(footer).encode()
        self._write(encoded)
        self._write(TRAILER.pack(len(encoded), MAGIC))
        try:
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
            self._temporary.rename(self._folder / self._name)
            _sync_folder(self._folder)
        except OSError as error:
            raise self._failed(error) from error
        return WrittenCheckpoint(self._name, self._digest.hexdigest(), self.size)

    def abandon(self) -> None:
        """Close and remove it; what cannot be removed now is a stray, which the next start removes."""
        with suppress(OSError):
            self._out.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _write_bytes(self, data: NDArray[np.uint8]) -> None:
        for start in range(0, len(data), _SYNCED_BYTES):
            self._write(data[start : start + _SYNCED_BYTES].data)

    def _write(self, piece: bytes | memoryview) -> None:
        try:
            self._out.write(piece)
            self.size += len(piece)
            if self.size - self._synced >= _SYNCED_BYTES:
                self._out.flush()
                os.fsync(self._out.fileno())
                self._synced = self.size
        except OSError as error:
            raise self._failed(error) from error
        self._digest.update(piece)

    def _failed(self, error: OSError) -> TapewatchError:
        if hasattr(self, "_out"):
            self.abandon()
        return TapewatchError(
            f"cannot write a checkpoint to {self._folder}: {error.strerror or error}; make room or check the "
            "permissions, then start again"
        )


def _not_zero(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The units that hold anything but zeros."""
    index = np.empty(-(-len(data) // UNIT), np.uint32)
    of_words = len(data) // UNIT * UNIT
    found = units_not_zero(data[:of_words].view(np.uint64), UNIT // _WORD, index)
    if data[of_words:].any():
        index[found] = of_words // UNIT
        found += 1
    return index[:found].copy()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
