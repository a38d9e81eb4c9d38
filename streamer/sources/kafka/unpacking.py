"""Unpacks the payload of a compressed record batch, piece by piece and up to a limit.

A batch of 48 KB may unpack to gigabytes. kafka-python unpacks it whole and looks afterwards; here unpacking
stops at the limit, so a batch takes no more memory than that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from kafka.errors import CorruptRecordError

from streamer.sources.kafka.kafka_settings import MAX_UNPACKED_BYTES

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""The codecs, as a batch's attributes number them."""

_PIECE_BYTES = 1_048_576  # unpacked at a time: memory beyond the limit is never more than this
_GZIP_TAKEN = 4_096  # of its payload at a time: zlib copies what is behind a member, and there may be many
_GZIP_WINDOW = 31  # zlib's code for a gzip header with the largest window
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16  # the magic bytes and two version numbers
_BLOCK_SIZE = struct.Struct(">i")


class UnpackedTooLargeError(CorruptRecordError):  # type: ignore[misc]  # kafka-python has no types
    """A batch unpacks to more than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the batch unpacks to more than {limit:,} bytes (source.kafka.max_unpacked_bytes)")


class MissingCodecError(Exception):
    """A batch cannot be unpacked because a library is missing; the batch itself is sound.

    Parameters
    ----------
    codec
        The codec's name.
    remedy
        What to do, such as ``pip install lz4``.
    """

    def __init__(self, codec: str, remedy: str) -> None:
        super().__init__(f"the codec {codec} cannot be unpacked here")
        self.codec = codec
        self.remedy = remedy


def unpack(codec: int, data: memoryview, limit: int = MAX_UNPACKED_BYTES) -> bytearray:
    """Unpack a batch's payload.

    Parameters
    ----------
    codec
        `GZIP`, `SNAPPY`, `LZ4` or `ZSTD`.
    data
        The payload.
    limit
        How many bytes it may unpack to.

    Raises
    ------
    MissingCodecError
        When the codec's library cannot be imported, or the codec is unknown here.
    UnpackedTooLargeError
        When it unpacks to more than `limit` bytes.
    kafka.errors.CorruptRecordError
        When the payload is damaged.

    Examples
    --------
    >>> import gzip
    >>> unpack(GZIP, memoryview(gzip.compress(b"trades")))
    bytearray(b'trades')
    """
    if codec not in _CODECS:
        raise MissingCodecError(f"number {codec}", "install a newer tapewatch")
    name, library, package, unpacked = _CODECS[codec]
    try:
        module = import_module(library)
    except ImportError as error:
        raise MissingCodecError(name, f"pip install {package}") from error
    try:
        return unpacked(module, data, limit)
    except (CorruptRecordError, MemoryError):
        raise
    except Exception as error:  # each library has its own errors, some none but RuntimeError
        raise CorruptRecordError(f"the {name} payload is damaged: {error}") from error


def _gzip(library: Any, data: memoryview, limit: int) -> bytearray:
    out, at = bytearray(), 0
    while at < len(data):
        member = library.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            if at >= len(data):
                raise CorruptRecordError("the gzip payload is cut off")
            left: Any = data[at : at + _GZIP_TAKEN]
            at += len(left)
            while left:
                _extend(out, member.decompress(left, _PIECE_BYTES), limit)
                left = member.unconsumed_tail
        at = _behind_padding(data, at - len(member.unused_data))
    return out


def _behind_padding(data: memoryview, at: int) -> int:
    """Where the next member of a gzip payload begins; they may be padded, as the gzip tool allows."""
    while at < len(data):
        piece = bytes(data[at : at + _GZIP_TAKEN])
        if left := len(piece.lstrip(b"\0")):
            return at + len(piece) - left
        at += len(piece)
    return at


def _lz4(library: Any, data: memoryview, limit: int) -> bytearray:
    out = bytearray()
    frame = library.LZ4FrameDecompressor()
    piece: Any = data
    while not frame.eof:
        unpacked = frame.decompress(piece, _PIECE_BYTES)
        _extend(out, unpacked, limit)
        if frame.needs_input and not frame.eof:
            raise CorruptRecordError("the lz4 payload is cut off")
        piece = b""
    return out


def _zstd(library: Any, data: memoryview, limit: int) -> bytearray:
    out = bytearray()
    with library.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        while piece := reader.read(_PIECE_BYTES):  # of what is cut off it gives the beginning
            _extend(out, piece, limit)
    return out


def _snappy(library: Any, data: memoryview, limit: int) -> bytearray:
    out = bytearray()
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        _extend_by_block(out, library, data, limit)
        return out
    at = _XERIAL_HEADER
    while at < len(data):
        (size,) = _BLOCK_SIZE.unpack_from(data, at)
        at += _BLOCK_SIZE.size
        if not 0 < size <= len(data) - at:
            raise CorruptRecordError("a block of the snappy payload is cut off")
        _extend_by_block(out, library, data[at : at + size], limit)
        at += size
    return out


def _extend_by_block(out: bytearray, library: Any, block: memoryview, limit: int) -> None:
    """Unpack one block; it begins with its unpacked size, which is reserved before it is unpacked."""
    size = shift = 0
    for byte in block[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if len(out) + size > limit:
        raise UnpackedTooLargeError(limit)
    _extend(out, library.decompress(bytes(block)), limit)


def _extend(out: bytearray, piece: bytes, limit: int) -> None:
    if len(out) + len(piece) > limit:
        raise UnpackedTooLargeError(limit)
    out += piece


_Unpack = Callable[[Any, memoryview, int], bytearray]
_CODECS: Mapping[int, tuple[str, str, str, _Unpack]] = MappingProxyType(
    {
        GZIP: ("gzip", "zlib", "", _gzip),
        SNAPPY: ("snappy", "snappy", "python-snappy", _snappy),
        LZ4: ("lz4", "lz4.frame", "lz4", _lz4),
        ZSTD: ("zstd", "zstandard", "zstandard", _zstd),
    }
)
"""By number: name, library, the package that has it, and how it unpacks."""
