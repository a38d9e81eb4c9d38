"""Checkpoint files: one task's state, written beside the store and checked when read.

Layout, version 1: the magic ``TAPEWTCH``, a version (u32, little endian), the header's length
(u64), a JSON header (meta; per array its name, dtype, shape, offset), then the arrays' bytes.
The store holds the file's SHA-256, so a torn or altered file is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import TapewatchError
from streamer.messages.snapshot import Snapshot, State
from streamer.store.private_files import make_private_folder, open_private

FORMAT_VERSION = 1
NO_FOLDER = Path("/nonexistent")
"""The folder of a store that has no checkpoints."""

_UNFINISHED = ".tmp"
_MAGIC = b"TAPEWTCH"
_SYNCED_BYTES = 1 << 20  # so that a commit waits for the disk behind at most this much of a checkpoint
_SEQ = re.compile(r"task[0-9]+-([0-9]+)-")
_PREFIX = struct.Struct("<8sIQ")


class DamagedCheckpointError(TapewatchError):
    """A checkpoint file that is missing, torn, altered or of an unknown version."""


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """A checkpoint file on disk: its name in the folder, checksum and size in bytes."""

    file: str
    sha256: str
    size: int


def checkpoint_name(task_id: int, seq: int, epoch: int) -> str:
    """The name of a checkpoint's file; two workers never write the same.

    Examples
    --------
    >>> checkpoint_name(3, 41, 2)
    'task3-000000000041-2.ckpt'
    """
    return f"task{task_id}-{seq:012d}-{epoch}.ckpt"


def newest_seq(folder: Path, task_id: int) -> int:
    """The last journal entry that any checkpoint file of a task includes, whole or not; 0 without one."""
    found = [_SEQ.match(path.name) for path in folder.glob(f"task{task_id}-*")]
    return max([int(name[1]) for name in found if name is not None], default=0)


def write_checkpoint(folder: Path, name: str, snapshot: Snapshot) -> WrittenCheckpoint:
    """Write a snapshot to a temporary file, sync it, and rename it.

    Parameters
    ----------
    folder
        Created where it does not exist.
    name
        The file's name.

    Raises
    ------
    TapewatchError
        When the folder cannot be written to.
    """
    digest = hashlib.sha256()
    size = synced = 0
    temporary = folder / f"{name}{_UNFINISHED}"
    try:
        make_private_folder(folder)
        with os.fdopen(open_private(temporary, os.O_WRONLY | os.O_TRUNC), "wb") as out:
            for piece in _steps(snapshot):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
                if size - synced >= _SYNCED_BYTES:
                    out.flush()
                    os.fsync(out.fileno())
                    synced = size
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(folder / name)
        _sync_folder(folder)
    except OSError as error:
        with suppress(OSError):  # the first error is reported; the next start removes what is left
            temporary.unlink(missing_ok=True)
        raise TapewatchError(
            f"cannot write a checkpoint to {folder}: {error.strerror or error}; make room or check the "
            "permissions, then start again"
        ) from error
    return WrittenCheckpoint(name, digest.hexdigest(), size)


def read_checkpoint(folder: Path, name: str, sha256: str) -> Snapshot:
    """Read a snapshot.

    Raises
    ------
    DamagedCheckpointError
        When it is not byte for byte what was written.
    """
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedCheckpointError(f"checkpoint {path}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedCheckpointError(f"checkpoint {path} is not what was written (checksum differs)")
    magic, version, length = _PREFIX.unpack_from(data)
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise DamagedCheckpointError(f"checkpoint {path} has format {version}, this is {FORMAT_VERSION}")
    header = json.loads(data[_PREFIX.size : _PREFIX.size + length])
    start = _PREFIX.size + length
    arrays: State = {}
    for array in header["arrays"]:
        dtype = np.dtype(array["dtype"])
        count = int(np.prod(array["shape"], dtype=np.int64))
        flat = np.frombuffer(data, dtype, count, start + array["at"])
        arrays[array["name"]] = flat.reshape(array["shape"]).copy()
    return Snapshot(header["meta"], arrays)


def remove_checkpoint(folder: Path, name: str) -> None:
    """Delete a checkpoint file that is no longer referenced; a missing one is no error.

    Raises
    ------
    TapewatchError
        When that is not allowed.
    """
    try:
        (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise TapewatchError(
            f"cannot remove checkpoint {folder / name}: {error.strerror or error}"
        ) from error


def remove_strays(folder: Path, task_id: int, kept: Collection[str]) -> list[str]:
    """Delete a task's files that are not referenced; a killed process leaves some behind.

    Parameters
    ----------
    folder
        The checkpoints' folder; it need not exist.
    task_id
        The task; no other process may be writing files of it.
    kept
        The names in the store.

    Returns
    -------
    list of str
        The names of the deleted files, sorted.
    """
    strays = sorted(path.name for path in folder.glob(f"task{task_id}-*") if path.name not in kept)
    for name in strays:
        remove_checkpoint(folder, name)
    return strays


def _steps(snapshot: Snapshot) -> Iterator[bytes | memoryview]:
    for piece in _pieces(snapshot):
        for start in range(0, len(piece), _SYNCED_BYTES):
            yield piece[start : start + _SYNCED_BYTES]


def _pieces(snapshot: Snapshot) -> Iterator[bytes | memoryview]:
    described: list[dict[str, Any]] = []
    at = 0
    for name, array in snapshot.arrays.items():
        described.append({"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "at": at})
        at += array.nbytes
    header = json.dumps({"meta": snapshot.meta, "arrays": described}).encode()
    yield _PREFIX.pack(_MAGIC, FORMAT_VERSION, len(header))
    yield header
    for array in snapshot.arrays.values():
        if array.nbytes:  # arrays are made contiguous one at a time, as each is written
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
