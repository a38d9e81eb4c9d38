"""Parts of what a fetch brought, ready to be taken: blocks of records, and single ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import RecordBlock
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.batch_blocks import block_of, padded
from streamer.sources.kafka.fast.unpacked_batches import WholeBatch

AT_ONCE_BYTES = 8_388_608
"""So much of what is unpacked batch by batch becomes one block; one batch may be more."""

AT_ONCE_SINGLES = 500
"""The same of records that come one by one."""


class Piece:
    """Records in order: a block with the table of its batches, or kafka-python's own without one."""

    def __init__(self, rows: Sequence[Any], table: NDArray[np.int64] | None = None) -> None:
        self.rows = rows
        self._table = table

    @property
    def size(self) -> int:
        """How many bytes it is of, about."""
        if self._table is None:
            return sum(max(one.serialized_value_size, 0) for one in self.rows)
        return int((self._table[:, batches.END] - self._table[:, batches.START]).sum())

    def behind(self, count: int) -> tuple[int, int]:
        """The offset to go on at behind so many of the records, and the leader epoch of what is before it."""
        rows, table = self.rows, self._table
        if table is None or not isinstance(rows, RecordBlock):
            return rows[count - 1].offset + 1, rows[count - 1].leader_epoch
        last = table[:, batches.BASE] + table[:, batches.SPAN]
        if count == len(rows):
            return int(last[-1]) + 1, int(table[-1, batches.EPOCH])
        offset = rows.offset[count - 1]
        return int(offset) + 1, int(table[np.searchsorted(last, offset), batches.EPOCH])


class Gathered:
    """What has come one by one and is not given on yet: single records, then whole batches.

    Parameters
    ----------
    wanted
        The first offset that is wanted; records before it are left out.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._wholes: list[WholeBatch] = []
        self._singles: list[Any] = []
        self._size = 0

    def takes(self, one: Any) -> bool:
        """Whether one more (a consumer's record, or what stands for one) can go along with what is here."""
        if isinstance(one.value, WholeBatch):
            rises = not self._wholes or self._wholes[-1].offset < one.value.row[0, batches.BASE]
            return rises and self._size < AT_ONCE_BYTES
        return not self._wholes and len(self._singles) < AT_ONCE_SINGLES

    def add(self, one: Any) -> None:
        """Take one more along."""
        if isinstance(one.value, WholeBatch):
            self._wholes.append(one.value)
            self._size += len(one.value)
        elif one.offset >= self._wanted:
            self._singles.append(one)

    def give(self) -> Iterator[Piece]:
        """All of it, as far as there is any."""
        wholes, singles = self._wholes, self._singles
        self._wholes, self._singles, self._size = [], [], 0
        if singles:
            yield Piece(singles)
        if wholes:
            table = np.concatenate([one.row for one in wholes])
            table[:, batches.END] = np.cumsum(table[:, batches.END])
            table[1:, batches.START] = table[:-1, batches.END]
            arena = padded([one.data for one in wholes])
            block, count = block_of(arena, table, self._wanted)
            if count != len(table):
                raise RuntimeError("a batch that could be read alone cannot be read behind others")
            if len(block):
                yield Piece(block, table)
