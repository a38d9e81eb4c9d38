"""The parts that a fetch is read into: blocks of records, and lists of single records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import RecordBlock
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.batch_blocks import concatenate_padded, read_block
from streamer.sources.kafka.fast.unpacked_batches import UnpackedBatch

BLOCK_BYTES = 8_388_608
"""Size at which a block of unpacked batches is complete; a single batch may be larger."""

MAX_SINGLES = 500
"""Number of single records that make a part."""


class FetchPart:
    """Records in order: a block with the table of its batches, or kafka-python's records without one."""

    def __init__(self, rows: Sequence[Any], table: NDArray[np.int64] | None = None) -> None:
        self.rows = rows
        self._table = table

    @property
    def size(self) -> int:
        """Its approximate size in bytes."""
        if self._table is None:
            return sum(max(record.serialized_value_size, 0) for record in self.rows)
        return int((self._table[:, batches.END] - self._table[:, batches.START]).sum())

    def position_after(self, count: int) -> tuple[int, int]:
        """The next offset after the first `count` records, and the leader epoch of the last of them."""
        rows, table = self.rows, self._table
        if table is None or not isinstance(rows, RecordBlock):
            return rows[count - 1].offset + 1, rows[count - 1].leader_epoch
        last = table[:, batches.BASE] + table[:, batches.SPAN]
        if count == len(rows):
            return int(last[-1]) + 1, int(table[-1, batches.EPOCH])
        offset = rows.offset[count - 1]
        return int(offset) + 1, int(table[np.searchsorted(last, offset), batches.EPOCH])


class PartBuilder:
    """Collects single records, then unpacked batches, into parts.

    Parameters
    ----------
    first_offset
        Records before this offset are left out.
    """

    def __init__(self, first_offset: int) -> None:
        self._first_offset = first_offset
        self._batches: list[UnpackedBatch] = []
        self._singles: list[Any] = []
        self._size = 0

    def accepts(self, record: Any) -> bool:
        """Whether a record, or a batch that stands for one, fits into the parts begun; else `flush` first."""
        if isinstance(record.value, UnpackedBatch):
            ascending = not self._batches or self._batches[-1].offset < record.value.row[0, batches.BASE]
            return ascending and self._size < BLOCK_BYTES
        return not self._batches and len(self._singles) < MAX_SINGLES and self._size < BLOCK_BYTES

    def add(self, record: Any) -> None:
        """Add a record or an unpacked batch."""
        if isinstance(record.value, UnpackedBatch):
            self._batches.append(record.value)
            self._size += len(record.value)
        elif record.offset >= self._first_offset:
            self._singles.append(record)
            self._size += max(record.serialized_value_size, 0)

    def flush(self) -> Iterator[FetchPart]:
        """The parts collected so far, if any; starts anew."""
        unpacked, singles = self._batches, self._singles
        self._batches, self._singles, self._size = [], [], 0
        if singles:
            yield FetchPart(singles)
        if unpacked:
            table = np.concatenate([batch.row for batch in unpacked])
            table[:, batches.END] = np.cumsum(table[:, batches.END])
            table[1:, batches.START] = table[:-1, batches.END]
            arena = concatenate_padded([batch.data for batch in unpacked])
            block, count = read_block(arena, table, self._first_offset)
            if count != len(table):
                raise RuntimeError("a batch that could be read alone cannot be read after others")
            if len(block):
                yield FetchPart(block, table)
