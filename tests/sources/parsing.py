"""Everything a parser of fetched record batches returns, taken as the consumer takes it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.checked_records import CheckedRecords
from streamer.sources.kafka.fast.raw_records import RawPartitionRecords
from streamer.sources.kafka.record_conversion import chunks_of

HERE = TopicPartition("made-up", 0)


class Aborted(NamedTuple):
    first_offset: int
    producer_id: int


class ParserResult(NamedTuple):
    records: list[Record]
    position: int
    epoch: int
    error: str


def parse(
    parser: type,
    data: bytes,
    *,
    offset: int = 0,
    aborted: Sequence[Aborted] = (),
    committed: bool = True,
    take_sizes: Sequence[int | None] = (None,),
) -> ParserResult:
    """Take everything, with these limits in turn."""
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    made = parser(
        offset, HERE, MemoryRecords(data), isolation_level=level, aborted_transactions=list(aborted)
    )
    taken_records: list[Any] = []
    error = ""
    counts = cycle(take_sizes)
    try:
        while made:
            count = next(counts)
            taken = made.take(count)
            assert count is None or len(taken) <= count
            taken_records.extend(taken)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    chunks = list(chunks_of(Partition("made-up", "", 0), taken_records))
    for chunk in chunks:
        if isinstance(chunk.records, RecordBlock):
            assert (np.diff(chunk.records.offset) > 0).all()
    records = [record for chunk in chunks for record in chunk.records]
    return ParserResult(records, made.next_fetch_offset, made.leader_epoch, error)


def compare(data: bytes, **how: Any) -> ParserResult:
    """What both parsers make of these bytes, which must be the same.

    Except records before the fetch offset, which kafka-python lets through. What they read without an error
    kafka-python itself reads too; it lets more through.
    """
    wanted, got = parse(CheckedRecords, data, **how), parse(RawPartitionRecords, data, **how)
    own = parse(Fetcher.PartitionRecords, data, **how)
    if not (wanted.error or own.error):
        assert [record for record in own.records if record in wanted.records] == wanted.records
    offset = how.get("offset", 0)
    assert got.records == [record for record in wanted.records if record.offset >= offset]
    assert got.error == wanted.error
    if wanted.error:
        # the position is at the damaged batch, or behind the last record before it
        assert max(wanted.position, offset) <= got.position
    else:
        assert (got.position, got.epoch) == (max(wanted.position, offset), wanted.epoch)
    return got
