"""Bases of checkpoints, written a piece at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamer.messages.array_changes import UNIT
from streamer.store.array_image import ArrayImage
from streamer.store.checkpoint_files import CheckpointFile, WrittenCheckpoint

PIECE_BYTES = 131_072 * UNIT
"""Bytes of the arrays that a piece is about."""


class BaseWriter:
    """A base while it is written, from an image that goes on changing between its pieces.

    Parameters
    ----------
    folder, name
        Where it is written.
    image
        As the checkpoint of `seq` left it.
    seq, after
        The last journal entry that this checkpoint includes, and the SHA-256 of its file.
    """

    def __init__(self, folder: Path, name: str, image: ArrayImage, seq: int, after: str) -> None:
        self.seq = seq
        self._after = after
        self._left = image.names[::-1]
        self._at = 0
        self._owner: object = None
        self._bytes = self._count = 0
        self._out = CheckpointFile(folder, name)

    @property
    def complete(self) -> bool:
        """Whether all has been written but the end."""
        return not self._left

    @property
    def since(self) -> tuple[int, int]:
        """Bytes and number of the files of changes that were written since it was begun."""
        return self._bytes, self._count

    def note(self, size: int) -> None:
        """A file of changes has been written meanwhile."""
        self._bytes += size
        self._count += 1

    def write(self, image: ArrayImage) -> bool:
        """Write the next piece; False where that cannot be, since an array was replaced half way through."""
        left = PIECE_BYTES
        while self._left and left > 0:
            name = self._left[-1]
            part = image.part(name, self._at, PIECE_BYTES)
            if part is None or (self._at and part.owner is not self._owner):
                if self._at:
                    return False
                self._left.pop()
                continue
            self._out.add_part(name, part, self._at)
            left -= len(part.data) + UNIT
            self._at, self._owner = self._at + len(part.data), part.owner
            if len(part.data) < PIECE_BYTES:
                self._left.pop()
                self._at = 0
        return True

    def finish(self, names: Sequence[tuple[str, str]]) -> WrittenCheckpoint:
        """Write the end, with the instruments by slot."""
        self._out.add_names([(slot, venue, symbol) for slot, (venue, symbol) in enumerate(names)])
        return self._out.finish(None, len(names), self._after)

    def abandon(self) -> None:
        """Remove what is written of it."""
        self._out.abandon()
