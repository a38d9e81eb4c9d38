"""The records of one file: lines of JSON, optionally prefixed by a receive time, or rows of CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from streamer.decoding.event_fields import RECORD_MAX_BYTES, TIME_MAX_NS
from streamer.decoding.value_parsing import NS_PER
from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME, Record
from streamer.messages.time_units import NS_PER_MS
from streamer.sources.files.file_settings import ReceiveUnit
from streamer.sources.files.line_blocks import ARENA_BYTES, BLOCK_MAX_BYTES, FileBlocks
from streamer.sources.files.line_reader import DamagedFileError, Lines
from streamer.sources.files.open_files import OpenFiles

_NUMBER = re.compile(rb"[0-9]{1,19}(?:\.[0-9]{1,12})?")
_COMPRESSED = frozenset({".gz", ".zst"})
_URLS = (b"ws://", b"wss://", b"http://", b"https://")
_SEEK_RECORDS = 4096
_CONNECTION_MARKS = {b"<->": "connect", b"<-": "sent", b"->": "answer"}


class EmptyFileError(TapewatchError):
    """A file holds no records."""


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file to be read.

    Parameters
    ----------
    path
        The file: ``.csv`` for rows under a header, any other name for lines of JSON; a further ``.gz`` or
        ``.zst`` for compression.
    receive_time
        The unit of the receive time before each line, None if there is none.
    topic
        Its name where that is not the file's name without folders.
    log
        The log that it belongs to: files of one log are merged by time.
    """

    path: Path
    receive_time: ReceiveUnit | None = None
    topic: str = ""
    log: str = ""

    @property
    def name(self) -> str:
        """Its topic: the file's name without folders, or with those that tell it from another.

        >>> FileInput(Path("a/day.jsonl")).name, FileInput(Path("x/a/day.jsonl"), topic="a/day.jsonl").name
        ('day.jsonl', 'a/day.jsonl')
        """
        return self.topic or self.path.name

    @property
    def is_csv(self) -> bool:
        """Whether it holds rows under a header.

        >>> FileInput(Path("a/trades.csv.gz")).is_csv, FileInput(Path("trades.jsonl")).is_csv
        (True, False)
        """
        suffixes = [suffix.lower() for suffix in self.path.suffixes[-2:]]
        if suffixes and suffixes[-1] in _COMPRESSED:
            suffixes.pop()
        return suffixes[-1:] == [".csv"]


class FileRecords:
    """The records of a file, in order; iterate over it once, or `take` them, not both.

    A receive time precedes its line as ``TIME {json}`` or ``TIME: {json}``. Lines that a capture writes about
    its connection (``URL <-> TIME`` on connecting, ``URL <- TIME: {json}`` for what was sent,
    ``URL -> TIME: {json}`` for the answer to a request) are not records; they are counted in `skipped`. A row
    of CSV becomes a JSON object of strings; one that does not fit its header is passed on unchanged and
    becomes a dead letter.

    Parameters
    ----------
    file
        The file and its receive time.
    arena_bytes
        How many bytes are buffered when records are read as blocks, about.
    files
        What decides whether it is open between two reads; without it, it is.

    Raises
    ------
    TapewatchError
        When the file cannot be read or is damaged.
    EmptyFileError
        When it holds no records.
    """

    def __init__(
        self, file: FileInput, arena_bytes: int = ARENA_BYTES, files: OpenFiles | None = None
    ) -> None:
        if file.is_csv and file.receive_time is not None:
            raise TapewatchError(
                f"{file.path}: receive_time is for lines of JSON; for CSV, map a column instead"
            )
        self._file = file
        self._lines = Lines(file.path, files=files)
        self._ns_per = 0 if file.receive_time is None else NS_PER[file.receive_time]
        self._blocks = FileBlocks(self._lines, self._ns_per, self._message, self._skip_blank, arena_bytes)
        self._csv_records: Iterator[Record] | None = None
        self._lines_read = 0
        self._damage: DamagedFileError | None = None
        self._any_taken = False
        self.size = self._lines.size
        self.skipped: dict[str, int] = {}

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored file have been read."""
        return self._lines.bytes_read

    @property
    def lines_read(self) -> int:
        """How many lines were read, up to the last record that was taken."""
        return self._lines_read + self._blocks.lines_read

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def __iter__(self) -> Iterator[Record]:
        """The records, from offset 0.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all whole lines before that.
        EmptyFileError
            When the file holds no records.
        """
        values = self._rows() if self._file.is_csv else self._messages()
        offset = -1
        with self._lines:
            for offset, (received, value) in enumerate(values):
                timestamp = received if received == NO_TIME else received // NS_PER_MS * NS_PER_MS
                yield Record(offset, value, timestamp)
        if offset < 0:
            raise self._empty()

    def take(self, count: int) -> Sequence[Record]:
        """The next `count` records; as a block unless the file is CSV.

        They are fewer at the end of the file, and where they are large.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all whole lines before that.
        EmptyFileError
            When the file holds no records.
        """
        if self._file.is_csv:
            return self._take_rows(count)
        block = self._blocks.take(count)
        self._any_taken = self._any_taken or len(block) > 0
        if not self._any_taken and count > 0:
            raise self._empty()
        return block

    def _take_rows(self, count: int) -> Sequence[Record]:
        if self._csv_records is None:
            self._csv_records = iter(self)
        taken: list[Record] = []
        size = 0
        try:
            while len(taken) < count and size < BLOCK_MAX_BYTES:
                taken.append(next(self._csv_records))
                size += len(taken[-1].value or b"")
        except StopIteration:
            pass
        except DamagedFileError as error:
            self._damage = error
        if self._damage is not None and not taken:
            raise self._damage
        return tuple(taken)

    def _empty(self) -> EmptyFileError:
        return EmptyFileError(f"{self._file.path} holds no events")

    def _skip(self, name: str, count: int = 1) -> None:
        self.skipped[name] = self.skipped.get(name, 0) + count

    def _skip_blank(self, count: int) -> None:
        if count:
            self._skip("blank", count)

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        for line in self._lines:
            message = self._message(line)
            if message is not None:
                yield message

    def _message(self, line: bytes) -> tuple[int, bytes] | None:
        """The receive time and the value (the end of the line); None for a line that is not a record."""
        if not line.strip():
            self._skip("blank")
        elif not self._ns_per:
            return int(NO_TIME), line
        else:
            note = _connection_note(line)
            if note is None:
                return _split_receive_time(line, self._ns_per)
            self._skip(note)
        return None

    def _rows(self) -> Iterator[tuple[int, bytes]]:
        header: list[str] | None = None
        for row, text in _csv_rows(self._counted(self._lines)):
            if row is not None and not row:
                self._skip("blank")
            elif header is None:
                header = self._header(row)
            else:
                yield int(NO_TIME), _row_value(header, row, text)

    def _counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            self._lines_read += 1
            yield line

    def _header(self, row: list[str] | None) -> list[str]:
        names = [] if row is None else [name.removeprefix("\ufeff").strip() for name in row]
        if not names or not all(names) or len(set(names)) < len(names):
            raise TapewatchError(
                f"{self._file.path}: the first row must name the columns, each with a different name"
            )
        return names


def _connection_note(line: bytes) -> str | None:
    """What kind of note about its connection a capture made, None for a message."""
    if line.startswith(_URLS):
        words = line.split(b" ", 2)
        return _CONNECTION_MARKS.get(words[1]) if len(words) > 2 else None
    return "configuration" if line.startswith(b"configuration: ") else None


def _split_receive_time(line: bytes, ns_per: int) -> tuple[int, bytes]:
    """The receive time and the rest of the line; `NO_TIME` and the whole line if it has none."""
    head, _, body = line.partition(b" ")
    number = head.removesuffix(b":")
    if _NUMBER.fullmatch(number) is None:
        return int(NO_TIME), line
    ns = int(number) * ns_per if number.isdigit() else int(Decimal(number.decode()) * ns_per)
    if ns > TIME_MAX_NS:
        return int(NO_TIME), line
    return ns, body


class _RowLines:
    """The lines of a file for the CSV parser, and those of the row that it is reading."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._row: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._size += len(line)
        self._row.append(line.decode("utf-8", "surrogateescape"))
        if self._size > RECORD_MAX_BYTES:  # a quote that is never closed would fill the memory
            raise csv.Error("the row is too long")
        return f"{self._row[-1]}\n"

    def end_row(self) -> str:
        """The text of the row that has been read."""
        text = "\n".join(self._row)
        self._row, self._size = [], 0
        return text


def _csv_rows(lines: Iterable[bytes]) -> Iterator[tuple[list[str] | None, str]]:
    """Each row with its original text; None for a row that cannot be parsed."""
    row_lines = _RowLines(lines)
    rows = csv.reader(row_lines, strict=True)
    while True:
        try:
            row: list[str] | None = next(rows)
        except StopIteration:
            return
        except csv.Error:
            row = None
        yield row, row_lines.end_row()


def _row_value(header: list[str], row: list[str] | None, text: str) -> bytes:
    if row is not None and len(row) == len(header):
        try:
            return msgspec.json.encode(dict(zip(header, row, strict=True)))
        except UnicodeEncodeError:
            pass  # bytes that are not UTF-8: the decoder reports them
    return text.encode("utf-8", "surrogateescape")


def record_place(file: FileInput, offset: int) -> str:
    """Where a record of a file is, for people: its line, which takes reading the file again up to there.

    Parameters
    ----------
    file
        The file.
    offset
        The record's.

    Returns
    -------
    str
        ``PATH:LINE``, with the line on which the record ends, from 1; ``PATH, record N`` where the file is
        not there any more, or is another one.
    """
    left = offset
    try:
        records = FileRecords(file)
        try:
            while left and (taken := len(records.take(min(left, _SEEK_RECORDS)))):
                left -= taken
            if not left and records.take(1):
                return f"{file.path}:{records.lines_read}"
        finally:
            records.close()
    except TapewatchError:  # what was read and done with it stands all the same
        pass
    return f"{file.path}, record {offset + 1}"
