"""Record batches of kafka-python's fetcher as blocks of columns, instead of an object for each record.

The fetcher makes a parser for what a fetch brought of a partition, asks it for so many records, and follows
by its `next_fetch_offset` where the consumer is. `RawPartitionRecords` is such a parser.
It reads by itself only what is plain: batches of the current format, not compressed, no control records, no
aborted transactions around, checksums that are right, and records that are as they must be. From the first
batch on that is anything else, kafka-python's own parser goes on, batch by batch: it checks, unpacks and
passes over as ever, and hands on each batch whole where that can be read as columns, in single records where
not. So what is damaged is judged by kafka-python, and in its words.

Like `streamer.sources.kafka.client_internals` this is beyond what kafka-python documents; `pyproject.toml`
bounds its version, and `streamer.sources.kafka.fast.parser_check` compares the two parsers at every start.
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
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.batch_blocks import block_of, in_place
from streamer.sources.kafka.fast.fetched_parts import Gathered, Piece
from streamer.sources.kafka.fast.unpacked_batches import WholeBatches


class FetchedRecords:
    """What was taken at once: blocks of records, single ones too; its length is that of all their records.

    The fetcher counts by the length, and collects by iterating.
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

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts)


class RawPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """What a fetch brought of one partition; takes the place of the fetcher's own `PartitionRecords`.

    Parameters
    ----------
    fetch_offset
        The first offset that is wanted.
    tp
        Which partition.
    records
        The bytes, as kafka-python wraps them.
    configs
        As of the class whose place it takes.
    """

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: MemoryRecords, **configs: Any) -> None:
        super().__init__(fetch_offset, tp, records, **configs)
        self._configs = {**configs, "metric_aggregator": None, "on_drain": lambda _: None}
        self._failure: Exception | None = None
        self._piece: Piece | None = None
        self._done = 0
        self.record_iterator = self._pieces(memoryview(records._buffer))

    def take(self, n: int | None = None) -> FetchedRecords:
        """At most so many more records; none where there are no more.

        Raises
        ------
        Exception
            What kafka-python's own parser raises where what comes next is damaged. All before it was taken by
            then. Every further call raises it again.
        """
        taken = FetchedRecords()
        while (n is None or len(taken) < n) and (piece := self._ahead()) is not None:
            until = len(piece.rows) if n is None else min(len(piece.rows), self._done + n - len(taken))
            taken.add(piece.rows[self._done : until])
            self._pass(piece, until)
        if self._failure is not None and not taken:
            raise self._failure
        return taken

    def drain(self) -> None:
        """Leave what is left."""
        self._piece = None
        super().drain()

    def _ahead(self) -> Piece | None:
        if self._piece is None and self._failure is None and self:
            try:
                self._piece = next(self.record_iterator, None)
            except Exception as error:  # noqa: BLE001 - `take` raises it once all before it is taken
                self._failure = error
            else:
                if self._piece is None:
                    self.drain()
        return self._piece

    def _pass(self, piece: Piece, until: int) -> None:
        if self._done == 0:
            self.bytes_read += piece.size
        self.records_read += until - self._done
        self._go_to(*piece.behind(until))
        self._done = until
        if until == len(piece.rows):
            self._piece, self._done = None, 0

    def _go_to(self, offset: int, epoch: int) -> None:
        self.next_fetch_offset, self.leader_epoch = max(self.fetch_offset, offset), epoch

    def _pieces(self, data: memoryview) -> Iterator[Piece]:
        block, table = self._plain(data)
        if block:
            yield Piece(block, table)
        if len(table):  # also where none of their records is wanted, or left
            last = table[-1]
            self._go_to(int(last[batches.BASE] + last[batches.SPAN]) + 1, int(last[batches.EPOCH]))
            data = data[last[batches.END] :]
        if len(data):
            yield from self._one_by_one(data)

    def _plain(self, data: memoryview) -> tuple[RecordBlock, NDArray[np.int64]]:
        """What the response begins with and can be read at once, and the table of its batches."""
        arena = in_place(data)
        table = np.empty((len(data) // batches.HEADER_SIZE, batches.COLUMNS), np.int64)
        aborted = self.isolation_level == IsolationLevel.READ_COMMITTED and bool(self.aborted_transactions)
        table = table[: batches.scan(arena[:-PADDING], aborted, table)]
        if self.check_crcs:
            columns = (batches.AT, batches.END, batches.CRC)
            for number, (at, end, crc) in enumerate(table[:, columns].tolist()):
                if calc_crc32c(data[at + batches.CRC_FROM : end]) != crc:
                    table = table[:number]
                    break
        block, count = block_of(arena, table, self.fetch_offset)
        return block, table[:count]

    def _one_by_one(self, data: memoryview) -> Iterator[Piece]:
        """The rest, as kafka-python's own parser has it."""
        inner = Fetcher.PartitionRecords(
            self.fetch_offset, self.topic_partition, WholeBatches(data), **self._configs
        )
        inner.next_fetch_offset, inner.leader_epoch = self.next_fetch_offset, self.leader_epoch
        gathered = Gathered(self.fetch_offset)
        try:
            for one in inner.record_iterator:
                if not gathered.takes(one):
                    yield from gathered.give()
                gathered.add(one)
        except Exception:
            yield from gathered.give()
            self._go_to(inner.next_fetch_offset, inner.leader_epoch)
            raise
        yield from gathered.give()
        self._go_to(inner.next_fetch_offset, inner.leader_epoch)
