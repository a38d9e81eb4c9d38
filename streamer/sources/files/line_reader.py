"""The lines of a file, compressed or not, one after another in bounded memory."""

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
"""Of a longer line only so much is kept; the rest is read over."""

_BUFFER_BYTES = 1 << 18
_UNREADABLE = frozenset(
    {".parquet", ".arrow", ".feather", ".xlsx", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".lz4"}
)


class Lines:
    """An open file, to be iterated over once: lines as bytes, without what ends them.

    Parameters
    ----------
    path
        The file; ``.gz`` and ``.zst`` are decompressed.

    Raises
    ------
    TapewatchError
        Where it is missing, cannot be read, or is of a kind that is not read at all; while
        iterating, where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.suffix.lower() in _UNREADABLE:
            raise TapewatchError(f"{path}: files ending in {path.suffix} are not read; give .jsonl or .csv")
        try:
            self._raw = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error
        self._stream = _decompressed(self._raw, path.suffix.lower())

    @property
    def bytes_read(self) -> int:
        """How much of the file, as it is stored, has been taken; compare with `size`."""
        return self.size if self._raw.closed else self._raw.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()
        self._raw.close()

    def __iter__(self) -> Iterator[bytes]:
        """The lines.

        Raises
        ------
        TapewatchError
            Where the file is damaged.
        """
        with self._explained():
            yield from self._lines()

    def read_into(self, room: memoryview) -> int:
        """Instead of lines, bytes as they come: so many as were there, 0 at the end.

        Raises
        ------
        TapewatchError
            Where the file is damaged.
        """
        with self._explained():
            taken: int = self._stream.readinto1(room if self._stream is self._raw else room[:_BUFFER_BYTES])
            return taken

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            reason = str(error) or "it ends early"
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


def open_lines(path: Path) -> Lines:
    """Open a file to read its lines; a context manager.

    Raises
    ------
    TapewatchError
        Where that cannot be done.
    """
    return Lines(path)


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
    """Frames one after another; unlike the library's own reader it tells when the last one is cut short."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            packed = self._packed or self._raw.read(_BUFFER_BYTES)
            if not packed:
                if self._frame is not None:
                    raise EOFError
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._plain, self._packed = memoryview(self._frame.decompress(packed)), b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        taken = len(buffer) if len(buffer) < len(self._plain) else len(self._plain)
        buffer[:taken] = self._plain[:taken]
        self._plain = self._plain[taken:]
        return taken
