"""Checkpoints on disk: files that build on one another, checked when they are read.

A checkpoint is a chain: a file with a whole state, or a base that was written over some time, and files with
the changes since, in order. The store holds each file's SHA-256, and each file that of the one it follows, so
a chain that is torn, altered or incomplete is never used.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.array_changes import UNIT, ArrayChange, flat_bytes
from streamer.messages.snapshot import Snapshot
from streamer.store.array_image import ArrayImage
from streamer.store.checkpoint_files import (
    FORMAT_VERSION,
    MAGIC,
    PREFIX,
    TRAILER,
    CheckpointFile,
    Name,
    WrittenCheckpoint,
)
from streamer.store.unit_kernels import scatter

NO_FOLDER = Path("/nonexistent")
"""The folder of a store that has no checkpoints."""

INSTRUMENTS = "instruments"
"""The part of a snapshot's meta that is written by slot."""

_SEQ = re.compile(r"task[0-9]+-([0-9]+)-")
_FIRST_FORMAT = struct.Struct("<8sIQ")  # version 1: whole states, with a header in front


class DamagedCheckpointError(TapewatchError):
    """A checkpoint file that is missing, torn, altered or of an unknown version.

    Parameters
    ----------
    message
        What is wrong, for a person.
    file
        The file's name.
    """

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.file = file


@dataclass(slots=True, eq=False)
class SavedState:
    """A state as a chain of files holds it.

    Parameters
    ----------
    image
        Its arrays.
    names
        Its instruments, by slot.
    meta
        The rest.
    follows
        SHA-256 of the file that the next changes have to follow.
    """

    image: ArrayImage = field(default_factory=ArrayImage)
    names: list[tuple[str, str]] = field(default_factory=list)
    meta: Mapping[str, Any] | None = None
    follows: str | None = None

    def snapshot(self) -> Snapshot:
        """The state, without copying its arrays."""
        return Snapshot({**(self.meta or {}), INSTRUMENTS: self.names}, self.image.arrays())


def checkpoint_name(task_id: int, seq: int, epoch: int, kind: str = "") -> str:
    """The name of a checkpoint's file; two workers never write the same.

    Examples
    --------
    >>> checkpoint_name(3, 41, 2), checkpoint_name(3, 41, 2, "base")
    ('task3-000000000041-2.ckpt', 'task3-000000000041-2-base.ckpt')
    """
    return f"task{task_id}-{seq:012d}-{epoch}{kind and f'-{kind}'}.ckpt"


def newest_seq(folder: Path, task_id: int) -> int:
    """The last journal entry that any checkpoint file of a task includes, whole or not; 0 without one."""
    found = [_SEQ.match(path.name) for path in folder.glob(f"task{task_id}-*")]
    return max([int(name[1]) for name in found if name is not None], default=0)


def write_checkpoint(folder: Path, name: str, snapshot: Snapshot) -> WrittenCheckpoint:
    """Write a whole state as one file: to a temporary one that is synced, then renamed.

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
    out = CheckpointFile(folder, name)
    for key, array in snapshot.arrays.items():
        out.add(ArrayChange(key, array.dtype.str, array.shape, False, UNIT, None, flat_bytes(array)))
    meta, names = _parted(snapshot.meta)
    out.add_names(names)
    return out.finish(meta, len(names), None)


def read_checkpoint(folder: Path, name: str, sha256: str) -> Snapshot:
    """Read a state that is one file.

    Raises
    ------
    DamagedCheckpointError
        When it is not byte for byte what was written.
    """
    return read_chain(folder, [(name, sha256)]).snapshot()


def read_chain(folder: Path, files: Sequence[tuple[str, str]]) -> SavedState:
    """Read a state from the files that it consists of, each with its SHA-256, in order.

    Raises
    ------
    DamagedCheckpointError
        When one of them is not byte for byte what was written, or does not follow the one before.
    """
    saved = SavedState()
    for number, (name, sha256) in enumerate(files):
        path = folder / name
        try:
            with path.open("rb") as source:
                data = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            reason = error.strerror if isinstance(error, OSError) else "it is empty"
            raise DamagedCheckpointError(f"checkpoint {path}: {reason}", name) from error
        view = memoryview(data)
        if hashlib.sha256(view).hexdigest() != sha256:
            problem = "is not what was written (checksum differs)"
            raise DamagedCheckpointError(f"checkpoint {path} {problem}", name)
        try:
            _read_file(saved, view, sha256, is_first=number == 0)
        except (ValueError, KeyError, struct.error) as error:
            raise DamagedCheckpointError(f"checkpoint {path}: {error}", name) from error
    if saved.meta is None:
        last = files[-1][0]
        raise DamagedCheckpointError(f"checkpoint {folder / last} is only a base to others", last)
    return saved


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


def _parted(meta: Mapping[str, Any]) -> tuple[dict[str, Any], list[Name]]:
    names = [(slot, venue, symbol) for slot, (venue, symbol) in enumerate(meta.get(INSTRUMENTS, ()))]
    return {key: value for key, value in meta.items() if key != INSTRUMENTS}, names


def _read_file(saved: SavedState, view: memoryview, sha256: str, *, is_first: bool) -> None:
    magic, version = PREFIX.unpack_from(view)
    if magic != MAGIC or version not in (1, FORMAT_VERSION):
        raise ValueError(f"it has format {version}, this is {FORMAT_VERSION}")
    if version == 1:
        _read_first_format(saved, view)
        saved.follows = sha256
        return
    length, magic = TRAILER.unpack_from(view, len(view) - TRAILER.size)
    footer_at = len(view) - TRAILER.size - length
    footer = json.loads(bytes(view[footer_at : footer_at + length]))
    is_base = footer["meta"] is None
    if not is_first and footer["after"] != saved.follows:
        raise ValueError("a file that belongs before it is missing")
    if is_first and not is_base and footer["after"] is not None:
        raise ValueError("the file that it follows is missing")
    data = np.frombuffer(view, np.uint8)
    for described in footer["arrays"]:
        _read_array(saved.image, described, data)
    added = {described["name"] for described in footer["arrays"]}
    saved.image.keep_only(added | set(footer["kept"]))
    _read_names(saved, view, *footer["names"])
    saved.meta = footer["meta"]
    saved.follows = footer["after"] if is_base else sha256


def _read_array(image: ArrayImage, described: Mapping[str, Any], data: NDArray[np.uint8]) -> None:
    name, units, at = described["name"], described["units"], described["at"]
    out = image.put(name, described["dtype"], tuple(described["shape"]), kept=described["kept"])
    if units is None:
        out[:] = data[at : at + len(out)]
        return
    index = data[at : at + 4 * units].copy().view(np.uint32)
    if scatter(data[at + 4 * units :], described["unit"], index, out) < 0:
        raise ValueError(f"{name} is incomplete")


def _read_names(saved: SavedState, view: memoryview, begin: int, end: int, count: int) -> None:
    names = saved.names[:count] + [("", "")] * (count - len(saved.names))
    for line in bytes(view[begin:end]).splitlines():
        for slot, venue, symbol in json.loads(line):
            names[slot] = venue, symbol
    saved.names = names


def _read_first_format(saved: SavedState, view: memoryview) -> None:
    _, _, length = _FIRST_FORMAT.unpack_from(view)
    start = _FIRST_FORMAT.size + length
    header = json.loads(bytes(view[_FIRST_FORMAT.size : start]))
    for array in header["arrays"]:
        out = saved.image.put(array["name"], array["dtype"], tuple(array["shape"]), kept=False)
        first = start + array["at"]
        out[:] = np.frombuffer(view, np.uint8, len(out), first)
    saved.meta, names = _parted(header["meta"])
    saved.names = [(venue, symbol) for _, venue, symbol in names]
