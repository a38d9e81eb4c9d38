"""Reads the lines of a file, compressed or not, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.errors import TapewatchError
from streamer.sources.files.open_files import OpenFiles, require_regular
from streamer.sources.unpacking import DamagedError, Unpacked, gzip_pieces, zstd_pieces

LINE_MAX_BYTES = 1 << 24
"""Longer lines are cut to 16 MiB, and the rest is skipped: no format decodes records of more than 1 MiB."""

_BUFFER_BYTES = 1 << 18
_UNSUPPORTED = frozenset(
    {".parquet", ".arrow", ".feather", ".xlsx", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".lz4"}
)


class DamagedFileError(TapewatchError):
    """A file is damaged or cut short; all its whole lines before that have been read."""


class Lines:
    """An open file, a context manager to be iterated over once: lines as bytes without line endings.

    Parameters
    ----------
    path
        The file; ``.gz`` and ``.zst`` are decompressed.
    longest
        Longer lines are cut to so many bytes.
    files
        What decides whether it is open between two reads; without it, it is.

    Raises
    ------
    TapewatchError
        When it is missing, cannot be read, is no regular file, or is of an unsupported kind.
    DamagedFileError
        While iterating, when it is damaged.
    """

    def __init__(self, path: Path, longest: int = LINE_MAX_BYTES, files: OpenFiles | None = None) -> None:
        self._path = path
        self._longest = longest
        if path.suffix.lower() in _UNSUPPORTED:
            raise TapewatchError(f"{path}: {path.suffix} files are not supported; give .jsonl or .csv")
        try:
            require_regular(path)
            self._raw = path.open("rb") if files is None else files.open(path)
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error
        self._stream = _decompressed(self._raw, path.suffix.lower())

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored file have been read; compare with `size`."""
        return self.size if self._raw.closed else self._raw.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._raw.close()

    def __iter__(self) -> Iterator[bytes]:
        """The lines.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all whole lines before that.
        """
        with self._explained():
            yield from self._lines()

    def read_into(self, buffer: memoryview) -> int:
        """Read decompressed bytes instead of lines; returns how many, 0 at the end.

        Raises
        ------
        DamagedFileError
            When the file is damaged, after all bytes before that.
        """
        with self._explained():
            target = buffer if self._stream is self._raw else buffer[:_BUFFER_BYTES]
            count: int = self._stream.readinto1(target)
            return count

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DamagedError as error:
            raise DamagedFileError(f"{self._path} is damaged or not what its name says: {error}") from error
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _lines(self) -> Iterator[bytes]:
        readline = self._stream.readline
        while line := readline(self._longest):
            if len(line) == self._longest and not line.endswith(b"\n"):
                while (rest := readline(self._longest)) and not rest.endswith(b"\n"):
                    pass
            yield line.rstrip(b"\r\n")


def _unreadable(path: Path, error: OSError) -> TapewatchError:
    if isinstance(error, FileNotFoundError):
        return TapewatchError(f"{path}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return TapewatchError(f"{path} is a folder; name the files in it")
    return TapewatchError(f"{path} cannot be read: {error.strerror or error}")


def _decompressed(raw: io.BufferedReader, suffix: str) -> io.BufferedReader:
    unpack = {".gz": gzip_pieces, ".zst": zstd_pieces}.get(suffix)
    return raw if unpack is None else io.BufferedReader(Unpacked(unpack(raw.read)), _BUFFER_BYTES)
