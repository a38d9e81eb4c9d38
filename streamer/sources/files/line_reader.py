"""Reads the lines of a file, compressed or not, in bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import zstandard

from streamer.errors import TapewatchError

LINE_MAX_BYTES = 1 << 24
"""Longer lines are cut to this length; the rest is skipped."""

_BUFFER_BYTES = 1 << 18
_UNSUPPORTED = frozenset(
    {".parquet", ".arrow", ".feather", ".xlsx", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".lz4"}
)


class Lines:
    """An open file, a context manager to be iterated over once: lines as bytes without line endings.

    Parameters
    ----------
    path
        The file; ``.gz`` and ``.zst`` are decompressed.

    Raises
    ------
    TapewatchError
        When it is missing, cannot be read, or is of an unsupported kind; while iterating, when it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.suffix.lower() in _UNSUPPORTED:
            raise TapewatchError(f"{path}: {path.suffix} files are not supported; give .jsonl or .csv")
        try:
            self._raw = path.open("rb")
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
        TapewatchError
            When the file is damaged.
        """
        with self._explained():
            yield from self._lines()

    def read_into(self, buffer: memoryview) -> int:
        """Read decompressed bytes instead of lines; returns how many, 0 at the end.

        Raises
        ------
        TapewatchError
            When the file is damaged.
        """
        with self._explained():
            target = buffer if self._stream is self._raw else buffer[:_BUFFER_BYTES]
            count: int = self._stream.readinto1(target)
            return count

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            reason = str(error) or "unexpected end of file"
            raise TapewatchError(f"{self._path} is damaged or not what its name says: {reason}") from error
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _lines(self) -> Iterator[bytes]:
        readline = self._stream.readline
        while line := readline(LINE_MAX_BYTES):
            if len(line) == LINE_MAX_BYTES and not line.endswith(b"\n"):
                while (rest := readline(LINE_MAX_BYTES)) and not rest.endswith(b"\n"):
                    pass
            yield line.rstrip(b"\r\n")


def _unreadable(path: Path, error: OSError) -> TapewatchError:
    if isinstance(error, FileNotFoundError):
        return TapewatchError(f"{path}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return TapewatchError(f"{path} is a folder; name the files in it")
    return TapewatchError(f"{path} cannot be read: {error.strerror or error}")


def _decompressed(raw: io.BufferedReader, suffix: str) -> io.BufferedReader:
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), _BUFFER_BYTES)
    if suffix == ".zst":
        return io.BufferedReader(_Zstd(raw), _BUFFER_BYTES)
    return raw


class _Zstd(io.RawIOBase):
    """Decompresses consecutive frames; unlike the library's own reader it notices a truncated last frame."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            compressed = self._compressed or self._raw.read(_BUFFER_BYTES)
            if not compressed:
                if self._frame is not None:
                    raise EOFError
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._plain, self._compressed = memoryview(self._frame.decompress(compressed)), b""
            if self._frame.eof:
                self._compressed, self._frame = self._frame.unused_data, None
        count = len(buffer) if len(buffer) < len(self._plain) else len(self._plain)
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count
