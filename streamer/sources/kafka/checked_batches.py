"""Record batches that are checked before they are read, and unpacked within a limit.

A batch's checksum does not cover its first 21 bytes: base offset, length, leader epoch, format and the
checksum itself. kafka-python believes them. Here a batch must be of a known format and lie between the batch
before it, the one behind it and the end of the log, so that a damaged header never moves records to other
offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.util import calc_crc32c
from numpy.typing import NDArray

from streamer.sources.kafka.kafka_settings import MAX_UNPACKED_BYTES
from streamer.sources.kafka.unpacking import LZ4, MissingCodecError, unpack

_FORMAT = 2  # the current one; older ones have other headers
_HEADER = DefaultRecordBatch.HEADER_STRUCT
_CRC_FROM = DefaultRecordBatch.ATTRIBUTES_OFFSET
_MAGIC_AT = MemoryRecords.MAGIC_OFFSET
_SEARCH_BYTES = 268_435_456  # checksummed in one search at most: hostile bytes are full of headers
_SEARCHED_AT_ONCE = 131_072
_MOST_OFFSET = 2**61
_PLACES = (0, 8), (8, 4), (23, 4)  # of the base offset, the length and the last offset's delta: at, bytes
_BASE, _LENGTH = struct.Struct(">q"), struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """What a fetch is checked against.

    Parameters
    ----------
    offset
        The offset that is wanted next.
    end
        Gives one past the log's last offset, None if unknown. It is called as late as possible: kafka-python
        notes the end that a response states only after it has made the response's parser.
    max_unpacked
        How many bytes one batch may unpack to.
    passes
        Whether whatever lies before `offset` is passed over, damaged batches too, until a sound batch holds
        that offset or a later one.
    holds
        Whether that batch must hold `offset` itself.
    """

    offset: int
    end: Callable[[], int | None] = lambda: None
    max_unpacked: int = MAX_UNPACKED_BYTES
    passes: bool = False
    holds: bool = False


class CheckedBatch(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python has no types
    """A batch of the current format."""

    max_unpacked: int
    _buffer: Any
    _pos: int
    _decompressed: bool
    _last_read: int | None = None

    def _read_msg(self, *arguments: Any) -> Any:
        """A record; a broker takes batches from producers whose records claim other offsets than theirs."""
        record = super()._read_msg(*arguments)
        before = self.base_offset - 1 if self._last_read is None else self._last_read
        if not before < record.offset <= self.last_offset:
            raise CorruptRecordError(
                f"a record says that its offset is {record.offset}, in a batch of offsets "
                f"{self.base_offset} to {self.last_offset}, behind offset {before}"
            )
        self._last_read = record.offset
        return record

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type:
            payload = memoryview(self._buffer)[self._pos :]
            self._buffer = unpack(self.compression_type, payload, self.max_unpacked)
            self._pos = 0
        self._decompressed = True


class CheckedLegacyBatch(LegacyRecordBatch):  # type: ignore[misc]
    """A message of format 0 or 1, which may hold others compressed."""

    max_unpacked: int

    def _decompress(self, key_offset: int) -> bytearray:
        at = key_offset
        (size,) = struct.unpack_from(">i", self._buffer, at)
        at += 4 + max(size, 0)
        (size,) = struct.unpack_from(">i", self._buffer, at)
        at += 4
        if not 0 <= size <= len(self._buffer) - at:
            raise CorruptRecordError("a compressed message has no value")
        payload = self._buffer[at : at + size]
        if self._magic == 0 and self.compression_type == LZ4:
            payload = _with_sound_checksum(payload)
        return unpack(self.compression_type, payload, self.max_unpacked)

    def _read_all_headers(self) -> list[Any]:
        at, size, headers = 0, len(self._buffer), []
        while at < size:
            header = self._read_header(at)
            if header[1] < self.RECORD_OVERHEAD_V0 or at + self.LOG_OVERHEAD + header[1] > size:
                raise CorruptRecordError("a message within a compressed one is cut off")
            headers.append((header, at))
            at += self.LOG_OVERHEAD + header[1]
        return headers


def _with_sound_checksum(payload: memoryview) -> memoryview:
    """An LZ4 frame of format 0; Kafka computed the checksum of its header over the wrong bytes."""
    try:
        import xxhash
    except ImportError as error:
        raise MissingCodecError("lz4 of message format 0", "pip install xxhash") from error
    size = 15 if payload[4] >> 3 & 1 else 7
    checksum = xxhash.xxh32(payload[4 : size - 1]).digest()[-2:-1]
    return memoryview(bytes(payload[: size - 1]) + checksum + bytes(payload[size:]))


class CheckedBatches(MemoryRecords):  # type: ignore[misc]
    """The batches of one partition's part of a fetch.

    Parameters
    ----------
    data
        Their bytes; the last batch may be cut off.
    bounds
        Where they may lie.
    """

    _next_slice: memoryview | None
    _pos: int

    kind: type[CheckedBatch] = CheckedBatch
    """The class of its batches of the current format."""

    def __init__(self, data: memoryview | bytes, bounds: BatchBounds) -> None:
        super().__init__(data)
        self._bounds = bounds
        self._next_offset = bounds.offset
        self._passes = bounds.passes

    def next_batch(self) -> Any:
        """The next batch, None at the end.

        What is damaged, or lies elsewhere than its header says, is passed over if the next batch goes on
        exactly where the last one ended: nothing is missing then, its place is before.

        Raises
        ------
        kafka.errors.CorruptRecordError
            When the next batch is damaged.
        """
        while self._next_slice is not None or (self._passes and self._find_sound(self._next_at)):
            at, data = self._next_at, self._next_slice or memoryview(b"")
            try:
                batch = self._checked(data)
            except CorruptRecordError:
                if not self._goes_on(at):
                    raise
                continue
            if batch.magic != _FORMAT:
                self._next_offset = max(self._next_offset, batch.base_offset + 1)
            elif batch.validate_crc():
                self._next_offset = max(self._next_offset, batch.next_offset)
            elif self._goes_on(at):
                continue
            if self._passes and self._next_offset == self._bounds.offset:
                continue  # it lies before what is wanted
            if self._passes and self._bounds.holds and batch.magic == _FORMAT:
                self._require_wanted(batch)
            self._passes = False
            return batch
        return None

    def _require_wanted(self, batch: CheckedBatch) -> None:
        first, wanted = batch.base_offset, self._bounds.offset
        if first > wanted:
            self._passes, self._next_slice = False, None
            raise CorruptRecordError(f"no sound batch with offset {wanted} is found before offset {first}")

    def _cache_next(self, *arguments: Any) -> None:
        self._next_at = self._pos
        super()._cache_next(*arguments)

    def _checked(self, data: memoryview) -> CheckedBatch | CheckedLegacyBatch:
        if len(data) < self.MIN_SLICE or len(data) != self.LOG_OVERHEAD + _LENGTH.unpack_from(data, 8)[0]:
            self._next_slice = None  # where the next one begins is not known
            raise CorruptRecordError("the length in the header of a record batch is impossible")
        self._cache_next()
        magic = data[_MAGIC_AT]
        if magic < _FORMAT:
            legacy = CheckedLegacyBatch(data, magic)
            legacy.max_unpacked = self._bounds.max_unpacked
            return legacy
        if magic > _FORMAT:
            raise CorruptRecordError(f"a record batch has the unknown format {magic}")
        if len(data) < _HEADER.size:
            raise CorruptRecordError("a record batch is shorter than its header")
        batch = self.kind(data)
        batch.max_unpacked = self._bounds.max_unpacked
        self._check_place(batch)
        return batch

    def _check_place(self, batch: CheckedBatch) -> None:
        first, last, wanted = batch.base_offset, batch.last_offset, self._next_offset
        started = wanted > self._bounds.offset
        if first < 0 or last < first or (started and first < wanted):
            raise CorruptRecordError(f"a record batch says that it holds offsets {first} to {last}")
        end = self._bounds.end()
        if end is not None and last >= end:
            raise CorruptRecordError(f"a record batch says that it ends at offset {last}, beyond the log")
        following = self._following_base()
        if first > wanted and following is not None and wanted <= following <= last:
            raise CorruptRecordError(
                f"a record batch says that it holds offsets {first} to {last}, "
                f"and the next one begins at {following}"
            )

    def _following_base(self) -> int | None:
        """The first offset of the batch behind the current one, even if that is cut off."""
        following = self._next_slice
        if following is None:
            following = memoryview(self._buffer)[self._pos :]
        if len(following) <= _MAGIC_AT or following[_MAGIC_AT] != _FORMAT:
            return None
        base: int = _BASE.unpack_from(following)[0]
        return base

    def _goes_on(self, damaged_at: int) -> bool:
        """Whether a sound batch follows a damaged one and nothing is missing between; makes it the next."""
        if (last := self._sound(self._next_at)) is not None:
            base: int = _BASE.unpack_from(self._buffer, self._next_at)[0]
            if base <= self._next_offset <= last or (self._passes and last >= self._next_offset):
                return True
        return self._passes and self._find_sound(damaged_at + 1)

    def _find_sound(self, start: int) -> bool:
        """Make the first sound batch of these bytes the next one that holds what is wanted, or more."""
        data, left = np.frombuffer(self._buffer, np.uint8), _SEARCH_BYTES
        for begin, size in self._likely_headers(data, max(start, 0)):
            left -= size
            if left < 0:
                return False
            if (last := self._sound(begin)) is not None and last >= self._next_offset:
                self._pos, self._remaining_bytes = begin, None
                self._cache_next()
                return True
        return False

    def _likely_headers(self, data: NDArray[np.uint8], start: int) -> Iterator[tuple[int, int]]:
        """Where headers may begin, and the sizes they state; by columns, as bytes may be full of them."""
        end, stop = self._bounds.end(), len(data) - _HEADER.size + 1
        most = _MOST_OFFSET if end is None else min(end - 1, _MOST_OFFSET)
        for first in range(start, stop, _SEARCHED_AT_ONCE):
            formats = data[first + _MAGIC_AT : min(first + _SEARCHED_AT_ONCE, stop) + _MAGIC_AT]
            begins = np.flatnonzero(formats == _FORMAT) + first
            base, size, span = (_integers(data, begins + at, of) for at, of in _PLACES)
            size += self.LOG_OVERHEAD
            likely = (_HEADER.size <= size) & (size <= len(data) - begins) & (base >= 0) & (base <= most)
            likely &= (span >= 0) & (self._next_offset <= base + span) & (base + span <= most)
            yield from zip(begins[likely].tolist(), size[likely].tolist(), strict=True)

    def _sound(self, at: int) -> int | None:
        """The last offset of the batch at a place, None where none with a right checksum begins."""
        data = memoryview(self._buffer)[at:]
        if len(data) < _HEADER.size or data[_MAGIC_AT] != _FORMAT:
            return None
        header = _HEADER.unpack_from(data)
        base, last, size = header[0], header[0] + header[6], self.LOG_OVERHEAD + header[1]
        end = self._bounds.end()
        beyond = end is not None and last >= end
        if beyond or not _HEADER.size <= size <= len(data) or not 0 <= base <= last:
            return None
        return last if header[4] == calc_crc32c(data[_CRC_FROM:size]) else None


def _integers(data: NDArray[np.uint8], at: NDArray[np.intp], size: int) -> NDArray[np.int64]:
    """Big-endian integers of `size` bytes at places, int64."""
    columns = data[at[:, None] + np.arange(size)]
    integers: NDArray[np.int64] = columns.view(f">i{size}").ravel().astype(np.int64)
    return integers
