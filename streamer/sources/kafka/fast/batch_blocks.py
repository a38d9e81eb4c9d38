"""Blocks of records from the bytes of Kafka's record batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import NULL, PADDING, RecordBlock, RecordColumns
from streamer.messages.records import Headers
from streamer.sources.kafka.fast import batch_kernels as batches


def room_of(table: NDArray[np.int64]) -> int:
    """How many records batches can hold at most, whatever they say themselves."""
    most = np.maximum(table[:, batches.END] - table[:, batches.START], 0) // batches.MIN_RECORD_SIZE
    return int(np.clip(table[:, batches.COUNT], 0, most).sum())


def padded(parts: list[memoryview]) -> NDArray[np.uint8]:
    """The parts behind each other in an array of their own, with `PADDING` bytes more."""
    arena = np.empty(sum(len(part) for part in parts) + PADDING, np.uint8)
    at = 0
    for part in parts:
        arena[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    arena[at:] = 0
    return arena


def in_place(data: memoryview) -> NDArray[np.uint8]:
    """The bytes with `PADDING` more behind them: where they lie, if that is an array with room, or copied."""
    whole = data.obj
    if isinstance(whole, np.ndarray) and whole.dtype == np.uint8 and whole.flags.c_contiguous:
        found = np.frombuffer(data, np.uint8)
        start = _address(found) - _address(whole)
        end = start + len(data) + PADDING
        if end <= whole.size:
            return whole.reshape(-1)[start:end]
    return padded([data])


def _address(array: NDArray[np.uint8]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def block_of(arena: NDArray[np.uint8], table: NDArray[np.int64], wanted: int = 0) -> tuple[RecordBlock, int]:
    """The records of batches, and how many of the batches they are of; the next one is not as it must be.

    Parameters
    ----------
    arena
        As `RecordBlock` wants it.
    table
        int64[m, 12] (see `AT` and its neighbours), in the order of their offsets.
    wanted
        The first offset that is wanted.
    """
    columns = np.empty((7, room_of(table)), np.int64)
    rows, count, headed = batches.read(arena[:-PADDING], table, wanted, columns)
    offset, time, value_at, value_size, key_at, key_size, headers_at = columns[:, :rows]
    keyed = bool((key_size != NULL).any())

    def headers(place: int) -> Headers:
        return _headers(arena.data, int(headers_at[place]))

    keys = (key_at, key_size) if keyed else (None, None)
    found = RecordColumns(offset, time, value_at, value_size, *keys)
    return RecordBlock(arena, found, headers if headed else None), count


def regular(data: memoryview, row: NDArray[np.int64]) -> bool:
    """Whether all records of one batch (a table of one row) can be read from these bytes."""
    columns = np.empty((7, room_of(row)), np.int64)
    return bool(batches.read(np.frombuffer(data, np.uint8), row, 0, columns)[1])


def _headers(data: memoryview, at: int) -> Headers:
    count, at = _number(data, at)
    found = []
    for _ in range(count):
        size, at = _number(data, at)
        name = str(data[at : at + size], "ascii")
        at += size
        size, at = _number(data, at)
        found.append((name, None if size == NULL else bytes(data[at : at + size])))
        at += max(size, 0)
    return tuple(found)


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint that was read before, and where it ends."""
    raw = shift = 0
    while True:
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7
