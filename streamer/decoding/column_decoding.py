"""Decoding in two paths: kernels read whole blocks into columns, the slow path the records they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from streamer.decoding.event_fields import ENUM_CODES, ENUM_STRINGS, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.instruments import InstrumentTable
from streamer.messages.batch import Batch, Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.messages.texts import ABSENT, Codes, Strings, Texts, TextSource

MIN_BLOCK = 16
"""Fewer records than this take the slow path: it is quicker than calling the kernels."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_log = structlog.get_logger(__name__)

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class EventRows:
    """The m records of a block that kernels decoded, one event each, in order.

    Parameters
    ----------
    place
        intp[m], the records' indices in the block, increasing.
    kind, instrument, ts
        As in a `Batch`; instruments are indices of an `InstrumentTable`.
    numbers, texts
        Columns of length m by name; a column that is empty in every row is left out.
    """

    place: Rows
    kind: NDArray[np.int8]
    instrument: NDArray[np.int32]
    ts: NDArray[np.int64]
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Codes | TextSource]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedColumns:
    """The kernels' result for a block.

    Parameters
    ----------
    events
        The decoded events.
    slow
        intp[k], indices of the records left to the slow path, increasing.
    ignored
        Counts, by name, of records that the format knows but does not use.
    table
        The instruments that `events.instrument` indexes.
    """

    events: EventRows
    slow: Rows
    ignored: Mapping[str, int]
    table: InstrumentTable


def as_batch(events: EventRows, block: RecordBlock, table: InstrumentTable, source: int) -> Batch:
    """The events that kernels decoded, as a batch."""
    n = len(events.place)
    whole = n == len(block)
    sources = np.empty(n, np.int16)
    sources.fill(source)
    return Batch(
        instruments=table.instruments,
        instrument=events.instrument,
        kind=events.kind,
        ts=events.ts,
        record_ts=block.timestamp if whole else block.timestamp[events.place],
        source=sources,
        offset=block.offset if whole else block.offset[events.place],
        index=np.zeros(n, np.int16),
        numbers=MappingProxyType(
            {name: events.numbers[name] for name in NUMBER_FIELDS if name in events.numbers}
        ),
        texts=Texts(
            Strings([*ENUM_STRINGS], {**ENUM_CODES}),
            {name: events.texts[name] for name in TEXT_FIELDS if name in events.texts},
        ),
    )


def decode_records(
    records: Sequence[Record],
    source: int,
    columns: Callable[[RecordBlock], DecodedColumns | None],
    slow_path: Callable[[Sequence[Record]], Decoded],
    min_block: int = MIN_BLOCK,
) -> Decoded:
    """Decode records with kernels where possible, and record by record where not.

    Parameters
    ----------
    records
        In order.
    source
        The value of `Batch.source` for every row.
    columns
        The kernels: returns their result for a block, None if they cannot read such records.
    slow_path
        Decodes records one at a time.
    min_block
        Fewer records than this go to the slow path right away.
    """
    if len(records) >= min_block:
        block = records if isinstance(records, RecordBlock) else RecordBlock.of(records)
        decoded = _read_columns(columns, block)
        if decoded is not None:
            return _with_slow_path(decoded, block, source, slow_path)
    return slow_path(records)


def _read_columns(
    columns: Callable[[RecordBlock], DecodedColumns | None], block: RecordBlock
) -> DecodedColumns | None:
    """The kernels' result; None if they fail, since record by record only the one at fault is refused."""
    try:
        return columns(block)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (the last resort)
        _log.exception("kernels_failed", records=len(block), until="decoded one by one")
        return None


def _with_slow_path(
    decoded: DecodedColumns,
    block: RecordBlock,
    source: int,
    slow_path: Callable[[Sequence[Record]], Decoded],
) -> Decoded:
    """Decode what the kernels left, and merge both results in record order."""
    batch = as_batch(decoded.events, block, decoded.table, source)
    if not len(decoded.slow):
        return Decoded(batch, (), MappingProxyType(dict(decoded.ignored)))
    rest = slow_path([block[place] for place in decoded.slow.tolist()])
    names = dict.fromkeys([*decoded.ignored, *rest.ignored])
    ignored = {name: decoded.ignored.get(name, 0) + rest.ignored.get(name, 0) for name in names}
    return Decoded(_merged(batch, rest.batch, decoded.table), rest.dead, MappingProxyType(ignored))


def _merged(first: Batch, second: Batch, table: InstrumentTable) -> Batch:
    if not len(second):
        return first
    instruments = np.array([table.number(instrument) for instrument in second.instruments], np.int32)
    order = np.argsort(np.concatenate([first.offset, second.offset]), kind="stable")

    def both(one: NDArray[_Number], other: NDArray[_Number]) -> NDArray[_Number]:
        return np.concatenate([one, other])[order]

    return Batch(
        instruments=table.instruments,
        instrument=both(first.instrument, instruments[second.instrument]),
        kind=both(first.kind, second.kind),
        ts=both(first.ts, second.ts),
        record_ts=both(first.record_ts, second.record_ts),
        source=both(first.source, second.source),
        offset=both(first.offset, second.offset),
        index=both(first.index, second.index),
        numbers=_merged_numbers(first, second, order),
        texts=_merged_texts(first, second, order),
    )


def _merged_numbers(first: Batch, second: Batch, order: Rows) -> Mapping[str, Floats]:
    numbers = {}
    for name in NUMBER_FIELDS:
        if name in first.numbers or name in second.numbers:
            column = np.full(len(order), np.nan)
            if name in first.numbers:
                column[: len(first)] = first.numbers[name]
            if name in second.numbers:
                column[len(first) :] = second.numbers[name]
            numbers[name] = column[order]
    return MappingProxyType(numbers)


def _merged_texts(first: Batch, second: Batch, order: Rows) -> Texts:
    names = (name for name in TEXT_FIELDS if name in first.texts or name in second.texts)
    sizes = len(first), len(second)
    joined = {name: _JoinedTexts(first.texts, second.texts, name, sizes, order) for name in names}
    return Texts(Strings.of(ENUM_STRINGS), joined)


@dataclass(frozen=True, slots=True, eq=False)
class _JoinedTexts:
    """The text columns of two batches, concatenated and put into order; a `TextSource`."""

    first: Texts
    second: Texts
    name: str
    sizes: tuple[int, int]
    rows: Rows

    def text(self, row: int) -> str | None:
        source_row = int(self.rows[row])
        size = self.sizes[0]
        if source_row < size:
            return self.first.text(self.name, source_row)
        return self.second.text(self.name, source_row - size)

    def codes(self, strings: Strings) -> Codes:
        both = zip((self.first, self.second), self.sizes, strict=True)
        return np.concatenate([_recoded(texts, self.name, n, strings) for texts, n in both])[self.rows]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> _JoinedTexts:
        return _JoinedTexts(self.first, self.second, self.name, self.sizes, self.rows[rows])


def _recoded(texts: Texts, name: str, size: int, strings: Strings) -> Codes:
    """A column's codes, translated to other strings."""
    if name not in texts:
        return np.full(size, ABSENT, np.int32)
    codes = texts[name]
    table = np.full(len(texts.strings) + 1, ABSENT, np.int32)
    for code in np.unique(codes).tolist():
        if code != ABSENT:
            table[code] = strings.code(texts.strings[code])
    return table[codes]
