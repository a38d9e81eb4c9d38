"""Checkpoints on disk: files that build on one another, checked when they are read.

A checkpoint is a chain: a file with a whole state, or a base that was written over some time, and files with
the changes since, in order. The store holds each file's SHA-256, and each file that of the one it follows, so
a chain that is torn, altered or incomplete is never used.
"""

from __future__ import annotations

import errno
import json
import math
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
from streamer.store.checkpoint_source import CheckpointSource
from streamer.store.unit_kernels import scatter

NO_FOLDER = Path("/nonexistent")
"""The folder of a store that has no checkpoints."""

INSTRUMENTS = "instruments"
"""The part of a snapshot's meta that is written by slot."""

_SEQ = re.compile(r"task[0-9]+-([0-9]+)-")
_FIRST_FORMAT = struct.Struct("<8sIQ")  # version 1: whole states, with a header in front
_READ_BYTES = 1 << 20  # of units, at once
_ASIDE = "unreadable-"
_LOST_ON_DISK = frozenset(  # what a disk or file system says of bytes that it cannot give back
    (errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA, errno.EILSEQ, errno.EREMOTEIO)
)


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


class UnreadableCheckpointError(DamagedCheckpointError):
    """A checkpoint file that the disk does not give back: what is in it is lost unless the disk is mended."""


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
        When one of them is missing, not byte for byte what was written, or does not follow the one before;
        an `UnreadableCheckpointError` where the disk does not give it back.
    TapewatchError
        When one of them cannot be read now, which says nothing about what is in it.
    """
    saved = SavedState()
    for number, (name, sha256) in enumerate(files):
        path = folder / name
        try:
            with CheckpointSource(path) as source:
                _read_file(saved, source, sha256, is_first=number == 0)
        except FileNotFoundError as error:
            raise DamagedCheckpointError(f"checkpoint {path}: {error.strerror}", name) from error
        except (ValueError, KeyError, struct.error) as error:
            raise DamagedCheckpointError(f"checkpoint {path}: {error}", name) from error
        except (OSError, MemoryError) as error:
            raise _unread(path, error) from error
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


def set_aside(folder: Path, task_id: int, names: Collection[str]) -> None:
    """Leave files that the disk cannot read to whoever looks after it, under names that are not used.

    Those that were set aside before are removed, so that there are never more than of one start.
    """
    for path in folder.glob(f"{_ASIDE}task{task_id}-*"):
        if path.name.removeprefix(_ASIDE) not in names:
            remove_checkpoint(folder, path.name)
    for name in names:
        with suppress(OSError):  # it is a stray then
            (folder / name).rename(folder / f"{_ASIDE}{name}")


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


def _unread(path: Path, error: OSError | MemoryError) -> TapewatchError:
    reason = "out of memory"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.errno in _LOST_ON_DISK:
            return UnreadableCheckpointError(
                f"checkpoint {path}: the disk cannot read it ({reason})", path.name
            )
    # that passes, or can be mended: the file may be as it was written
    return TapewatchError(
        f"cannot read checkpoint {path}: {reason}; nothing was removed: check the permissions, the disk, and "
        "the limits of memory and open files, then start again; if it stays so, move the file away, and the "
        "start goes on from an older checkpoint"
    )


def _read_file(saved: SavedState, source: CheckpointSource, sha256: str, *, is_first: bool) -> None:
    if source.sha256() != sha256:
        raise ValueError("it is not what was written (checksum differs)" if source.size else "it is empty")
    magic, version = PREFIX.unpack(source.at(0, PREFIX.size))
    if magic != MAGIC or version not in (1, FORMAT_VERSION):
        raise ValueError(f"it has format {version}, this is {FORMAT_VERSION}")
    if version == 1:
        _read_first_format(saved, source)
        saved.follows = sha256
        return
    footer = _footer_of(source)
    is_base = footer["meta"] is None
    if not is_first and footer["after"] != saved.follows:
        raise ValueError("a file that belongs before it is missing")
    if is_first and not is_base and footer["after"] is not None:
        raise ValueError("the file that it follows is missing")
    for described in footer["arrays"]:
        _read_array(saved.image, described, source)
    added = {described["name"] for described in footer["arrays"]}
    saved.image.keep_only(added | set(footer["kept"]))
    _read_names(saved, source, *footer["names"])
    saved.meta = footer["meta"]
    saved.follows = footer["after"] if is_base else sha256


def _footer_of(source: CheckpointSource) -> dict[str, Any]:
    end = source.size - TRAILER.size
    length, _ = TRAILER.unpack(source.at(end, TRAILER.size))
    footer: dict[str, Any] = json.loads(source.at(end - length, length))
    return footer


def _read_array(image: ArrayImage, described: Mapping[str, Any], source: CheckpointSource) -> None:
    name, dtype, shape = described["name"], described["dtype"], tuple(described["shape"])
    unit, units, at = described["unit"], described["units"], described["at"]
    size = math.prod(shape) * np.dtype(dtype).itemsize
    # a base that was written meanwhile may hold more entries, which this file says nothing about
    out = image.put(name, dtype, shape, kept=described["kept"])[:size]
    if units is None:
        source.fill(at, out)
        return
    data_at, at_once = at + 4 * units, max(_READ_BYTES // unit, 1)
    for first in range(0, units, at_once):
        index = np.empty(min(at_once, units - first), np.uint32)
        source.fill(at + 4 * first, index.view(np.uint8))
        beyond = max((int(index[-1]) + 1) * unit - size, 0)  # an array's last unit may be shorter
        data = np.empty(len(index) * unit - beyond, np.uint8)
        source.fill(data_at + first * unit, data)
        if scatter(data, unit, index, out) != len(data):
            raise ValueError(f"{name} is incomplete")


def _read_names(saved: SavedState, source: CheckpointSource, begin: int, end: int, count: int) -> None:
    names = saved.names[:count] + [("", "")] * (count - len(saved.names))
    for line in source.at(begin, end - begin).splitlines():
        for slot, venue, symbol in json.loads(line):
            names[slot] = venue, symbol
    saved.names = names


def _read_first_format(saved: SavedState, source: CheckpointSource) -> None:
    _, _, length = _FIRST_FORMAT.unpack(source.at(0, _FIRST_FORMAT.size))
    start = _FIRST_FORMAT.size + length
    header = json.loads(source.at(_FIRST_FORMAT.size, length))
    for array in header["arrays"]:
        out = saved.image.put(array["name"], array["dtype"], tuple(array["shape"]), kept=False)
        source.fill(start + array["at"], out)
    saved.meta, names = _parted(header["meta"])
    saved.names = [(venue, symbol) for _, venue, symbol in names]
