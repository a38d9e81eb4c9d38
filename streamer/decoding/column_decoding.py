"""Decoding by columns: what is beyond doubt comes from kernels, the rest one by one, in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.event_fields import ENUM_CODES, ENUM_STRINGS, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.instruments import InstrumentTable
from streamer.messages.batch import Batch, Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.messages.texts import ABSENT, Codes, Strings, Texts, TextSource

FEW = 16
"""Fewer records than these are read one by one: that is quicker than what calling the kernels takes."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class EventRows:
    """Records of a block that are one event each, beyond doubt: m of them, in order.

    Parameters
    ----------
    place
        intp[m], which records, rising.
    kind, instrument, ts
        As in a `Batch`; the numbers of an `InstrumentTable`.
    numbers, texts
        Columns of m by name. One in which no row has anything does not count as one that occurs.
    """

    place: Rows
    kind: NDArray[np.int8]
    instrument: NDArray[np.int32]
    ts: NDArray[np.int64]
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Codes | TextSource]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedColumns:
    """What kernels made of a block.

    Parameters
    ----------
    taken
        The events.
    left
        intp[k], places of records that are to be read one by one, rising.
    ignored
        How many records are known and not used, by name.
    table
        The instruments that the events' numbers are of.
    """

    taken: EventRows
    left: Rows
    ignored: Mapping[str, int]
    table: InstrumentTable


def as_batch(taken: EventRows, block: RecordBlock, table: InstrumentTable, source: int) -> Batch:
    """The events that kernels took, as a batch."""
    n = len(taken.place)
    whole = n == len(block)
    sources = np.empty(n, np.int8)
    sources.fill(source)
    return Batch(
        instruments=table.instruments,
        instrument=taken.instrument,
        kind=taken.kind,
        ts=taken.ts,
        record_ts=block.timestamp if whole else block.timestamp[taken.place],
        source=sources,
        offset=block.offset if whole else block.offset[taken.place],
        index=np.zeros(n, np.int16),
        numbers=MappingProxyType(
            {name: taken.numbers[name] for name in NUMBER_FIELDS if name in taken.numbers}
        ),
        texts=Texts(
            Strings([*ENUM_STRINGS], {**ENUM_CODES}),
            {name: taken.texts[name] for name in TEXT_FIELDS if name in taken.texts},
        ),
    )


def decoded(
    records: Sequence[Record],
    source: int,
    columns: Callable[[RecordBlock], DecodedColumns | None],
    read_each: Callable[[Sequence[Record]], Decoded],
    few: int = FEW,
) -> Decoded:
    """Read records by columns, and one by one where there are few, or where that is all that can be done.

    Parameters
    ----------
    records
        In order.
    source
        Goes into `Batch.source` of every row.
    columns
        What kernels make of a block, None where they cannot read it.
    read_each
        Reads records one by one.
    few
        Fewer records than these are.
    """
    if len(records) >= few:
        block = records if isinstance(records, RecordBlock) else RecordBlock.of(records)
        found = columns(block)
        if found is not None:
            return complete(found, block, source, read_each)
    return read_each(records)


def complete(
    found: DecodedColumns,
    block: RecordBlock,
    source: int,
    read_each: Callable[[Sequence[Record]], Decoded],
) -> Decoded:
    """Read what kernels left, and put both together in the order of the records.

    Parameters
    ----------
    found, block
        What kernels made of which records.
    source
        Goes into `Batch.source` of every row.
    read_each
        Reads records one by one.
    """
    batch = as_batch(found.taken, block, found.table, source)
    if not len(found.left):
        return Decoded(batch, (), MappingProxyType(dict(found.ignored)))
    rest = read_each([block[place] for place in found.left.tolist()])
    ignored = {name: found.ignored.get(name, 0) for name in dict.fromkeys([*found.ignored, *rest.ignored])}
    for name, count in rest.ignored.items():
        ignored[name] += count
    return Decoded(_merged(batch, rest.batch, found.table), rest.dead, MappingProxyType(ignored))


def _merged(first: Batch, second: Batch, table: InstrumentTable) -> Batch:
    if not len(second):
        return first
    numbers = np.array([table.number(instrument) for instrument in second.instruments], np.int32)
    order = np.argsort(np.concatenate([first.offset, second.offset]), kind="stable")

    def both(one: NDArray[_Number], other: NDArray[_Number]) -> NDArray[_Number]:
        return np.concatenate([one, other])[order]

    return Batch(
        instruments=table.instruments,
        instrument=both(first.instrument, numbers[second.instrument]),
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
    found = {}
    for name in NUMBER_FIELDS:
        if name in first.numbers or name in second.numbers:
            column = np.full(len(order), np.nan)
            if name in first.numbers:
                column[: len(first)] = first.numbers[name]
            if name in second.numbers:
                column[len(first) :] = second.numbers[name]
            found[name] = column[order]
    return MappingProxyType(found)


def _merged_texts(first: Batch, second: Batch, order: Rows) -> Texts:
    names = (name for name in TEXT_FIELDS if name in first.texts or name in second.texts)
    sizes = len(first), len(second)
    joined = {name: _Joined(first.texts, second.texts, name, sizes, order) for name in names}
    return Texts(Strings.of(ENUM_STRINGS), joined)


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    first: Texts
    second: Texts
    name: str
    sizes: tuple[int, int]
    rows: Rows

    def text(self, row: int) -> str | None:
        place = int(self.rows[row])
        cut = self.sizes[0]
        if place < cut:
            return self.first.text(self.name, place)
        return self.second.text(self.name, place - cut)

    def codes(self, strings: Strings) -> Codes:
        both = zip((self.first, self.second), self.sizes, strict=True)
        return np.concatenate([_recoded(texts, self.name, n, strings) for texts, n in both])[self.rows]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> _Joined:
        return _Joined(self.first, self.second, self.name, self.sizes, self.rows[rows])


def _recoded(texts: Texts, name: str, size: int, strings: Strings) -> Codes:
    """A column's codes among other strings."""
    if name not in texts:
        return np.full(size, ABSENT, np.int32)
    codes = texts[name]
    table = np.full(len(texts.strings) + 1, ABSENT, np.int32)
    for code in np.unique(codes).tolist():
        if code != ABSENT:
            table[code] = strings.code(texts.strings[code])
    return table[codes]
