"""What a daemon consumed, as a file: `tapewatch record` writes it, `tapewatch replay` folds it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from streamer.errors import TapewatchError
from streamer.messages.records import Chunk, Log, Partition, Record
from streamer.sources.files.line_reader import Lines, open_lines
from streamer.sources.recording.line_format import (
    FORMAT_VERSION,
    Header,
    Line,
    read_header,
    read_line,
    record_of,
    timer_of,
)
from streamer.sources.source import Assignments

_MARK = b'{"tapewatch":"recording"'
_UNKNOWN_END = 2**62


def is_recording(path: Path) -> bool:
    """True when the file begins as a recording does."""
    with open_lines(path) as lines:
        return next(iter(lines), b"").startswith(_MARK)


class RecordingSource:
    """Reads a recording back, in the same tasks and the same order.

    Parameters
    ----------
    path
        The file, ``.jsonl``, also ``.gz`` or ``.zst``.
    batch_size
        Records a chunk at most.
    limit
        Stop after so many records, None for all.
    """

    def __init__(self, path: Path, batch_size: int, limit: int | None = None) -> None:
        self._path = path
        self._batch_size = batch_size
        self._limit = limit
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self._lines: Lines | None = None

    def progress(self) -> float:
        """How much has been read, from 0 to 1."""
        if self._lines is None:
            return 0.0
        return self._lines.bytes_read / max(self._lines.size, 1)

    def open(self, assignments: Assignments) -> None:
        """Read the header and announce its partitions.

        Raises
        ------
        TapewatchError
            When the file is no recording, or of another version.
        """
        self._lines = open_lines(self._path)
        lines = iter(enumerate(self._lines, 1))
        header = self._header(next(lines, (1, b""))[1])
        logs = [
            Log(each.as_partition(), first=each.start, end=_UNKNOWN_END, start=each.start)
            for each in header.partitions
        ]
        assignments.assigned(logs)
        self._chunks = self._read([log.partition for log in logs], lines)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk; a file never waits.

        Raises
        ------
        TapewatchError
            When a line is not one of a recording.
        """
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: the only timers are those that were recorded."""
        return frozenset()

    def exhausted(self) -> bool:
        """True behind the last line."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Let go of the file."""
        self._chunks = iter(())
        if self._lines is not None:
            self._lines.close()

    def _header(self, line: bytes) -> Header:
        try:
            header = read_header(line)
        except msgspec.MsgspecError as error:
            raise TapewatchError(f"{self._path} is not a tapewatch recording ({error})") from error
        if header.version != FORMAT_VERSION:
            raise TapewatchError(
                f"{self._path} has recording version {header.version}, this tapewatch reads {FORMAT_VERSION}"
            )
        return header

    def _read(self, partitions: Sequence[Partition], lines: Iterable[tuple[int, bytes]]) -> Iterator[Chunk]:
        waiting: list[Record] = []
        of, taken = -1, 0
        behind = [-1] * len(partitions)
        for number, text in lines:
            if self._limit is not None and taken >= self._limit:
                break
            line = self._parsed(number, text)
            if line.p >= len(partitions):
                raise self._wrong(number, f"partition {line.p} is not in the header")
            timer, record = timer_of(line), record_of(line)
            if waiting and (line.p != of or timer is not None or len(waiting) >= self._batch_size):
                yield Chunk(partitions[of], waiting)
                waiting = []
            of = line.p
            if timer is not None:
                yield Chunk(partitions[of], (), timer_ns=timer[1], timer_number=timer[0])
            elif record is None:
                raise self._wrong(number, "neither a record nor a timer")
            elif record.offset <= behind[of]:
                raise self._wrong(number, f"offset {record.offset} stands behind {behind[of]}")
            else:
                behind[of] = record.offset
                waiting.append(record)
                taken += 1
        if waiting:
            yield Chunk(partitions[of], waiting)

    def _parsed(self, number: int, text: bytes) -> Line:
        try:
            return read_line(text)
        except msgspec.MsgspecError as error:
            raise self._wrong(number, str(error)) from error

    def _wrong(self, number: int, problem: str) -> TapewatchError:
        return TapewatchError(f"{self._path}:{number}: not a line of a recording: {problem}")
