"""Files as a source: each is one partition, read from its beginning to its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from streamer.errors import TapewatchError, UsageError
from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Extent, Partition, Record
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.line_reader import DamagedFileError
from streamer.sources.source import Assignments

INCARNATION = "file"
"""The `incarnation` of a file's partition, which tells it from a topic of the same name."""

_UNKNOWN_END = 2**62


def file_inputs(paths: Sequence[Path], settings: Sequence[FileSourceSettings]) -> list[FileInput]:
    """The files, each with the receive time of the first settings that match it.

    Raises
    ------
    UsageError
        When no settings match a file.

    Examples
    --------
    >>> named = FileSourceSettings(match="*.gz", format="binance", receive_time="ns")
    >>> file_inputs([Path("data/a.gz")], [named])
    [FileInput(path=PosixPath('data/a.gz'), receive_time='ns')]
    """
    inputs = []
    for path in paths:
        matching = next((entry for entry in settings if entry.matches(path.name)), None)
        if matching is None:
            raise UsageError(
                f"no entry of source.files matches {path.name!r}: add one that says how to read it, "
                "or give --format"
            )
        inputs.append(FileInput(path, matching.receive_time))
    return inputs


class FileSource:
    """Reads files one after another; a `Source`.

    A file's partition is (its name without folders, ``file``, 0); an offset is the number of a record in
    its file, from 0. Files emit no timers and never count as read to their end.

    Parameters
    ----------
    files
        What to read, in this order.
    batch_size
        Largest number of records in a chunk.
    limit
        Stop after this many records in all, None for no limit.
    """

    def __init__(self, files: Sequence[FileInput], batch_size: int, limit: int | None = None) -> None:
        self._files = tuple(files)
        self._batch_size = batch_size
        self._remaining = limit
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self._current: FileRecords | None = None
        self._finished_bytes = 0
        self._skipped: dict[str, int] = {}
        self._damages: list[str] = []
        self.bytes_total = 0

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored files have been read; compare with `bytes_total`."""
        return self._finished_bytes + (0 if self._current is None else self._current.bytes_read)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many lines were not records, by kind: notes of a capture about its connection, blank lines."""
        counts = dict(self._skipped)
        for name, count in ({} if self._current is None else self._current.skipped).items():
            counts[name] = counts.get(name, 0) + count
        return counts

    @property
    def damages(self) -> Sequence[str]:
        """Where files that are damaged or cut short ended; what follows in them was not read."""
        return tuple(self._damages)

    def open(self, assignments: Assignments) -> None:
        """Check every file, and get the offset to start at in each.

        Raises
        ------
        TapewatchError
            When one is missing, unreadable or empty, or two have the same name.
        """
        names: dict[str, Path] = {}
        self.bytes_total = 0
        for file in self._files:
            if file.name in names:
                raise TapewatchError(
                    f"{names[file.name]} and {file.path} have the same name:"
                    " their alerts could not be told apart"
                )
            names[file.name] = file.path
            self.bytes_total += _checked_size(file)
        partitions = [Partition(file.name, INCARNATION, 0) for file in self._files]
        logs = [LogExtent.of(Extent(each, first=0, end=_UNKNOWN_END, start=0)) for each in partitions]
        starts = assignments.assigned(logs)
        self._chunks = self._read(
            [(file, starts[partition]) for file, partition in zip(self._files, partitions, strict=True)]
        )

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk; a file never waits.

        A file that turns out to be damaged ends there, which `damages` tells.
        """
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: the end of a file says nothing about time."""
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        """None so far."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Nothing so far."""

    def exhausted(self) -> bool:
        """True after the last record."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Close the file being read."""
        self._chunks = iter(())
        if self._current is not None:
            self._current.close()

    def _read(self, files: Sequence[tuple[FileInput, int]]) -> Iterator[Chunk]:
        for file, start in files:
            if self._remaining == 0:
                return
            self._current = FileRecords(file)
            yield from self._chunks_of(Partition(file.name, INCARNATION, 0), self._current, start)
            self._finished_bytes += self._current.size
            for name, count in self._current.skipped.items():
                self._skipped[name] = self._skipped.get(name, 0) + count
            self._current.close()
            self._current = None

    def _chunks_of(self, partition: Partition, file: FileRecords, start: int) -> Iterator[Chunk]:
        taken = 0
        while taken < start:
            skipped = len(self._take(file, min(self._batch_size, start - taken), taken))
            if not skipped:
                return
            taken += skipped
        while self._remaining != 0:
            count = self._batch_size if self._remaining is None else min(self._batch_size, self._remaining)
            records = self._take(file, count, taken)
            if not records:
                return
            taken += len(records)
            if self._remaining is not None:
                self._remaining -= len(records)
            yield Chunk(partition, records)

    def _take(self, file: FileRecords, count: int, taken: int) -> Sequence[Record]:
        try:
            return file.take(count)
        except DamagedFileError as error:
            at = f"at {file.bytes_read:,} of {file.size:,} bytes, after {taken:,} whole records"
            self._damages.append(f"{error} ({at})")
            return ()


def _checked_size(file: FileInput) -> int:
    """The size of a file, once it has been opened and its first record read."""
    records = FileRecords(file)
    try:
        with suppress(DamagedFileError):  # told where it is read
            records.take(1)
        return records.size
    finally:
        records.close()
