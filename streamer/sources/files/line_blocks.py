"""The lines of a file as blocks of records: what is plain by columns, the rest one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import PADDING, RecordBlock, RecordColumns
from streamer.messages.records import NO_TIME
from streamer.sources.files.line_kernels import split
from streamer.sources.files.line_reader import LINE_MAX_BYTES, Lines

PIECE_BYTES = 1 << 20
"""How much of a file is in memory at once, beyond the records that are being put together."""

_LEAST_READ = 1 << 16  # with less room than that a new arena is made

ReadOne = Callable[[bytes], tuple[int, bytes] | None]
"""Gives a line's receive time and its value, which the line ends in; None for what is no record."""


class FileBlocks:
    """Reads records of lines, each one's offset its number among them.

    What was taken stays as it is: new bytes go behind it, or into another arena.

    Parameters
    ----------
    lines
        The open file.
    ns_per
        The unit of the receive times before the lines in ns, 0 where there are none.
    read_one
        Judges a line that is not plain.
    piece
        Bytes an arena has room for, beyond what must stay together.
    """

    def __init__(self, lines: Lines, ns_per: int, read_one: ReadOne, piece: int = PIECE_BYTES) -> None:
        self._lines = lines
        self._ns_per = ns_per
        self._read_one = read_one
        self._piece = piece
        self._least = min(_LEAST_READ, piece)
        self._data = _arena(0)
        self._at = self._end = 0
        self._last = False
        self._offset = 0

    def take(self, count: int) -> RecordBlock:
        """The next records, `count` of them unless the file ends before.

        Raises
        ------
        TapewatchError
            Where the file is damaged; what came just before that is not handed over.
        """
        rows, doubtful = np.empty((3, count), np.int64), np.empty(count, np.bool_)
        found, first = 0, self._at
        while found < count:
            more, self._at = split(
                self._data, self._at, self._end, self._ns_per, rows, doubtful, found, last=self._last
            )
            if more:
                found = self._judged(rows, doubtful, found, found + more)
            elif self._last:
                break
            else:
                long = self._end - self._at >= LINE_MAX_BYTES
                moved = self._cut_short(first) if long else self._read(first)
                first -= moved
                rows[1, :found] -= moved
        time, at, size = rows[:, :found]
        if not self._ns_per:
            time[:] = NO_TIME
        offset = np.arange(self._offset, self._offset + found)
        self._offset += found
        return RecordBlock(self._data, RecordColumns(offset, time, at, size))

    def _judged(self, rows: NDArray[np.int64], doubtful: NDArray[np.bool_], first: int, end: int) -> int:
        """Settle what is not plain among rows, and close the gaps of what is no record; one past the last."""
        doubts = np.flatnonzero(doubtful[first:end]) + first
        if not len(doubts):
            return end
        gone = []
        for row in doubts.tolist():
            at, size = int(rows[1, row]), int(rows[2, row])
            judged = self._read_one(self._data[at : at + size].tobytes())
            if judged is None:
                gone.append(row - first)
            else:
                time, value = judged
                rows[:, row] = time, at + size - len(value), len(value)
        behind = end - len(gone)
        rows[:, first:behind] = np.delete(rows[:, first:end], gone, axis=1)
        return behind

    def _read(self, keep: int) -> int:
        """Read some more; by how much everything from `keep` on has moved towards the beginning."""
        moved = 0
        if len(self._data) - PADDING - self._end < self._least:
            kept = self._data[keep : self._end]
            self._data = _arena(len(kept) + max(self._piece, len(kept)))
            self._data[: len(kept)] = kept
            self._at, self._end, moved = self._at - keep, len(kept), keep
        taken = self._lines.read_into(self._data.data[self._end : -PADDING])
        self._end += taken
        self._last = taken == 0
        return moved

    def _cut_short(self, keep: int) -> int:
        """Read over what is not kept of the line at hand, up to its end; what has moved, as above."""
        moved = 0
        while not self._last:
            cut = self._at + LINE_MAX_BYTES
            place = self._data[cut : self._end].tobytes().find(b"\n")
            if place >= 0:
                rest = self._data[cut + place : self._end]
                self._end = cut + len(rest)
                self._data[cut : self._end] = rest
                break
            self._end = cut
            moved += self._read(keep - moved)
        return moved


def _arena(size: int) -> NDArray[np.uint8]:
    arena = np.empty(size + PADDING, np.uint8)
    arena[size:] = 0
    return arena
