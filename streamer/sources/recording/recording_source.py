"""Reads a recording, the file of what a daemon consumed that `tapewatch record` writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from streamer.errors import TapewatchError
from streamer.messages.control_inputs import ControlInput
from streamer.messages.records import Chunk, Partition, Record
from streamer.sources.files.line_reader import DamagedFileError, Lines
from streamer.sources.recording.line_format import (
    BY_WATERMARK,
    READABLE,
    Header,
    Line,
    control_of,
    read_header,
    read_line,
    record_of,
    timer_of,
)
from streamer.sources.source import Assignments

_MARK = b'{"tapewatch":"recording"'
_UNKNOWN_END = 2**62
_LINE_MAX_BYTES = 1 << 27  # the largest record of a broker, escaped
_CHUNK_MAX_BYTES = 1 << 25  # of records' values; a chunk with more has fewer records


def is_recording(path: Path) -> bool:
    """Whether the file begins like a recording."""
    with Lines(path) as lines:
        try:
            return next(iter(lines), b"").startswith(_MARK)
        except DamagedFileError:
            return False


class RecordingSource:
    """Reads a recording back, in the order in which its records and timers were folded.

    Parameters
    ----------
    path
        The file: ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``.
    batch_size
        Largest number of records in a chunk.
    """

    def __init__(self, path: Path, batch_size: int) -> None:
        self._path = path
        self._batch_size = batch_size
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self._by_watermark = False
        self._lines: Lines | None = None
        self._damage: DamagedFileError | None = None

    def progress(self) -> float:
        """The share of the file that has been read, 0 to 1."""
        if self._lines is None:
            return 0.0
        return self._lines.bytes_read / max(self._lines.size, 1)

    def open(self, assignments: Assignments) -> None:
        """Read the header and announce its partitions.

        Raises
        ------
        TapewatchError
            When the file is not a recording, or is of another version.
        """
        self._lines = Lines(self._path, _LINE_MAX_BYTES)
        lines = iter(enumerate(self._lines, 1))
        header = self._header(next(lines, (1, b""))[1])
        assignments.assigned(header.extents(_UNKNOWN_END))
        self._chunks = self._read([entry.as_partition() for entry in header.partitions], lines)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk; a file never waits.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all whole lines before that.
        TapewatchError
            When a line is not a line of a recording.
        """
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: the only timers are the recorded ones."""
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        """None: its chunks are in the order in which they were folded."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Nothing: its chunks are in the order in which they were folded."""

    def exhausted(self) -> bool:
        """True after the last line."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Close the file."""
        self._chunks = iter(())
        if self._lines is not None:
            self._lines.close()

    def _header(self, line: bytes) -> Header:
        try:
            header = read_header(line)
        except msgspec.MsgspecError as error:
            raise TapewatchError(f"{self._path} is not a tapewatch recording ({error})") from error
        if header.version not in READABLE:
            readable = f"{', '.join(map(str, READABLE[:-1]))} and {READABLE[-1]}"
            raise TapewatchError(
                f"{self._path} has recording version {header.version}, this tapewatch reads {readable}"
            )
        self._by_watermark = header.version == BY_WATERMARK
        return header

    def _read(self, partitions: Sequence[Partition], lines: Iterable[tuple[int, bytes]]) -> Iterator[Chunk]:
        records: list[Record] = []
        current = -1
        last_offset = [-1] * len(partitions)
        size = 0
        for number, text in self._whole(lines):
            line = self._parse(number, text)
            if line.p >= len(partitions):
                raise self._line_error(number, f"partition {line.p} is not in the header")
            timer, record, control = timer_of(line), record_of(line), self._control(number, line)
            full = len(records) >= self._batch_size or size >= _CHUNK_MAX_BYTES
            merge = self._merged(number, line, partitions)
            if records and (line.p != current or record is None or full):
                yield Chunk(partitions[current], records)
                records, size = [], 0
            current = line.p
            if timer is not None:
                ts_ns, by_watermark = timer[1], self._by_watermark
                yield Chunk(
                    partitions[current],
                    (),
                    timer_ns=ts_ns,
                    timer_number=timer[0],
                    timer_by_watermark=by_watermark,
                )
            elif merge is not None or line.done or line.idle:
                yield Chunk(partitions[current], (), merges=merge, is_complete=line.done, is_idle=line.idle)
            elif control is not None:
                yield Chunk(partitions[current], (), control=control)
            elif record is None:
                raise self._line_error(number, "neither a record nor a timer")
            elif record.offset <= last_offset[current]:
                raise self._line_error(
                    number, f"offset {record.offset} follows offset {last_offset[current]}"
                )
            else:
                last_offset[current] = record.offset
                records.append(record)
                size += len(record.value or b"")
        if records:
            yield Chunk(partitions[current], records)
        if self._damage is not None:
            raise self._damage

    def _whole(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The lines up to where the file is damaged."""
        number = 1
        try:
            for number, text in lines:
                yield number, text
        except DamagedFileError as error:
            self._damage = DamagedFileError(f"{error} (after line {number:,})")

    def _parse(self, number: int, text: bytes) -> Line:
        try:
            return read_line(text)
        except msgspec.MsgspecError as error:
            raise self._line_error(number, str(error)) from error

    def _merged(
        self, number: int, line: Line, partitions: Sequence[Partition]
    ) -> tuple[Partition, ...] | None:
        if line.merge is UNSET:
            return None
        if any(each >= len(partitions) for each in line.merge):
            raise self._line_error(number, "a partition of the segment is not in the header")
        return tuple(partitions[each] for each in line.merge)

    def _control(self, number: int, line: Line) -> ControlInput | None:
        try:
            return control_of(line)
        except (ValueError, TypeError) as error:
            raise self._line_error(number, f"no control input: {error}") from error

    def _line_error(self, number: int, problem: str) -> TapewatchError:
        return TapewatchError(f"{self._path}:{number}: not a line of a recording: {problem}")
