"""Compares a parser of fetched record batches with kafka-python's own, at every start.

`streamer.sources.kafka.fast.raw_records` builds on undocumented parts of kafka-python, which any version may
change. A synthetic fetch with every kind of batch goes through both parsers.
``python -m streamer.sources.kafka.fast.parser_check`` runs the check alone.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from streamer.messages.records import Partition, Record
from streamer.sources.kafka.checked_records import CheckedRecords
from streamer.sources.kafka.record_conversion import chunks_of

LOG_APPEND_TIME, CONTROL = 0x08, 0x20
"""Batch attributes that only brokers set."""

CODEC_BITS = 0x07
"""The attributes that are the codec."""

GZIP = 1
"""The codec that needs no package besides Python."""

_PARTITION = TopicPartition("check", 0)
_NOON_MS = 1_723_118_400_000
_MAX_TAKES = 100
_Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
_ROWS: tuple[_Row, ...] = (
    (0, _NOON_MS, b"key", b"value", []),
    (1, _NOON_MS - 5, None, b"", [("name", b"\x00\xff"), ("name", None), ("", b"")]),
    (4, _NOON_MS + 70_000_000, b"", None, []),
    (5, _NOON_MS, None, b"x" * 300, [("name", b"")]),
)


class Aborted(NamedTuple):
    """An aborted transaction, as a fetch response lists it."""

    first_offset: int
    producer_id: int


class _ParserOutput(NamedTuple):
    """Everything that a parser returns for a fetch."""

    records: list[Record]
    position: int
    epoch: int
    error: str


def batch(
    rows: tuple[_Row, ...] = _ROWS,
    *,
    base: int = 0,
    epoch: int = 0,
    attributes: int = 0,
    producer: int | None = None,
) -> bytes:
    """A record batch as a broker sends it.

    Parameters
    ----------
    rows
        Offset from `base`, time (ms), key, value, headers.
    base, epoch
        The batch's first offset, its leader epoch.
    attributes
        The compression codec, in the lowest three bits, and other attributes.
    producer
        The producer's id, for a batch of a transaction.
    """
    codec = attributes & CODEC_BITS
    sequence = -1 if producer is None else 0
    builder = DefaultRecordBatchBuilder(
        2, codec, producer is not None, -1 if producer is None else producer, sequence, sequence, 1 << 24
    )
    for offset, time, key, value, headers in rows:
        builder.append(offset, time, key, value, headers)
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">i", data, 12, epoch)
    data[22] |= attributes & ~CODEC_BITS  # the builder compresses only where that saves space
    return with_checksum(data)


def with_checksum(data: bytearray) -> bytes:
    """A batch with its checksum recomputed."""
    struct.pack_into(">I", data, 17, calc_crc32c(memoryview(data)[21:]))
    return bytes(data)


def marker(base: int, producer: int, *, commit: bool) -> bytes:
    """The control batch that ends a transaction."""
    row: _Row = (0, _NOON_MS, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0), [])
    return batch((row,), base=base, attributes=CONTROL, producer=producer)


def find_difference(parser: type) -> str | None:
    """How a parser differs from kafka-python's own, None if it does not.

    Parameters
    ----------
    parser
        A class that the fetcher could use as its `PartitionRecords`.
    """
    for data, offset, aborted in _fetches():
        for take_size in (2, None):
            try:
                expected = _run(CheckedRecords, data, offset, aborted, take_size)
                actual = _run(parser, data, offset, aborted, take_size)
            except Exception as error:  # noqa: BLE001 - whatever no longer fits, kafka-python's parser is there
                return f"{type(error).__name__}: {error}"
            for name in _ParserOutput._fields:
                theirs, ours = getattr(expected, name), getattr(actual, name)
                if theirs != ours:
                    return f"parsers differ in {name}: {ours!r:.200} instead of {theirs!r:.200}"
    return None


def _fetches() -> Iterator[tuple[bytes, int, list[Aborted]]]:
    plain = batch(base=10, epoch=3) + batch(base=20, epoch=4, attributes=LOG_APPEND_TIME)
    compressed = batch(base=30, epoch=4, attributes=GZIP)
    rolled_back = batch(base=40, producer=7) + batch(base=50, producer=8) + marker(56, 7, commit=False)
    done = batch(base=60, producer=7) + marker(66, 7, commit=True) + batch(base=70)
    cut_off = batch(base=80)[:-1]
    everything = plain + compressed + rolled_back + done + cut_off
    yield everything, 11, [Aborted(40, 7)]
    yield everything, 36, []
    yield (
        plain + with_checksum(bytearray(batch(base=30, attributes=GZIP)))[:-1] + b"\xff" + batch(base=40),
        10,
        [],
    )
    yield plain + with_checksum(bytearray(batch(base=30)[:-1] + b"\xff")) + batch(base=40), 10, []


def _run(
    parser: Callable[..., Any], data: bytes, offset: int, aborted: list[Aborted], take_size: int | None
) -> _ParserOutput:
    partition_records = parser(
        offset,
        _PARTITION,
        MemoryRecords(data),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=aborted,
    )
    batches: list[Any] = []
    error = ""
    try:
        for _ in range(_MAX_TAKES):
            if not partition_records:
                break
            batches.extend(partition_records.take(take_size))
        else:
            raise RuntimeError("the parser does not come to an end")
    except CorruptRecordError as damaged:
        error = str(damaged)
    partition = Partition(_PARTITION.topic, "", _PARTITION.partition)
    records = [record for chunk in chunks_of(partition, batches) for record in chunk.records]
    position, epoch = partition_records.next_fetch_offset, partition_records.leader_epoch
    return _ParserOutput(records, position, epoch, error)


if __name__ == "__main__":
    from streamer.sources.kafka.fast.raw_records import RawPartitionRecords

    sys.exit(find_difference(RawPartitionRecords))
