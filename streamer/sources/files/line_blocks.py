"""The lines of a file as blocks of records: plain lines by columns, the others one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import PADDING, RecordBlock, RecordColumns
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_MS
from streamer.sources.files.line_kernels import split
from streamer.sources.files.line_reader import LINE_MAX_BYTES, DamagedFileError, Lines

ARENA_BYTES = 1 << 20
"""How much of a file is buffered, beyond the records of the block being built."""

BLOCK_MAX_BYTES = 1 << 25
"""A block of more bytes holds fewer records than asked for: lines that unpack well could fill any memory."""

_MIN_READ_BYTES = 1 << 16  # with less room left than this, a new arena is allocated

LineParser = Callable[[bytes], tuple[int, bytes] | None]
"""Returns a line's receive time, ns, and value (the end of the line), None for one that is not a record."""


class FileBlocks:
    """Reads blocks of records from lines; a record's offset is its number.

    Blocks that were returned never change: new bytes go after theirs, or into another arena.

    Parameters
    ----------
    lines
        The open file.
    ns_per
        The unit of the receive times before the lines in ns, 0 if there are none.
    parse_line
        Parses a line that is not plain.
    count_blank
        Called with the number of blank lines.
    arena_bytes
        Room in an arena, beyond the bytes carried over from the last one.
    """

    def __init__(
        self,
        lines: Lines,
        ns_per: int,
        parse_line: LineParser,
        count_blank: Callable[[int], None],
        arena_bytes: int = ARENA_BYTES,
    ) -> None:
        self._lines = lines
        self._ns_per = ns_per
        self._parse_line = parse_line
        self._count_blank = count_blank
        self._arena_bytes = arena_bytes
        self._min_read = min(_MIN_READ_BYTES, arena_bytes)
        self._data = _arena(0)
        self._position = self._end = 0
        self._searched = 0
        self._at_eof = False
        self._damage: DamagedFileError | None = None
        self._offset = 0
        self.lines_read = 0
        """How many lines there were so far, with those that are no records."""

    def take(self, count: int) -> RecordBlock:
        """The next `count` records; fewer at the end of the file, and where they are large.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all whole lines before that.
        """
        rows, doubtful = np.empty((3, count), np.int64), np.empty(count, np.bool_)
        filled, first = 0, self._position
        while filled < count:
            added, self._position = split(
                self._data, self._position, self._end, self._ns_per, rows, doubtful, filled,
                last=self._at_eof, searched=self._searched,
            )  # fmt: skip
            self.lines_read += added
            if added:
                filled = self._resolve_doubtful(rows, doubtful, filled, filled + added)
            elif self._at_eof or (filled and self._position - first >= BLOCK_MAX_BYTES):
                break
            else:
                self._searched = self._end
                first = first if filled else self._position
                long = self._end - self._position >= LINE_MAX_BYTES
                shift = self._truncate_line(first) if long else self._read(first)
                first -= shift
                rows[1, :filled] -= shift
        if self._damage is not None and not filled and count:
            raise self._damage
        received, at, size = rows[:, :filled]
        if not self._ns_per:
            received[:] = NO_TIME
        offset = np.arange(self._offset, self._offset + filled)
        self._offset += filled
        columns = RecordColumns(offset, record_times(received), at, size, received=received)
        return RecordBlock(self._data, columns)

    def _resolve_doubtful(
        self, rows: NDArray[np.int64], doubtful: NDArray[np.bool_], first: int, end: int
    ) -> int:
        """Parse the lines that are not plain and remove those that are not records; one past the last row."""
        rows_in_doubt = np.flatnonzero(doubtful[first:end]) + first
        if not len(rows_in_doubt):
            return end
        blank = rows[2, rows_in_doubt] == 0
        dropped = (rows_in_doubt[blank] - first).tolist()
        self._count_blank(len(dropped))
        for row in rows_in_doubt[~blank].tolist():
            at, size = int(rows[1, row]), int(rows[2, row])
            parsed = self._parse_line(self._data[at : at + size].tobytes())
            if parsed is None:
                dropped.append(row - first)
            else:
                time, value = parsed
                rows[:, row] = time, at + size - len(value), len(value)
        new_end = end - len(dropped)
        rows[:, first:new_end] = np.delete(rows[:, first:end], dropped, axis=1)
        return new_end

    def _read(self, keep: int) -> int:
        """Read more; returns by how much the bytes from `keep` on have moved towards the beginning."""
        shift = 0
        if len(self._data) - PADDING - self._end < self._min_read:
            kept = self._data[keep : self._end]
            self._data = _arena(len(kept) + max(self._arena_bytes, len(kept)))
            self._data[: len(kept)] = kept
            self._position, self._end, shift = self._position - keep, len(kept), keep
            self._searched -= shift
        try:
            count = self._lines.read_into(self._data.data[self._end : -PADDING])
        except DamagedFileError as error:
            self._damage, self._end, count = error, self._position, 0  # a line cut short is no record
        self._end += count
        self._at_eof = count == 0
        return shift

    def _truncate_line(self, keep: int) -> int:
        """Skip the rest of a line that is too long; returns how far bytes have moved, as `_read` does."""
        shift, self._searched = 0, 0
        while not self._at_eof:
            cut = self._position + LINE_MAX_BYTES
            newline = self._data[cut : self._end].tobytes().find(b"\n")
            if newline >= 0:
                rest = self._data[cut + newline : self._end]
                self._end = cut + len(rest)
                self._data[cut : self._end] = rest
                break
            self._end = cut
            shift += self._read(keep - shift)
        return shift


def record_times(received: NDArray[np.int64]) -> NDArray[np.int64]:
    """Receive times in ns as records keep them, to the ms; `NO_TIME` stays."""
    return np.where(received == NO_TIME, NO_TIME, received // NS_PER_MS * NS_PER_MS)


def _arena(size: int) -> NDArray[np.uint8]:
    arena = np.empty(size + PADDING, np.uint8)
    arena[size:] = 0
    return arena
