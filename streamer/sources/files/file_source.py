"""Files as a source: each is one partition, read from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streamer.errors import TapewatchError, UsageError
from streamer.messages.records import Chunk, Log, Partition
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.line_reader import open_lines
from streamer.sources.source import Assignments

__all__ = ["INCARNATION", "FileInput", "FileRecords", "FileSource", "file_inputs", "open_lines"]

INCARNATION = "file"
"""Stands in a partition's `incarnation`, so that a file is never taken for a topic of its name."""

_UNKNOWN_END = 2**62


def file_inputs(paths: Sequence[Path], settings: Sequence[FileSourceSettings]) -> list[FileInput]:
    """The files with what the first matching settings say about them.

    Raises
    ------
    UsageError
        Where nothing matches a file.

    Examples
    --------
    >>> named = FileSourceSettings(match="*.gz", format="binance", receive_time="ns")
    >>> file_inputs([Path("data/a.gz")], [named])
    [FileInput(path=PosixPath('data/a.gz'), receive_time='ns')]
    """
    found = []
    for path in paths:
        matching = next((each for each in settings if each.matches(path.name)), None)
        if matching is None:
            raise UsageError(
                f"no entry of source.files matches {path.name!r}: add one that says how it is read, "
                "or give --format"
            )
        found.append(FileInput(path, matching.receive_time))
    return found


class FileSource:
    """Reads files one after another; a `Source`.

    A file's partition is (its name without folders, ``file``, 0); an offset is the number of a record in
    its file, from 0. No timers come from it, and nothing is ever at its end.

    Parameters
    ----------
    files
        What to read, in this order.
    batch_size
        Records a chunk at most.
    limit
        Stop after so many records in all, None for no such limit.
    """

    def __init__(self, files: Sequence[FileInput], batch_size: int, limit: int | None = None) -> None:
        self._files = tuple(files)
        self._batch_size = batch_size
        self._left = limit
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self._current: FileRecords | None = None
        self._done_bytes = 0
        self._skipped: dict[str, int] = {}
        self.bytes_total = 0

    @property
    def bytes_read(self) -> int:
        """How much of the files, as they are stored, has been taken; compare with `bytes_total`."""
        return self._done_bytes + (0 if self._current is None else self._current.bytes_read)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many lines were no records, by name: what captures note of their connection, blank lines."""
        found = dict(self._skipped)
        for name, count in ({} if self._current is None else self._current.skipped).items():
            found[name] = found.get(name, 0) + count
        return found

    def open(self, assignments: Assignments) -> None:
        """Look at every file, and ask where to start in it.

        Raises
        ------
        TapewatchError
            Where one is missing, unreadable, empty or damaged at its beginning, or two have one name.
        """
        names: dict[str, Path] = {}
        self.bytes_total = 0
        for file in self._files:
            if file.name in names:
                raise TapewatchError(
                    f"{names[file.name]} and {file.path} have the same name: their alerts would look alike"
                )
            names[file.name] = file.path
            self.bytes_total += _looked_at(file)
        partitions = [Partition(file.name, INCARNATION, 0) for file in self._files]
        logs = [Log(partition, first=0, end=_UNKNOWN_END, start=0) for partition in partitions]
        starts = assignments.assigned(logs)
        self._chunks = self._read(
            [(file, starts[at]) for file, at in zip(self._files, partitions, strict=True)]
        )

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk; a file never waits.

        Raises
        ------
        TapewatchError
            Where the file turns out to be damaged.
        """
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: the end of a file says nothing about time."""
        return frozenset()

    def exhausted(self) -> bool:
        """True behind the last record."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Let go of the file being read."""
        self._chunks = iter(())
        if self._current is not None:
            self._current.close()

    def _read(self, files: Sequence[tuple[FileInput, int]]) -> Iterator[Chunk]:
        for file, start in files:
            if self._left == 0:
                return
            self._current = FileRecords(file)
            yield from self._chunks_of(Partition(file.name, INCARNATION, 0), self._current, start)
            self._done_bytes += self._current.size
            for name, count in self._current.skipped.items():
                self._skipped[name] = self._skipped.get(name, 0) + count
            self._current.close()
            self._current = None

    def _chunks_of(self, partition: Partition, found: FileRecords, start: int) -> Iterator[Chunk]:
        while start > 0:
            before = len(found.take(min(self._batch_size, start)))
            if not before:
                return
            start -= before
        while self._left != 0:
            wanted = self._batch_size if self._left is None else min(self._batch_size, self._left)
            records = found.take(wanted)
            if not records:
                return
            if self._left is not None:
                self._left -= len(records)
            yield Chunk(partition, records)


def _looked_at(file: FileInput) -> int:
    """The size of a file that can be opened and holds something."""
    found = FileRecords(file)
    try:
        found.take(1)
        return found.size
    finally:
        found.close()
