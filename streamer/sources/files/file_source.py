"""Files as a source: each is read from its beginning to its end, those of one log by turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import TapewatchError
from streamer.messages.logs import LogExtent
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk, Extent, Partition, Record
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_logs import file_log
from streamer.sources.files.file_records import EmptyFileError, FileInput, FileRecords, record_place
from streamer.sources.files.line_blocks import ARENA_BYTES
from streamer.sources.files.line_reader import DamagedFileError
from streamer.sources.files.open_files import OpenFiles
from streamer.sources.source import Assignments

_UNKNOWN_END = 2**62
_ARENAS_BYTES = 1 << 26  # of all files of a log that are read by turns
_LEAST_ARENA_BYTES = 1 << 16
_CHUNKS_RECORDS = 3 << 14  # of all files of a log that are read by turns
_LEAST_CHUNK, _MOST_CHUNK = 64, 1 << 14


class FileSource:
    """Reads files, one log after another, and the files of one log by turns; a `Source`.

    A file's partition is (its name, ``file``, 0); an offset is the number of a record in its file, from 0.
    Files emit no timers, never count as read to their end, and are `finished` behind their last record.

    Parameters
    ----------
    files
        What to read; those of one `FileInput.log` are one log, in this order.
    batch_size
        Largest number of records in a chunk of a file that is a log of its own. Chunks of files that are read
        by turns are of a size that depends on their number alone: within a chunk, what is ahead is seen.
    """

    def __init__(self, files: Sequence[FileInput], batch_size: int) -> None:
        by_log: dict[str, list[FileInput]] = {}
        for file in files:
            by_log.setdefault(file.log, []).append(file)
        self._logs = tuple(by_log.values())
        self._batch_size = batch_size
        self._waiting: deque[list[_FileReading]] = deque()
        self._readings: list[_FileReading] = []
        self._withheld: frozenset[Partition] = frozenset()
        self._finished: frozenset[Partition] = frozenset()
        self._exhausted = False
        self.empty: Sequence[str] = ()
        """Which files hold no events, for people; known from `open` on."""
        self.bytes_total = 0

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored files have been read; compare with `bytes_total`."""
        return sum(reading.bytes_read for reading in self._readings)

    @property
    def not_apart(self) -> frozenset[str]:
        """The files that were not given with ``logs: each``."""
        return frozenset(file.name for files in self._logs for file in files if file.log != file.name)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many lines were not records, by kind: notes of a capture about its connection, blank lines."""
        counts: dict[str, int] = {}
        for reading in self._readings:
            for name, count in reading.skipped.items():
                counts[name] = counts.get(name, 0) + count
        return counts

    def unsorted(self, disorders: Mapping[Partition, Disorder]) -> list[str]:
        """Which files go back in time, each with the line, for people.

        Parameters
        ----------
        disorders
            Of files without receive times: where their event times go back.
        """
        found = []
        for reading in self._readings:
            received = reading.disorder
            disorder = received if received.began else disorders.get(reading.partition, received)
            if disorder.first is not None:
                found.append(disorder.told(record_place(reading.file, disorder.first)))
        return found

    def untimed(self, partitions: Collection[Partition], *, paced: bool) -> list[str]:
        """Which files could not be merged with the others, or paced, for people.

        Parameters
        ----------
        partitions
            The files whose events have no times.
        paced
            Whether they were to be paced; else only those tell that are to be merged with others.
        """
        alone = set() if paced else {files[0].name for files in self._logs if len(files) == 1}
        return [
            f"{reading.file.path}: no times to go by, neither of receipt nor of events: all of it is folded "
            "at once, before any others"
            for reading in self._readings
            if reading.partition in partitions and not reading.disorder.began
            if reading.file.name not in alone
        ]

    @property
    def damages(self) -> Sequence[str]:
        """Where files that are damaged or cut short ended; what follows in them was not read."""
        return tuple(reading.damage for reading in self._readings if reading.damage)

    def open(self, assignments: Assignments) -> None:
        """Check every file, and get the offset to start at in each; those without events are left out.

        Raises
        ------
        TapewatchError
            When one is missing, unreadable or no regular file, two have the same name, or all are empty.
        """
        names: dict[str, Path] = {}
        empty: dict[FileInput, EmptyFileError] = {}
        self.bytes_total = 0
        for file in (file for files in self._logs for file in files):
            if file.name in names:
                raise TapewatchError(
                    f"{names[file.name]} and {file.path} have the same name:"
                    " their alerts could not be told apart"
                )
            names[file.name] = file.path
            try:
                self.bytes_total += _checked_size(file)
            except EmptyFileError as error:
                empty[file] = error
        if empty and len(empty) == len(names):
            raise next(iter(empty.values()))
        self.empty = tuple(map(str, empty.values()))
        filled = [[file for file in files if file not in empty] for files in self._logs]
        self._logs = tuple(files for files in filled if files)
        logs = [file_log(files) for files in self._logs]
        starts = assignments.assigned(
            [LogExtent(log, tuple(Extent(each, 0, _UNKNOWN_END, 0) for each in log.members)) for log in logs]
        )
        for log, files in zip(logs, self._logs, strict=True):
            arena = min(max(_ARENAS_BYTES // len(files), _LEAST_ARENA_BYTES), ARENA_BYTES)
            chunk = min(max(_CHUNKS_RECORDS // len(files), _LEAST_CHUNK), _MOST_CHUNK)
            how = _HowRead(OpenFiles(), arena, self._batch_size if len(files) == 1 else chunk)
            self._waiting.append(
                [
                    _FileReading(file, member, starts[member], how)
                    for file, member in zip(files, log.members, strict=True)
                ]
            )
        self._readings = [reading for readings in self._waiting for reading in readings]

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk of each file of the log that is not withheld; a file never waits.

        A file that turns out to be damaged ends there, which `damages` tells.
        """
        del timeout_s
        while self._waiting:
            readings = self._waiting[0]
            chunks = [chunk for reading in readings if (chunk := self._next(reading)) is not None]
            self._finished |= {reading.partition for reading in readings if reading.finished}
            readings[:] = [reading for reading in readings if not reading.finished]
            if chunks or readings:
                return chunks
            self._waiting.popleft()
        self._exhausted = True
        return ()

    def at_end(self) -> frozenset[Partition]:
        """Empty: the end of a file says nothing about time."""
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        """The files that were read to their end."""
        return self._finished

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Read no further in these files until it is called again, with others."""
        self._withheld = frozenset(partitions)

    def exhausted(self) -> bool:
        """True after the last record."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Close the files being read."""
        self._waiting.clear()
        for reading in self._readings:
            reading.close()

    def _next(self, reading: _FileReading) -> Chunk | None:
        if reading.partition in self._withheld:
            return None
        records = reading.take()
        return Chunk(reading.partition, records) if records else None


@dataclass(frozen=True, slots=True)
class _HowRead:
    """What the files of one log that are read by turns have in common."""

    open_files: OpenFiles
    arena_bytes: int
    chunk: int


class _FileReading:
    """One file and how far it is read; it is opened for its first record."""

    def __init__(self, file: FileInput, partition: Partition, start: int, how: _HowRead) -> None:
        self.file = file
        self.partition = partition
        self.disorder = Disorder()
        self.finished = False
        self.damage = ""
        self.skipped: Mapping[str, int] = {}
        self._start = start
        self._how = how
        self._records: FileRecords | None = None
        self._bytes = 0
        self._taken = 0

    @property
    def bytes_read(self) -> int:
        return self._bytes if self._records is None else self._records.bytes_read

    def take(self) -> Sequence[Record]:
        """The next records, none at the end."""
        if self._records is None:
            self._records = FileRecords(self.file, self._how.arena_bytes, self._how.open_files)
            self.skipped = self._records.skipped
        while self._taken < self._start:
            if not self._take(self._records, self._start - self._taken):
                return ()
        return self._take(self._records, self._how.chunk)

    def close(self) -> None:
        if self._records is not None:
            self._bytes = self._records.bytes_read
            self._records.close()
            self._records = None

    def _take(self, file: FileRecords, count: int) -> Sequence[Record]:
        records: Sequence[Record] = ()
        try:
            records = file.take(min(count, self._how.chunk))
        except DamagedFileError as error:
            at = f"at {file.bytes_read:,} of {file.size:,} bytes, after {self._taken:,} whole records"
            self.damage = f"{error} ({at})"
        self._taken += len(records)
        if isinstance(records, RecordBlock):
            timed = records.received != NO_TIME
            self.disorder.follow(records.offset[timed], records.received[timed])
        if not records:
            self.finished = True
            self.close()
            self._bytes = file.size
        return records


def _checked_size(file: FileInput) -> int:
    """The size of a file, once it has been opened and its first record read."""
    records = FileRecords(file)
    try:
        with suppress(DamagedFileError):  # told where it is read
            records.take(1)
        return records.size
    finally:
        records.close()
