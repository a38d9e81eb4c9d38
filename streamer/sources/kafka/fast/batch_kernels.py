"""Kernels that read Kafka's record batches into columns, straight from the bytes of a fetch response.

The layout is that of message format 2 ("Record Batch" and "Record" in the protocol section of Kafka's
documentation). No length from the wire is trusted: before a byte is read, it is checked to lie within its
batch and within the array. Anything unusual is not read but reported, and left to the slower parser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.messages.record_block import NULL
from streamer.messages.records import NO_TIME
from streamer.sources import record_times

HEADER_SIZE = 61
"""Bytes of a batch before its records."""

MIN_RECORD_SIZE = 7
"""Bytes of the smallest record: length, attributes, two deltas, two sizes, header count."""

CRC_FROM = 21
"""A batch's checksum covers its bytes from here on."""

AT, START, END, BASE, SPAN, EPOCH, CRC, ATTRIBUTES, FIRST_MS, MAX_MS, PRODUCER, COUNT = range(12)
"""Columns of a table of batches: where the batch begins, where its records begin and end, its base offset,
its last offset relative to that, and fields of its header as they are."""

COLUMNS = 12

LOG_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_PLAIN = LOG_APPEND_TIME | _TRANSACTIONAL  # no codec, no control batch, no attribute of a later version
_NULL = int(NULL)
_NO_TIME = int(NO_TIME)
_NS_PER_MS = 1_000_000
_MAX_MS = record_times.MAX_MS
_MAX_SUM = 2**62  # two of these can be added


@kernel
def _big_endian(data: NDArray[np.uint8], at: int, size: int) -> int:
    value = 0
    for k in range(at, at + size):
        value = (value << 8) | int(data[k])
    if size < 8 and value >= 1 << (8 * size - 1):
        value -= 1 << (8 * size)
    return value


@kernel
def scan(data: NDArray[np.uint8], aborted: bool, table: NDArray[np.int64]) -> int:
    """List the plain batches at the beginning of a fetch response.

    A plain batch is complete, of format 2, not compressed and no control batch.

    Parameters
    ----------
    data
        uint8, one partition's part of a response; the last batch may be cut off.
    aborted
        Whether there are aborted transactions; if so, batches of idempotent producers are not plain.
    table
        int64[m, 12], output: a row per batch (see `AT` and its neighbours).

    Returns
    -------
    int
        How many rows were written; the next batch is not plain, or the table is full.
    """
    size = data.shape[0]
    at = 0
    n = 0
    while n < table.shape[0] and size - at >= HEADER_SIZE:
        length = _big_endian(data, at + 8, 4)
        if length < HEADER_SIZE - 12 or length > size - at - 12 or data[at + 16] != 2:
            break
        row = table[n]
        row[AT] = at
        row[START] = at + HEADER_SIZE
        row[END] = at + 12 + length
        row[BASE] = _big_endian(data, at, 8)
        row[EPOCH] = _big_endian(data, at + 12, 4)
        row[CRC] = _big_endian(data, at + 17, 4) & 0xFFFFFFFF
        row[ATTRIBUTES] = _big_endian(data, at + 21, 2)
        row[SPAN] = _big_endian(data, at + 23, 4)
        row[FIRST_MS] = _big_endian(data, at + 27, 8)
        row[MAX_MS] = _big_endian(data, at + 35, 8)
        row[PRODUCER] = _big_endian(data, at + 43, 8)
        row[COUNT] = _big_endian(data, at + 57, 4)
        if row[ATTRIBUTES] & ~_PLAIN or (aborted and row[PRODUCER] >= 0):
            break
        n += 1
        at = row[END]
    return n


@kernel
def _varint(data: NDArray[np.uint8], at: int, end: int, max_bytes: int) -> tuple[int, int]:
    """The position after a zigzag varint (-1: not one of at most `max_bytes` bytes), and its value."""
    raw = np.uint64(0)
    shift = 0
    while at < end and shift < 7 * max_bytes:
        byte = data[at]
        at += 1
        raw |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            if shift == 63 and byte > 1:
                return -1, 0
            return at, int(np.int64(raw >> np.uint64(1)) ^ -np.int64(raw & np.uint64(1)))
        shift += 7
    return -1, 0


@kernel
def _span(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int, int]:
    """The position after a size and its bytes (-1: out of bounds), where they begin, the size or `NULL`."""
    at, size = _varint(data, at, end, 5)
    if at < 0 or size < _NULL or size > end - at:
        return -1, 0, 0
    return at + max(size, 0), at, size


@kernel
def _skip_headers(data: NDArray[np.uint8], at: int, end: int, count: int) -> int:
    """The position after the headers, -1 if they are malformed; only ASCII names are read here."""
    for _ in range(count):
        at, name, size = _span(data, at, end)
        if at < 0 or size == _NULL:
            return -1
        for k in range(name, name + size):
            if data[k] >= 0x80:
                return -1
        at, _, _ = _span(data, at, end)
        if at < 0:
            return -1
    return at


@kernel
def _record(data: NDArray[np.uint8], at: int, end: int, out: NDArray[np.int64]) -> int:
    """The position after a record, -1 if it is malformed; writes its deltas, spans and headers to `out`."""
    at, size = _varint(data, at, end, 5)
    if at < 0 or size < MIN_RECORD_SIZE - 1 or size > end - at:
        return -1
    end = at + size
    if data[at] >= 0x80:
        return -1
    at, out[0] = _varint(data, at + 1, end, 10)
    if at < 0:
        return -1
    at, out[1] = _varint(data, at, end, 5)
    if at < 0:
        return -1
    at, out[2], out[3] = _span(data, at, end)
    if at < 0:
        return -1
    at, out[4], out[5] = _span(data, at, end)
    if at < 0:
        return -1
    out[6] = at
    at, out[7] = _varint(data, at, end, 5)
    if at < 0 or out[7] < 0 or out[7] > end - at:
        return -1
    if out[7]:
        at = _skip_headers(data, at, end, out[7])
    return at if at == end else -1


@kernel
def _nanoseconds(batch: NDArray[np.int64], delta: int) -> int:
    """A record's time, `NO_TIME` if it has none, -2 if it does not fit into ns."""
    if batch[ATTRIBUTES] & LOG_APPEND_TIME:
        ms = batch[MAX_MS]
    else:
        ms = batch[FIRST_MS]
        if not (-_MAX_SUM < ms < _MAX_SUM and -_MAX_SUM < delta < _MAX_SUM):
            return -2
        ms += delta
    return ms * _NS_PER_MS if 0 <= ms <= _MAX_MS else _NO_TIME


@kernel
def _read_batch(
    data: NDArray[np.uint8],
    batch: NDArray[np.int64],
    last: int,
    first_offset: int,
    columns: NDArray[np.int64],
    n: int,
    field: NDArray[np.int64],
) -> tuple[int, int, bool]:
    """The row after the batch's (-1: malformed), its last offset, and whether any record has headers.

    `last` is the last offset of the previous batch, -1 for none.
    """
    at, end, count = batch[START], batch[END], batch[COUNT]
    base, span = batch[BASE], batch[SPAN]
    headed = False
    if at < 0 or end < at or end > data.shape[0] or not 0 <= count <= (end - at) // MIN_RECORD_SIZE:
        return -1, last, headed
    if not last < base < _MAX_SUM or span < 0 or n + count > columns.shape[1]:
        return -1, last, headed
    for _ in range(count):
        at = _record(data, at, end, field)
        if at < 0 or not 0 <= field[1] <= span or base + field[1] <= last:
            return -1, last, headed
        last = base + field[1]
        time = _nanoseconds(batch, field[0])
        if time == -2:
            return -1, last, headed
        if last < first_offset:
            continue
        columns[0, n] = last
        columns[1, n] = time
        columns[2, n] = field[4]
        columns[3, n] = field[5]
        columns[4, n] = field[2]
        columns[5, n] = field[3]
        columns[6, n] = field[6]
        headed |= field[7] > 0
        n += 1
    return (n if at == end else -1), base + span, headed


@kernel
def read(
    data: NDArray[np.uint8], table: NDArray[np.int64], first_offset: int, columns: NDArray[np.int64]
) -> tuple[int, int, bool]:
    """Write the records of batches into columns, up to the first malformed batch.

    Parameters
    ----------
    data
        uint8, the bytes; records are not compressed.
    table
        int64[m, 12], the batches (see `AT` and its neighbours); none of its values is trusted.
    first_offset
        Records before this offset are left out.
    columns
        int64[7, n], output: offset, time (ns), where each value begins and its size (`NULL` for none), the
        same for keys, and where each record's headers are.

    Returns
    -------
    rows, batches, headed : int, int, bool
        How many rows were written, from how many batches; whether any of these records has headers. If fewer
        than all batches were read, the next one is malformed or unusual.
    """
    field = np.zeros(8, np.int64)
    rows = 0
    last = -1
    headed = False
    for b in range(table.shape[0]):
        next_row, last, has_headers = _read_batch(data, table[b], last, first_offset, columns, rows, field)
        if next_row < 0:
            return rows, b, headed
        rows = next_row
        headed |= has_headers
    return rows, table.shape[0], headed
