"""kafka-python's own parser with checked batches, and parsers that report what they cannot read.

A parser raises where a batch is damaged; kafka-python lets that out of `poll` without saying of which
partition. `reporting` makes a parser of it that returns an `UnreadableBatch` instead, in its place behind the
records before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords

from streamer.errors import TapewatchError
from streamer.sources.kafka.checked_batches import BatchBounds, CheckedBatches
from streamer.sources.kafka.kafka_settings import MAX_UNPACKED_BYTES
from streamer.sources.kafka.unpacking import MissingCodecError

MAX_TAKE_BYTES = 67_108_864
"""The fetcher takes no more records at once as soon as they have this many bytes: batches may be large."""


@dataclass(frozen=True, slots=True)
class Detour:
    """How an offset is read that a broker cannot find, because a header before it is damaged.

    Parameters
    ----------
    fetch, offset
        A fetch at `fetch` returns bytes in which a batch with `offset`, which is wanted, is found.
    """

    fetch: int
    offset: int


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a parser is told besides what the fetcher tells it.

    Parameters
    ----------
    max_unpacked
        How many bytes one batch may unpack to.
    end_of
        One past the last offset of a partition's log, None if unknown.
    detours
        Those that are in use, by partition.
    """

    max_unpacked: int = MAX_UNPACKED_BYTES
    end_of: Callable[[TopicPartition], int | None] = lambda _: None
    detours: Mapping[TopicPartition, Detour] = field(default_factory=dict)

    def bounds(self, partition: TopicPartition, fetch_offset: int) -> BatchBounds:
        """What the batches of a fetch are checked against."""
        detour = self.detours.get(partition)
        passes = detour is not None and detour.fetch == fetch_offset
        offset = detour.offset if detour is not None and passes else fetch_offset
        return BatchBounds(offset, partial(self.end_of, partition), self.max_unpacked, passes, holds=passes)


_NO_LIMITS = ReadLimits()


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """Stands among a partition's records for a batch that cannot be read; nothing of it follows.

    Parameters
    ----------
    offset
        The first offset that was not read.
    cause
        What is wrong.
    remedy
        How to make it readable, if it is sound and only a library is missing; else None.
    """

    offset: int
    cause: str
    remedy: str | None = None

    @classmethod
    def of(cls, offset: int, error: Exception) -> UnreadableBatch:
        """What a parser raised at an offset."""
        if isinstance(error, MissingCodecError):
            return cls(offset, str(error), error.remedy)
        return cls(offset, reason_of(error))

    def error(self, partition: TopicPartition) -> TapewatchError:
        """The error of a command that cannot go on without it."""
        remedy = "" if self.remedy is None else f": {self.remedy}"
        return TapewatchError(
            f"{partition.topic}[{partition.partition}] cannot be read from offset {self.offset} on "
            f"({self.cause}){remedy}"
        )


def split_unreadable(polled: Sequence[Any]) -> tuple[Sequence[Any], UnreadableBatch | None]:
    """The records of one partition's share of a poll, and the batch behind them that cannot be read."""
    for number, record in enumerate(polled):
        if isinstance(record, UnreadableBatch):
            return polled[:number], record
    return polled, None


def reason_of(error: Exception) -> str:
    """What is wrong with a batch, without the error's number and name."""
    said = error.args[0] if isinstance(error, CorruptRecordError) and error.args else error
    return str(said) or type(error).__name__


class FewerRecords(list[Any]):
    """Records that count as more than they are, so that the fetcher takes no more at once."""

    counts_as = 0

    def __len__(self) -> int:
        return max(super().__len__(), self.counts_as)


class CheckedRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """One partition's records of a fetch, record by record; replaces the fetcher's own `PartitionRecords`.

    Parameters
    ----------
    fetch_offset, tp, records, configs
        As for the class that it replaces.
    limits
        What else bounds them.
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
        super().__init__(bounds.offset, tp, CheckedBatches(records._buffer, bounds), **configs)
        self.next_fetch_offset = fetch_offset

    def take(self, n: int | None = None) -> Sequence[Any]:
        """The next records, at most `n`; empty at the end.

        Raises
        ------
        Exception
            What is wrong with a damaged batch, once all records before it have been returned.
        """
        if n is None or self.record_iterator is None:
            taken: Sequence[Any] = super().take(n)
            return taken
        self._maybe_raise_next_inline_exception()
        records, size = FewerRecords(), 0
        try:
            for record in self.record_iterator:
                records.append(record)
                size += max(record.serialized_value_size, 0)
                if size >= MAX_TAKE_BYTES:
                    records.counts_as = n
                if len(records) >= n:
                    break
        except Exception as error:
            if not records:
                raise
            self._next_inline_exception = error
        return records


def reporting(parser: type, limits: ReadLimits) -> Callable[..., Any]:
    """A parser that returns an `UnreadableBatch` where another raises; the fetcher uses it in its place.

    Parameters
    ----------
    parser
        `CheckedRecords`, or one that reads batches as columns.
    limits
        What it is told besides what the fetcher tells it.
    """
    return partial(type(parser.__name__, (_Reporting, parser), {}), limits=limits)


class _Reporting(Fetcher.PartitionRecords):  # type: ignore[misc]
    def __init__(self, fetch_offset: int, tp: TopicPartition, records: MemoryRecords, **configs: Any) -> None:
        super().__init__(fetch_offset, tp, records, **configs)
        if records.size_in_bytes() and not records.has_next():
            if self.fetch_offset == fetch_offset:
                self.record_iterator = _cut_off()
            records._buffer = b""  # else the fetcher, which looks at them next, raises an error of its own

    def take(self, n: int | None = None) -> Sequence[Any]:
        try:
            taken: Sequence[Any] = super().take(n)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - damaged bytes may raise anything
            self.drain()
            return [UnreadableBatch.of(max(self.next_fetch_offset, self.fetch_offset), error)]
        return taken


def _cut_off() -> Iterator[Any]:
    yield from _fail(CorruptRecordError("a record batch is cut off, or its length is damaged"))


def _fail(error: Exception) -> Iterator[Any]:
    raise error
