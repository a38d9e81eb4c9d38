"""The checkpoints of one task: what the last one left, and what the next one has to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import TapewatchError
from streamer.messages.array_changes import ArrayChange
from streamer.pipeline.cores import cores, on_two_threads
from streamer.pipeline.state import LentState
from streamer.store.array_image import ArrayImage
from streamer.store.checkpoint_base import BaseWriter
from streamer.store.checkpoint_files import CheckpointFile, Name, WrittenCheckpoint
from streamer.store.checkpoints import INSTRUMENTS, NO_FOLDER, SavedState, remove_checkpoint
from streamer.store.task_rows import CheckpointRow

WHOLE_UP_TO = 256 << 20
"""Bytes of state up to which a checkpoint is a whole one where most of it can have changed."""

TWO_THREADS_FROM = 64 << 20
"""Bytes to be copied or compared, from which on two threads share them."""

_SMALL = 1 << 20  # bytes of state: a file more would cost as much as writing all of it
_MOSTLY = 0.4  # of the bytes: to copy all is quicker then than to compare these
_NEW_BASE_SHARE = 0.5  # of a base, which the changes since may come to before a new one is begun
_MOST_CHANGES = 60


@dataclass(frozen=True, slots=True)
class KnownChain:
    """The checkpoint that a task was restored from.

    Parameters
    ----------
    row, saved
        The checkpoint, and its state.
    base_bytes, change_bytes, changes
        Sizes of the chain's first file and of those behind it, and how many these are.
    has_older
        Whether there is another one that shares no file with it.
    """

    row: CheckpointRow
    saved: SavedState
    base_bytes: int
    change_bytes: int
    changes: int
    has_older: bool


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What a checkpoint has to write.

    Parameters
    ----------
    row
        The checkpoint, and what it builds on.
    changes, kept
        Arrays that changed, and the names of all others; none where the image is written whole.
    meta, names
        The rest of the state: small parts, and the instruments by slot.
    after
        SHA-256 of the file that it follows, None for a whole state.
    nbytes
        Bytes of the whole state.
    """

    row: CheckpointRow
    changes: Sequence[ArrayChange]
    kept: Sequence[str]
    meta: Mapping[str, Any]
    names: Sequence[tuple[str, str]]
    after: str | None
    nbytes: int


@dataclass(slots=True)
class _Base:
    """What changes build on: a file, the checkpoint it is as of, and what has been written since."""

    file: str
    sha256: str
    seq: int
    size: int
    change_bytes: int = 0
    changes: int = 0


class TaskChain:
    """Decides for one task whether a checkpoint is a whole one or changes, and when there is a new base.

    Detection waits while a checkpoint is taken. What was touched has to be compared to find the changes;
    where that is most of the state, all is copied instead, which is quicker, and the file is a whole one.

    A base is written from what the last checkpoint left, a piece at a time between checkpoints: pieces are of
    different moments, but all that changed since the first is in the files of changes, which are applied on
    top. So a base never makes detection wait.

    Parameters
    ----------
    known
        What the task was restored from; None for one that begins.
    whole_up_to
        Bytes of state up to which a checkpoint is a whole one where most of it can have changed.
    two_threads_from
        Bytes to be copied or compared, from which on two threads share them, where there are two cores.
    """

    def __init__(
        self,
        known: KnownChain | None = None,
        whole_up_to: int = WHOLE_UP_TO,
        two_threads_from: int = TWO_THREADS_FROM,
    ) -> None:
        self._whole_up_to = whole_up_to
        self._two_threads_from = two_threads_from
        self._image = ArrayImage()
        self._names: list[tuple[str, str]] = []
        self._last: CheckpointRow | None = None
        self._base: _Base | None = None  # of a chain that can be gone on from
        self._follows: str | None = None
        self._has_older = False
        self._writer: BaseWriter | None = None
        self._next: _Base | None = None
        self._folder = NO_FOLDER
        if known is not None:
            self._adopt(known)

    def _adopt(self, known: KnownChain) -> None:
        row = known.row
        self._image, self._names = known.saved.image, list(known.saved.names)
        self._follows = known.saved.follows
        self._last, self._has_older = row, known.has_older
        if self._is_small(self._image.nbytes):
            return
        first = (row.base, row.base_sha256, row.base_seq) if row.base else (row.file, row.sha256, row.seq)
        self._base = _Base(*first, known.base_bytes, known.change_bytes, known.changes)

    @property
    def seq(self) -> int | None:
        """The last journal entry that the last checkpoint includes; None before the first."""
        return None if self._last is None else self._last.seq

    @property
    def image(self) -> ArrayImage:
        """The arrays as the last checkpoint left them."""
        return self._image

    def wants_memory(self, lent: LentState) -> bool:
        """Whether the image is to hold this state."""
        return not self._is_small(sum(array.nbytes for array in lent.snapshot.arrays.values()))

    def take(self, lent: LentState, row: CheckpointRow) -> Taken:
        """Copy what changed since the last checkpoint, of a state that is lent."""
        arrays = lent.snapshot.arrays
        nbytes = sum(array.nbytes for array in arrays.values())
        mostly = nbytes <= self._whole_up_to and _touched_bytes(lent) >= _MOSTLY * nbytes
        if mostly or self._base is None or self._is_small(nbytes):
            self._names, self._base = [], None
        changes = self._bring_up(lent)
        self._image.keep_only(arrays.keys())
        base = self._base and (self._next or self._base)
        if base is not None:
            row = replace(row, base=base.file, base_sha256=base.sha256, base_seq=base.seq)
        changed = {change.name for change in changes}
        meta = {key: value for key, value in lent.snapshot.meta.items() if key != INSTRUMENTS}
        kept = [] if base is None else [name for name in arrays if name not in changed]
        names = lent.snapshot.meta[INSTRUMENTS]
        return Taken(row, changes, kept, meta, names, None if base is None else self._follows, nbytes)

    def _is_small(self, nbytes: int) -> bool:
        return nbytes <= min(_SMALL, self._whole_up_to)

    def _bring_up(self, lent: LentState) -> list[ArrayChange]:
        """Make the image as the state is; returns what changed, where that is what will be written."""
        arrays, image, whole = lent.snapshot.arrays, self._image, self._base is None
        found: dict[str, ArrayChange | None] = dict.fromkeys(arrays)
        largest_first = iter(sorted(arrays, key=lambda name: arrays[name].nbytes, reverse=True))

        def take() -> None:
            for name in largest_first:
                if whole:
                    image.copy(name, arrays[name])
                else:
                    found[name] = image.take(name, arrays[name], lent.touched.get(name))

        nbytes = sum(array.nbytes for array in arrays.values()) if whole else _touched_bytes(lent)
        if nbytes >= self._two_threads_from and cores() > 1:
            on_two_threads(take)
        else:
            take()
        return [change for change in found.values() if change is not None]

    def write(self, folder: Path, name: str, taken: Taken) -> WrittenCheckpoint:
        """Write what was taken; on any thread, before anything else is taken."""
        if taken.after is None:
            self.give_up_base()
        out = CheckpointFile(folder, name)
        for change in self._image.whole() if taken.after is None else taken.changes:
            out.add(change)
        out.add_names(self._changed_names(taken.names))
        written = out.finish(taken.meta, len(taken.names), taken.after, taken.kept)
        self._names = list(taken.names)
        return written

    def _changed_names(self, names: Sequence[tuple[str, str]]) -> list[Name]:
        before = self._names
        changed = [slot for slot, (old, new) in enumerate(zip(before, names, strict=False)) if old != new]
        changed += range(len(before), len(names))
        return [(slot, *names[slot]) for slot in changed]

    def registered(self, taken: Taken, written: WrittenCheckpoint) -> None:
        """The store has the checkpoint now."""
        row = taken.row
        if row.base:
            self._has_older |= self._next is not None
            self._base = self._next or self._base
            self._next = None
            if self._base is not None:
                self._base.change_bytes += written.size
                self._base.changes += 1
        else:
            self._has_older = self._last is not None
            is_small = self._is_small(taken.nbytes)
            self._base = None if is_small else _Base(written.file, written.sha256, row.seq, written.size)
        self._last, self._follows = replace(row, file=written.file, sha256=written.sha256), written.sha256
        if self._writer is not None:
            self._writer.note(written.size)

    def wants_base(self) -> bool:
        """Whether there is a piece of a base to be written."""
        if self._writer is not None:
            return True
        base = self._base
        if base is None or self._next is not None:
            return False
        if not base.changes:  # the next checkpoint may be a whole one
            return False
        large = base.change_bytes >= _NEW_BASE_SHARE * base.size or base.changes >= _MOST_CHANGES
        return large or not self._has_older

    def write_base(self, folder: Path, name: str) -> None:
        """Write the next piece of a base; on any thread, while nothing is taken or written.

        Parameters
        ----------
        folder, name
            Where it is written, where it is to be begun.
        """
        if self._writer is None:
            if self._last is None or self._follows is None:
                return
            self._folder = folder
            self._writer = BaseWriter(folder, name, self._image, self._last.seq, self._follows)
        writer = self._writer
        if not writer.write(self._image):
            self.give_up_base()
        elif writer.complete:
            written, self._writer = writer.finish(self._names), None
            size, count = writer.since
            self._next = _Base(written.file, written.sha256, writer.seq, written.size, size, count)

    def give_up_base(self) -> None:
        """Remove what is written of a base that no checkpoint builds on yet; if only at the next start."""
        writer, base = self._writer, self._next
        self._writer = self._next = None
        if writer is not None:
            writer.abandon()
        if base is not None:
            with suppress(TapewatchError):  # it is a stray then
                remove_checkpoint(self._folder, base.file)


def _touched_bytes(lent: LentState) -> int:
    """Bytes of the entries that can have changed since the last checkpoint."""
    total, shares = 0, dict[int, float]()
    for name, array in lent.snapshot.arrays.items():
        touched = lent.touched.get(name)
        share = 1.0
        if touched is not None:
            share = shares.setdefault(id(touched), np.count_nonzero(touched) / max(len(touched), 1))
        total += round(array.nbytes * share)
    return total
