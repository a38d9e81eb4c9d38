"""Writes a recording, which gets its name only once it is complete."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from streamer.errors import TapewatchError, UsageError
from streamer.messages.control_inputs import ControlInput
from streamer.messages.logs import Log, Positions
from streamer.messages.records import Record
from streamer.sources.recording.line_format import (
    control_line,
    done_line,
    header_line,
    idle_line,
    merge_line,
    record_line,
    timer_line,
)
from streamer.store.private_files import open_private

_UNFINISHED = ".part"
_GZIP_LEVEL = 6  # the default of the gzip command


class RecordingWriter:
    """A recording being written; a context manager.

    It is written to a temporary file and renamed when the ``with`` block ends without an error, so that a
    file with the name of a recording is never incomplete.

    Parameters
    ----------
    path
        ``.jsonl``, or compressed ``.jsonl.gz`` or ``.jsonl.zst``.
    logs
        The logs, each with the offsets where its history begins. Their partitions are numbered through.

    Raises
    ------
    UsageError
        When the name has another ending.
    TapewatchError
        When the file cannot be written.
    """

    def __init__(self, path: Path, logs: Sequence[tuple[Log, Positions]]) -> None:
        if path.suffix != ".jsonl" and path.suffixes[-2:] not in ([".jsonl", ".gz"], [".jsonl", ".zst"]):
            raise UsageError(f"{path}: the name of a recording ends in .jsonl, .jsonl.gz or .jsonl.zst")
        self._path = path
        self._partial = path.with_name(path.name + _UNFINISHED)
        self._header = header_line(logs)

    def __enter__(self) -> RecordingWriter:
        with self._explained():
            self._out = _open_output(self._partial, self._path.suffix)
        self._line(self._header)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._explained():
                self._out.close()
                if kind is None:
                    self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def record(self, number: int, record: Record) -> None:
        """Add a record of partition `number`."""
        self._line(record_line(number, record))

    def merge(self, numbers: Sequence[int]) -> None:
        """Begin a segment of a joined log, which these partitions have records of."""
        self._line(merge_line(numbers))

    def done(self, number: int) -> None:
        """Add that partition `number` has no more records of the segment."""
        self._line(done_line(number))

    def idle(self, number: int) -> None:
        """Add that the others went on without partition `number`."""
        self._line(idle_line(number))

    def timer(self, number: int, timer_number: int, ts_ns: int) -> None:
        """Add a timer of partition `number`."""
        self._line(timer_line(number, timer_number, ts_ns))

    def control(self, number: int, control: ControlInput) -> None:
        """Add a control input of partition `number`."""
        self._line(control_line(number, control))

    def _line(self, line: bytes) -> None:
        with self._explained():
            self._out.write(line + b"\n")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TapewatchError(f"cannot write {self._path}: {error.strerror or error}") from error


def _open_output(path: Path, suffix: str) -> IO[bytes]:
    os.close(open_private(path, os.O_WRONLY))
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "wb", compresslevel=_GZIP_LEVEL))
    if suffix == ".zst":
        return cast(IO[bytes], zstandard.open(path, "wb"))
    return path.open("wb")
