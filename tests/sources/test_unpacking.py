"""Payloads of compressed batches: what a producer may send costs time in proportion to its size."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from functools import partial

import lz4.frame  # type: ignore[import-untyped]
import pytest
import snappy  # type: ignore[import-untyped]
import zstandard
from kafka.errors import CorruptRecordError

from streamer.sources.kafka.unpacking import GZIP, LZ4, SNAPPY, ZSTD, UnpackedTooLargeError, unpack

TEXT = b"".join(b'{"price": %d}' % n for n in range(200_000))

PACKED: dict[int, Callable[[bytes], bytes]] = {
    GZIP: gzip.compress,
    SNAPPY: snappy.compress,
    LZ4: lz4.frame.compress,
    ZSTD: zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("codec", PACKED)
def test_a_payload_is_unpacked_whole_up_to_the_limit(codec: int) -> None:
    packed = memoryview(PACKED[codec](TEXT))
    assert unpack(codec, packed) == unpack(codec, packed, len(TEXT)) == TEXT
    with pytest.raises(UnpackedTooLargeError):
        unpack(codec, packed, len(TEXT) - 1)


def test_members_of_gzip_may_be_many_and_padded() -> None:
    parts = [gzip.compress(TEXT[at : at + 10_007]) + bytes(at % 9_000) for at in range(0, len(TEXT), 10_007)]
    assert unpack(GZIP, memoryview(b"".join(parts))) == TEXT
    for cut in (1, 5, 9, 4_097):
        with pytest.raises(CorruptRecordError):
            unpack(GZIP, memoryview(gzip.compress(TEXT)[:-cut]))


def test_members_of_gzip_that_hold_nothing_cost_no_more_the_more_there_are() -> None:
    def seconds(members: int) -> float:
        payload = memoryview(gzip.compress(b"") * members)
        return min(_timed(partial(unpack, GZIP, payload)) for _ in range(2))

    assert seconds(80_000) < 20 * seconds(8_000), "more than ten times as many take ten times as long"


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
