"""Reads the record batches of kafka-python's fetcher as columns, instead of one object per record.

For each partition of a fetch the fetcher makes a parser, takes records from it, and tracks the consumer's
position by its `next_fetch_offset`. `RawPartitionRecords` is such a parser. It reads only plain batches
itself: current format, uncompressed, no control records, no aborted transactions nearby, valid checksums,
offsets that rise and well-formed records. From the first batch on that is anything else, kafka-python's own
parser takes over, batch by batch (`streamer.sources.kafka.checked_batches`): it checks, unpacks and skips as
usual, and returns each batch unsplit where it can be read as columns, as single records where not. So damage
is judged in the same place whichever way records are read.

Like `streamer.sources.kafka.client_internals` this relies on undocumented parts of kafka-python;
`pyproject.toml` pins its version, and `streamer.sources.kafka.fast.parser_check` compares the two parsers at
every start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.util import calc_crc32c
from numpy.typing import NDArray

from streamer.messages.record_block import PADDING, RecordBlock
from streamer.sources.kafka.checked_batches import BatchBounds
from streamer.sources.kafka.checked_records import MAX_TAKE_BYTES, ReadLimits
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.batch_blocks import padded_view, read_block
from streamer.sources.kafka.fast.fetched_parts import FetchPart, PartBuilder
from streamer.sources.kafka.fast.unpacked_batches import UnsplitBatches

_NO_LIMITS = ReadLimits()


class FetchedRecords:
    """The result of one `take`: blocks of records, and single ones.

    Its length is the number of records, by which the fetcher counts; it iterates over blocks and records.
    """

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self._count = 0

    def add(self, rows: Sequence[Any]) -> None:
        """Add a block, or a list of kafka-python's records."""
        if isinstance(rows, RecordBlock):
            self.parts.append(rows)
        else:
            self.parts += rows
        self._count += len(rows)

    def fill(self, limit: int) -> None:
        """Count as `limit` records, so that the fetcher takes no more."""
        self._count = max(self._count, limit)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts)


class RawPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """One partition's records of a fetch; replaces the fetcher's own `PartitionRecords`.

    Parameters
    ----------
    fetch_offset
        Records before this offset are left out.
    tp
        The partition.
    records
        The bytes, as kafka-python wraps them.
    limits
        What else bounds them.
    configs
        As for the class that it replaces.
    """

    def __init__(
        self,
        fetch_offset: int,
        tp: TopicPartition,
        records: MemoryRecords,
        *,
        limits: ReadLimits = _NO_LIMITS,
        **configs: Any,
    ) -> None:
        bounds = limits.bounds(tp, fetch_offset)
        super().__init__(bounds.offset, tp, records, **configs)
        self.next_fetch_offset = fetch_offset
        self._limits = limits
        self._configs = {**configs, "metric_aggregator": None, "on_drain": lambda _: None}
        self._failure: Exception | None = None
        self._part: FetchPart | None = None
        self._done_rows = 0
        data = memoryview(records._buffer)
        self.record_iterator = self._read_rest(data, bounds) if bounds.passes else self._parts(data)

    def take(self, n: int | None = None) -> FetchedRecords:
        """The next records, at most `n`; empty at the end.

        Raises
        ------
        Exception
            What kafka-python's own parser raises for a damaged batch, once all records before it have been
            returned. Every further call raises it again.
        """
        fetched, size = FetchedRecords(), 0
        while (n is None or len(fetched) < n) and (part := self._next_part()) is not None:
            size += part.size if self._done_rows == 0 else 0
            until = len(part.rows) if n is None else min(len(part.rows), self._done_rows + n - len(fetched))
            fetched.add(part.rows[self._done_rows : until])
            self._advance(part, until)
            if n is not None and size >= MAX_TAKE_BYTES:
                fetched.fill(n)
        if self._failure is not None and not fetched:
            raise self._failure
        return fetched

    def drain(self) -> None:
        """Drop the records that are left."""
        self._part = None
        super().drain()

    def _next_part(self) -> FetchPart | None:
        if self._part is None and self._failure is None and self:
            try:
                self._part = next(self.record_iterator, None)
            except Exception as error:  # noqa: BLE001 - `take` raises it after the records before it
                self._failure = error
            else:
                if self._part is None:
                    self.drain()
        return self._part

    def _advance(self, part: FetchPart, until: int) -> None:
        if self._done_rows == 0:
            self.bytes_read += part.size
        self.records_read += until - self._done_rows
        self._set_position(*part.position_after(until))
        self._done_rows = until
        if until == len(part.rows):
            self._part, self._done_rows = None, 0

    def _set_position(self, offset: int, epoch: int) -> None:
        self.next_fetch_offset, self.leader_epoch = max(self.fetch_offset, offset), epoch

    def _parts(self, data: memoryview) -> Iterator[FetchPart]:
        block, table = self._read_plain(data)
        if block:
            yield FetchPart(block, table)
        if len(table):  # also if none of their records is left
            last = table[-1]
            self._set_position(int(last[batches.BASE] + last[batches.SPAN]) + 1, int(last[batches.EPOCH]))
            data = data[last[batches.END] :]
        if len(data):
            wanted = max(self.fetch_offset, self.next_fetch_offset)
            yield from self._read_rest(data, self._limits.bounds(self.topic_partition, wanted))

    def _read_plain(self, data: memoryview) -> tuple[RecordBlock, NDArray[np.int64]]:
        """The plain batches that the data begins with, as one block, and their table."""
        arena = padded_view(data)
        table = np.empty((len(data) // batches.HEADER_SIZE, batches.COLUMNS), np.int64)
        aborted = self.isolation_level == IsolationLevel.READ_COMMITTED and bool(self.aborted_transactions)
        table = table[: batches.scan(arena[:-PADDING], aborted, table)]
        if self.check_crcs:
            columns = (batches.AT, batches.END, batches.CRC)
            for number, (at, end, crc) in enumerate(table[:, columns].tolist()):
                if calc_crc32c(data[at + batches.CRC_FROM : end]) != crc:
                    table = table[:number]
                    break
        block, count = read_block(arena, self._in_place(table, arena[:-PADDING]), self.fetch_offset)
        return block, table[:count]

    def _in_place(self, table: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The batches up to the first that overlaps its neighbours, or lies beyond the end of the log."""
        if not len(table):
            return table
        first = table[:, batches.BASE]
        last = first + table[:, batches.SPAN]
        after = int(table[-1, batches.END])
        behind = (
            int.from_bytes(data[after : after + 8], "big", signed=True) if after + 8 <= len(data) else None
        )
        following = np.append(first[1:], last[-1] + 1 if behind is None else behind)
        odd = following <= last
        odd[1:] |= first[1:] <= last[:-1]
        end = self._limits.end_of(self.topic_partition)
        if end is not None:
            odd |= last >= end
        return table[: np.argmax(odd)] if odd.any() else table

    def _read_rest(self, data: memoryview, bounds: BatchBounds) -> Iterator[FetchPart]:
        """The rest, through kafka-python's own parser."""
        inner = Fetcher.PartitionRecords(
            self.fetch_offset, self.topic_partition, UnsplitBatches(data, bounds), **self._configs
        )
        inner.next_fetch_offset, inner.leader_epoch = self.next_fetch_offset, self.leader_epoch
        builder = PartBuilder(self.fetch_offset)
        try:
            for record in inner.record_iterator:
                if not builder.accepts(record):
                    yield from builder.flush()
                builder.add(record)
        except Exception:
            yield from builder.flush()
            self._set_position(inner.next_fetch_offset, inner.leader_epoch)
            raise
        yield from builder.flush()
        self._set_position(inner.next_fetch_offset, inner.leader_epoch)
