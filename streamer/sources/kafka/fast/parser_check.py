"""Whether a parser of fetched record batches says the same as kafka-python's own; asked at every start.

kafka-python does not document what `streamer.sources.kafka.fast.raw_records` builds upon, so any version may
change it. A made-up fetch of every kind of batch goes through both parsers, and a difference is told.
``python -m streamer.sources.kafka.fast.parser_check`` asks by itself.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from streamer.messages.records import Partition, Record
from streamer.sources.kafka.record_conversion import chunks_of

LOG_APPEND_TIME, CONTROL = 0x08, 0x20
"""Attributes that only brokers set."""

GZIP = 1
"""The codec that needs nothing but Python."""

_PARTITION = TopicPartition("check", 0)
_NOON_MS = 1_723_118_400_000
_MOST_TAKES = 100
_Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
_ROWS: tuple[_Row, ...] = (
    (0, _NOON_MS, b"key", b"value", []),
    (1, _NOON_MS - 5, None, b"", [("name", b"\x00\xff"), ("name", None), ("", b"")]),
    (4, _NOON_MS + 70_000_000, b"", None, []),
    (5, _NOON_MS, None, b"x" * 300, [("name", b"")]),
)


class Aborted(NamedTuple):
    """An aborted transaction as a fetch names it."""

    first_offset: int
    producer_id: int


class _Said(NamedTuple):
    """All that a parser said."""

    records: list[Record]
    position: int
    epoch: int
    error: str


def batch(
    rows: tuple[_Row, ...] = _ROWS,
    *,
    base: int = 0,
    epoch: int = 0,
    codec: int = 0,
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
    codec, attributes
        How it is compressed; what else is set.
    producer
        The producer's id, for a batch of a transaction.
    """
    sequence = -1 if producer is None else 0
    builder = DefaultRecordBatchBuilder(
        2, codec, producer is not None, -1 if producer is None else producer, sequence, sequence, 1 << 24
    )
    for offset, time, key, value, headers in rows:
        builder.append(offset, time, key, value, headers)
    found = bytearray(builder.build())
    struct.pack_into(">q", found, 0, base)
    struct.pack_into(">i", found, 12, epoch)
    found[22] |= attributes
    return sealed(found)


def sealed(found: bytearray) -> bytes:
    """A batch with the checksum that its bytes have now."""
    struct.pack_into(">I", found, 17, calc_crc32c(memoryview(found)[21:]))
    return bytes(found)


def marker(base: int, producer: int, *, commit: bool) -> bytes:
    """The control batch that ends a transaction."""
    row: _Row = (0, _NOON_MS, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0), [])
    return batch((row,), base=base, attributes=CONTROL, producer=producer)


def why_not(parser: type) -> str | None:
    """In which way a parser differs from kafka-python's own, None where it does not.

    Parameters
    ----------
    parser
        Made and used as the fetcher does with its `PartitionRecords`.
    """
    for data, offset, aborted in _fetches():
        for at_once in (2, None):
            try:
                expected = _said(Fetcher.PartitionRecords, data, offset, aborted, at_once)
                found = _said(parser, data, offset, aborted, at_once)
            except Exception as error:  # noqa: BLE001 - whatever does not fit any more, there is another way
                return f"{type(error).__name__}: {error}"
            for name, wanted, got in zip(_Said._fields, expected, found, strict=True):
                if wanted != got:
                    return f"another parser's {name} differ: {got!r:.200} for {wanted!r:.200}"
    return None


def _fetches() -> Iterator[tuple[bytes, int, list[Aborted]]]:
    plain = batch(base=10, epoch=3) + batch(base=20, epoch=4, attributes=LOG_APPEND_TIME)
    packed = batch(base=30, epoch=4, codec=GZIP)
    undone = batch(base=40, producer=7) + batch(base=50, producer=8) + marker(56, 7, commit=False)
    done = batch(base=60, producer=7) + marker(66, 7, commit=True) + batch(base=70)
    cut_off = batch(base=80)[:-1]
    everything = plain + packed + undone + done + cut_off
    yield everything, 11, [Aborted(40, 7)]
    yield everything, 36, []
    yield plain + sealed(bytearray(batch(base=30, codec=GZIP)))[:-1] + b"\xff" + batch(base=40), 10, []
    yield plain + sealed(bytearray(batch(base=30)[:-1] + b"\xff")) + batch(base=40), 10, []


def _said(
    parser: Callable[..., Any], data: bytes, offset: int, aborted: list[Aborted], at_once: int | None
) -> _Said:
    made = parser(
        offset,
        _PARTITION,
        MemoryRecords(data),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=aborted,
    )
    found: list[Any] = []
    error = ""
    try:
        for _ in range(_MOST_TAKES):
            if not made:
                break
            found.extend(made.take(at_once))
        else:
            raise RuntimeError("it does not come to an end")
    except CorruptRecordError as damaged:
        error = str(damaged)
    partition = Partition(_PARTITION.topic, "", _PARTITION.partition)
    records = [record for chunk in chunks_of(partition, found) for record in chunk.records]
    return _Said(records, made.next_fetch_offset, made.leader_epoch, error)


if __name__ == "__main__":
    from streamer.sources.kafka.fast.raw_records import RawPartitionRecords

    sys.exit(why_not(RawPartitionRecords))
