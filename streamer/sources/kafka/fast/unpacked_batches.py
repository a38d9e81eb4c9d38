"""Record batches that kafka-python's parser checks and unpacks, but hands over without splitting them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from streamer.sources.kafka.checked_batches import CheckedBatch, CheckedBatches
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.batch_blocks import is_readable


class _UnsplitBatch(CheckedBatch):
    def __iter__(self) -> Iterator[Any]:
        self._maybe_uncompress()
        unpacked = UnpackedBatch(self, memoryview(self._buffer)[self._pos :])
        return iter((unpacked,)) if unpacked.is_readable else super().__iter__()


class UnsplitBatches(CheckedBatches):
    """Batches that iterate as a single `UnpackedBatch` where their records can be read as columns."""

    kind = _UnsplitBatch


class UnpackedBatch:
    """A batch's unpacked records, posing as a record and as its value; has what the parser reads of both."""

    key = None
    headers = ()
    checksum = None

    def __init__(self, batch: CheckedBatch, data: memoryview) -> None:
        self.data = data
        self.offset = batch.last_offset
        self.timestamp = batch.max_timestamp
        self.timestamp_type = batch.timestamp_type
        self.size_in_bytes = len(data)
        row = np.zeros((1, batches.COLUMNS), np.int64)
        row[0, batches.END] = len(data)
        row[0, batches.BASE] = batch.base_offset
        row[0, batches.SPAN] = batch.last_offset_delta
        row[0, batches.EPOCH] = batch.leader_epoch
        row[0, batches.ATTRIBUTES] = batch.attributes
        row[0, batches.FIRST_MS] = batch.first_timestamp
        row[0, batches.MAX_MS] = batch.max_timestamp
        row[0, batches.COUNT] = batch.records_count
        self.row = row
        self.is_readable = batch.records_count > 0 and is_readable(data, row)

    @property
    def value(self) -> UnpackedBatch:
        return self

    def __len__(self) -> int:
        return self.size_in_bytes

    def validate_crc(self) -> bool:
        return True  # the batch's checksum was validated
