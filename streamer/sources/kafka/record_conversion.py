"""Turns kafka-python's records into records and chunks of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Chunk, Partition, Record
from streamer.sources.record_times import record_time


def records_of(polled: Sequence[Any]) -> list[Record]:
    """Convert kafka-python's consumer records."""
    return [
        Record(
            record.offset,
            record.value,
            record_time(record.timestamp),
            record.key,
            tuple(record.headers or ()),
        )
        for record in polled
    ]


def chunks_of(partition: Partition, polled: Sequence[Any]) -> Iterator[Chunk]:
    """Convert one partition's share of a poll, blocks and kafka-python's own records, in order."""
    for kind, run in groupby(polled, type):
        if kind is RecordBlock:
            yield from (Chunk(partition, block) for block in run)
        else:
            yield Chunk(partition, records_of(list(run)))
