"""Unpacks gzip and Zstandard piece by piece: memory is bounded, however much comes out of how little."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator

import zstandard

PIECE_BYTES = 1 << 18
"""No piece is larger."""

ZSTD_WINDOW_BYTES = 1 << 27
"""Frames that refer further back (``zstd --long=28`` and up) are refused: the window is kept in memory."""

_READ_BYTES = 1 << 16
_GZIP = 31  # zlib's code for a header and a trailer of gzip
_FRAME, _SKIPPED_FRAMES = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"
_RUN = 1  # a block of one byte, repeated

Read = Callable[[int], bytes]
"""Returns at most so many packed bytes, none at the end."""


class DamagedError(Exception):
    """What is packed is damaged, cut short, or not what it is said to be; all before that was unpacked."""


def gzip_pieces(read: Read) -> Iterator[bytes]:
    """Unpack gzip, one member after another.

    Raises
    ------
    DamagedError
        After all that can be unpacked.

    Examples
    --------
    >>> import gzip
    >>> b"".join(gzip_pieces(io.BytesIO(gzip.compress(b"a") + gzip.compress(b"bc")).read))
    b'abc'
    """
    packed = read(_READ_BYTES)
    while packed:
        member = zlib.decompressobj(_GZIP)
        piece = b""
        while not member.eof:
            if not packed and len(piece) < PIECE_BYTES:  # else more may come of what it has
                packed = read(_READ_BYTES)
                if not packed:
                    raise DamagedError("it ends too early")
            before = member.copy()
            try:
                piece = member.decompress(packed, PIECE_BYTES)
            except zlib.error as error:
                yield from _before_damage(before, packed)
                raise DamagedError(str(error)) from error
            packed = member.unconsumed_tail
            if piece:
                yield piece
        packed = (member.unused_data or read(_READ_BYTES)).lstrip(b"\0")
        while not packed and (packed := read(_READ_BYTES)):
            packed = packed.lstrip(b"\0")  # padding


def _before_damage(member: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    for at in range(len(packed)):
        try:
            yield member.decompress(packed[at : at + 1])
        except zlib.error:
            return


def zstd_pieces(read: Read) -> Iterator[bytes]:
    """Unpack Zstandard, one frame after another (RFC 8878).

    The library is given one block at a time, of which at most 128 KiB come: its own readers unpack all they
    are given at once, or do not notice a last frame that is cut short.

    Raises
    ------
    DamagedError
        After all that can be unpacked.

    Examples
    --------
    >>> packed = zstandard.compress(b"a") + zstandard.compress(b"bc")
    >>> b"".join(zstd_pieces(io.BytesIO(packed).read))
    b'abc'
    """
    packed = _Packed(read)
    while magic := packed.at_most(4):
        if magic[1:] == _SKIPPED_FRAMES and magic[0] >> 4 == 5:
            packed.skip(int.from_bytes(packed.exactly(4), "little"))
            continue
        if magic != _FRAME:
            raise DamagedError("it is not Zstandard" if len(magic) == len(_FRAME) else "it ends too early")
        frame = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
        for part in _parts(magic, packed):
            try:
                piece = frame.decompress(part)
            except zstandard.ZstdError as error:
                raise DamagedError(str(error)) from error
            if piece:
                yield piece


def _parts(magic: bytes, packed: _Packed) -> Iterator[bytes]:
    """A frame's header, its blocks, and its checksum."""
    descriptor = packed.exactly(1)
    flags = descriptor[0]
    single_segment, checksum = flags >> 5 & 1, flags >> 2 & 1
    content_size = (single_segment, 2, 4, 8)[flags >> 6]
    dictionary = (0, 1, 2, 4)[flags & 3]
    yield magic + descriptor + packed.exactly(1 - single_segment + dictionary + content_size)
    last = False
    while not last:
        header = packed.exactly(3)
        fields = int.from_bytes(header, "little")
        last = bool(fields & 1)
        yield header + packed.exactly(1 if fields >> 1 & 3 == _RUN else fields >> 3)
    if checksum:
        yield packed.exactly(4)


class _Packed:
    """Packed bytes in parts of given sizes."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._bytes = b""
        self._at = 0

    def at_most(self, count: int) -> bytes:
        while len(self._bytes) - self._at < count and (more := self._read(_READ_BYTES)):
            self._bytes, self._at = self._bytes[self._at :] + more, 0
        part = self._bytes[self._at : self._at + count]
        self._at += len(part)
        return part

    def exactly(self, count: int) -> bytes:
        part = self.at_most(count)
        if len(part) < count:
            raise DamagedError("it ends too early")
        return part

    def skip(self, count: int) -> None:
        while count > 0:
            count -= len(self.exactly(min(count, _READ_BYTES)))


class Unpacked(io.RawIOBase):
    """Pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from one piece; 0 at the end.

        Raises
        ------
        DamagedError
            Where the pieces end in it.
        """
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count
