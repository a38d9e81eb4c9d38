"""The records of one file: lines of JSON, with or without a receive time before them, and rows of CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec

from streamer.decoding.event_fields import TIME_MAX_NS
from streamer.decoding.value_parsing import NS_PER
from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME, Record
from streamer.messages.time_units import NS_PER_MS
from streamer.sources.files.file_settings import ReceiveUnit
from streamer.sources.files.line_blocks import PIECE_BYTES, FileBlocks
from streamer.sources.files.line_reader import Lines

_NUMBER = re.compile(rb"[0-9]{1,19}(?:\.[0-9]{1,12})?")
_COMPRESSED = frozenset({".gz", ".zst"})
_URLS = (b"ws://", b"wss://", b"http://", b"https://")
_MARKS = {b"<->": "connect", b"<-": "sent", b"->": "answer"}


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file to be read.

    Parameters
    ----------
    path
        The file: ``.csv`` holds rows under a header, every other name lines of JSON; a further
        ``.gz`` or ``.zst`` says how it is compressed.
    receive_time
        The unit of the receive time before each line, None where there is none.
    """

    path: Path
    receive_time: ReceiveUnit | None = None

    @property
    def name(self) -> str:
        """The file's name without folders, which is its topic."""
        return self.path.name

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

    Receive times stand before a line as ``TIME {json}`` or ``TIME: {json}``. Lines that a capture keeps of
    its connection (``URL <-> TIME``; ``URL <- TIME: {json}``, which was sent; ``URL -> TIME: {json}``, the
    answer to a request) are no records: they are counted in `skipped`. A row of CSV becomes a JSON object of
    texts; one that does not fit its header is passed on as it stands, to become a dead letter.

    Parameters
    ----------
    file
        Which file, and how it is written.
    piece
        How many bytes are taken from it at a time, about, when records are taken as blocks.

    Raises
    ------
    TapewatchError
        Where the file cannot be read, is damaged, or is empty.
    """

    def __init__(self, file: FileInput, piece: int = PIECE_BYTES) -> None:
        if file.is_csv and file.receive_time is not None:
            raise TapewatchError(
                f"{file.path}: receive_time is for lines of JSON; map a column of a CSV instead"
            )
        self._file = file
        self._lines = Lines(file.path)
        self._ns_per = 0 if file.receive_time is None else NS_PER[file.receive_time]
        self._blocks = FileBlocks(self._lines, self._ns_per, self._message, piece)
        self._each: Iterator[Record] | None = None
        self._taken = False
        self.size = self._lines.size
        self.skipped: dict[str, int] = {}

    @property
    def bytes_read(self) -> int:
        """How much of the file, as it is stored, has been taken."""
        return self._lines.bytes_read

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def __iter__(self) -> Iterator[Record]:
        """The records, from offset 0.

        Raises
        ------
        TapewatchError
            Where the file is damaged or holds none.
        """
        found = self._rows() if self._file.is_csv else self._messages()
        offset = -1
        with self._lines:
            for offset, (timestamp, value) in enumerate(found):
                yield Record(offset, value, timestamp)
        if offset < 0:
            raise self._empty()

    def take(self, count: int) -> Sequence[Record]:
        """The next records, `count` of them unless the file ends before; a block where they are lines.

        Raises
        ------
        TapewatchError
            Where the file is damaged or holds none.
        """
        if self._file.is_csv:
            if self._each is None:
                self._each = iter(self)
            return tuple(islice(self._each, count))
        block = self._blocks.take(count)
        self._taken = self._taken or len(block) > 0
        if not self._taken and count > 0:
            raise self._empty()
        return block

    def _empty(self) -> TapewatchError:
        return TapewatchError(f"{self._file.path} holds no events")

    def _skip(self, name: str) -> None:
        self.skipped[name] = self.skipped.get(name, 0) + 1

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        for line in self._lines:
            message = self._message(line)
            if message is not None:
                yield message

    def _message(self, line: bytes) -> tuple[int, bytes] | None:
        """The record's timestamp and value, which the line ends in; None for a line that is no record."""
        if not line.strip():
            self._skip("blank")
        elif not self._ns_per:
            return int(NO_TIME), line
        else:
            mark = _mark(line)
            if mark is None:
                return _timed(line, self._ns_per)
            self._skip(mark)
        return None

    def _rows(self) -> Iterator[tuple[int, bytes]]:
        header: list[str] | None = None
        for row, text in _csv_rows(self._lines):
            if row is not None and not row:
                self._skip("blank")
            elif header is None:
                header = self._header(row)
            else:
                yield int(NO_TIME), _row_value(header, row, text)

    def _header(self, row: list[str] | None) -> list[str]:
        names = [] if row is None else [name.removeprefix("\ufeff").strip() for name in row]
        if not names or not all(names) or len(set(names)) < len(names):
            raise TapewatchError(
                f"{self._file.path}: the first row must name the columns, each with another name"
            )
        return names


def _mark(line: bytes) -> str | None:
    """What a line that is no message is, None for a message."""
    if line.startswith(_URLS):
        words = line.split(b" ", 2)
        return _MARKS.get(words[1]) if len(words) > 2 else None
    return "configuration" if line.startswith(b"configuration: ") else None


def _timed(line: bytes, ns_per: int) -> tuple[int, bytes]:
    """The record's timestamp, and what follows it; a line without one is passed on whole."""
    head, _, body = line.partition(b" ")
    number = head.removesuffix(b":")
    if _NUMBER.fullmatch(number) is None:
        return int(NO_TIME), line
    ns = int(number) * ns_per if number.isdigit() else int(Decimal(number.decode()) * ns_per)
    if ns > TIME_MAX_NS:
        return int(NO_TIME), line
    return ns // NS_PER_MS * NS_PER_MS, body


def _csv_rows(lines: Iterable[bytes]) -> Iterator[tuple[list[str] | None, str]]:
    """Each row with its text as it stands; None for what is no row."""
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for line in lines:
            taken.append(line.decode("utf-8", "surrogateescape"))
            yield taken[-1] + "\n"

    rows = csv.reader(texts(), strict=True)
    while True:
        try:
            row: list[str] | None = next(rows)
        except StopIteration:
            return
        except csv.Error:
            row = None
        yield row, "\n".join(taken)
        taken.clear()


def _row_value(header: list[str], row: list[str] | None, text: str) -> bytes:
    if row is not None and len(row) == len(header):
        try:
            return msgspec.json.encode(dict(zip(header, row, strict=True)))
        except UnicodeEncodeError:
            pass  # bytes that are no UTF-8: the decoder says so
    return text.encode("utf-8", "surrogateescape")
