"""Turns what kafka-python returns into records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk, Partition, Record

_NS_PER_MS = 1_000_000


def records_of(found: Sequence[Any]) -> list[Record]:
    """The same records as the rest of the program knows them."""
    return [
        Record(
            one.offset,
            one.value,
            one.timestamp * _NS_PER_MS if one.timestamp >= 0 else NO_TIME,
            one.key,
            tuple(one.headers or ()),
        )
        for one in found
    ]


def chunks_of(partition: Partition, found: Sequence[Any]) -> Iterator[Chunk]:
    """What a poll brought of one partition, blocks and kafka-python's own records, in order."""
    for kind, run in groupby(found, type):
        if kind is RecordBlock:
            yield from (Chunk(partition, block) for block in run)
        else:
            yield Chunk(partition, records_of(list(run)))
