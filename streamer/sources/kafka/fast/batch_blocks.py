"""Record blocks made from the bytes of Kafka's record batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import NULL, PADDING, RecordBlock, RecordColumns
from streamer.messages.records import Headers
from streamer.sources.kafka.fast import batch_kernels as batches


def max_records(table: NDArray[np.int64]) -> int:
    """Upper bound of the number of records; the counts in batch headers are not trusted."""
    capacity = np.maximum(table[:, batches.END] - table[:, batches.START], 0) // batches.MIN_RECORD_SIZE
    return int(np.clip(table[:, batches.COUNT], 0, capacity).sum())


def concatenate_padded(parts: list[memoryview]) -> NDArray[np.uint8]:
    """Copy the parts one after another into a new array, followed by `PADDING` zero bytes."""
    arena = np.empty(sum(len(part) for part in parts) + PADDING, np.uint8)
    at = 0
    for part in parts:
        arena[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    arena[at:] = 0
    return arena


def padded_view(data: memoryview) -> NDArray[np.uint8]:
    """The bytes and `PADDING` more after them: a view if the underlying array is long enough, else a copy."""
    base = data.obj
    if isinstance(base, np.ndarray) and base.dtype == np.uint8 and base.flags.c_contiguous:
        view = np.frombuffer(data, np.uint8)
        start = _address(view) - _address(base)
        end = start + len(data) + PADDING
        if end <= base.size:
            return base.reshape(-1)[start:end]
    return concatenate_padded([data])


def _address(array: NDArray[np.uint8]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def read_block(
    arena: NDArray[np.uint8], table: NDArray[np.int64], first_offset: int = 0
) -> tuple[RecordBlock, int]:
    """Read the records of batches up to the first malformed one.

    Parameters
    ----------
    arena
        The bytes, padded as `RecordBlock` needs them.
    table
        int64[m, 12], the batches (see `AT` and its neighbours), by offset.
    first_offset
        Records before this offset are left out.

    Returns
    -------
    block, count
        The records, and how many batches they come from; if fewer than all, the next one is malformed.
    """
    columns = np.empty((7, max_records(table)), np.int64)
    rows, count, headed = batches.read(arena[:-PADDING], table, first_offset, columns)
    offset, time, value_at, value_size, key_at, key_size, headers_at = columns[:, :rows]
    keyed = bool((key_size != NULL).any())

    def headers(row: int) -> Headers:
        return _headers(arena.data, int(headers_at[row]))

    keys = (key_at, key_size) if keyed else (None, None)
    found = RecordColumns(offset, time, value_at, value_size, *keys)
    return RecordBlock(arena, found, headers if headed else None), count


def is_readable(data: memoryview, row: NDArray[np.int64]) -> bool:
    """Whether all records of one batch (a table with one row) can be read from these bytes."""
    columns = np.empty((7, max_records(row)), np.int64)
    return bool(batches.read(np.frombuffer(data, np.uint8), row, 0, columns)[1])


def _headers(data: memoryview, at: int) -> Headers:
    count, at = _varint(data, at)
    headers = []
    for _ in range(count):
        size, at = _varint(data, at)
        name = str(data[at : at + size], "ascii")
        at += size
        size, at = _varint(data, at)
        headers.append((name, None if size == NULL else bytes(data[at : at + size])))
        at += max(size, 0)
    return tuple(headers)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint, already validated by the kernels, and the position after it."""
    raw = shift = 0
    while True:
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7
