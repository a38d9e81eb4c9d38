"""Batches whose records claim other offsets than the batch has, and bytes that are full of headers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from streamer.sources.kafka.checked_batches import BatchBounds, CheckedBatches


def batch(base: int, deltas: Sequence[int]) -> bytes:
    """A batch of as many offsets as it has records, which claim these; its checksum is right."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for delta in deltas:
        builder.append(delta, 1_700_000_000_000, None, b"value", [])
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    data[23:27] = (len(deltas) - 1).to_bytes(4, "big")
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def test_records_have_the_offsets_of_their_batch() -> None:
    read = CheckedBatches(batch(5, [0, 1, 2]), BatchBounds(5)).next_batch()
    assert [record.offset for record in read] == [5, 6, 7]


@pytest.mark.parametrize("deltas", [[0, 55, 2], [0, 2, 1], [0, 1, 1], [-1, 1, 2]])
def test_a_batch_whose_records_claim_other_offsets_is_damaged(deltas: list[int]) -> None:
    read = CheckedBatches(batch(5, deltas), BatchBounds(5)).next_batch()
    assert read.validate_crc()
    with pytest.raises(CorruptRecordError, match="a record says that its offset is"):
        list(read)


def test_the_next_sound_batch_is_found_quickly_behind_bytes_that_are_full_of_headers() -> None:
    def seconds(filling: bytes) -> float:
        data = batch(0, [0, 1]) + filling * 4_000_000 + batch(2, [0])
        batches = CheckedBatches(data, BatchBounds(2, lambda: 3, passes=True))
        began = time.process_time()
        assert batches.next_batch().base_offset == 2
        return time.process_time() - began

    seconds(b"\0")
    assert seconds(b"\2") < seconds(b"\0") + 5  # it took six seconds a million
