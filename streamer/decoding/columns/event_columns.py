"""Blocks of records to columns of events, as a plan says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.column_decoding import DecodedColumns, EventRows, Rows
from streamer.decoding.columns.event_plan import EventPlan
from streamer.decoding.columns.field_kernels import (
    AS_FLAG,
    AS_TEXT,
    AS_VALUE,
    COLUMN,
    FIRST,
    NAME,
    REQUIRED,
    TO,
)
from streamer.decoding.columns.flat_plan import flattened
from streamer.decoding.columns.instrument_names import Instruments, ScannedRows
from streamer.decoding.columns.plan_codes import LEFT, TO_CODE, TO_NUMBER, TO_TEXT
from streamer.decoding.columns.row_kernels import read_kinds, take_rows
from streamer.decoding.columns.text_columns import TakenTexts
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.messages.record_block import RecordBlock
from streamer.messages.texts import Codes, TextSource

if TYPE_CHECKING:
    from streamer.decoding.decode_context import DecodeContext

_REMEMBERED = 64
_NO_ROWS = np.empty(0, np.intp)
_WHERE = (FIRST, AS_TEXT, AS_VALUE, AS_FLAG)


@dataclass(frozen=True, slots=True, eq=False)
class _FieldSubset:
    """What can be of a plan where only some fields occur: its entries, and the names of the columns."""

    starts: NDArray[np.int64]
    entries: NDArray[np.int64]
    amounts: NDArray[np.float64]
    names: dict[int, list[str]]


class EventColumns:
    """Reads blocks of records; remembers the names it has met.

    Parameters
    ----------
    plan
        What events are made of.

    Raises
    ------
    ValueError
        Where kernels cannot follow the plan; see `streamer.decoding.columns.flat_plan.flattened`.

    Examples
    --------
    >>> from streamer.decoding.formats import DecodeContext
    >>> from streamer.decoding.columns.event_plan import ConstantSource, EventSources, KindSource
    >>> from streamer.decoding.columns.event_plan import NameSource, NumberSource
    >>> price = NumberSource(("p",), may_be_text=True)
    >>> wanted = EventSources(NameSource(("s",)), None, None, {"price": price, "size": ConstantSource(1)})
    >>> reader = EventColumns(EventPlan(KindSource(None, constant="trade"), {"trade": wanted}))
    >>> from streamer.messages.records import Record
    >>> block = RecordBlock.of([Record(0, b'{"s": "X", "p": "2.5"}', 7), Record(1, b'{"s": "X"}', 8)])
    >>> found = reader.read(block, DecodeContext("topic", "here"))
    >>> found.taken.numbers["price"], found.taken.ts, found.left
    (array([2.5]), array([7]), array([1]))
    """

    def __init__(self, plan: EventPlan) -> None:
        self._flat = flattened(plan)
        self._instruments = Instruments(plan, self._flat)
        self._several = np.uint64(
            sum(1 << found.first for found in self._flat.found.values() if len(found.fields) > 1)
        )
        self._first = [
            np.array([scanner.column(field) for field in range(len(scanner.fields))], np.int64)
            for scanner in self._flat.scanners
        ]
        self._shapes: dict[int, _FieldSubset] = {}

    def read(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns:
        """What is beyond doubt of a block; see `DecodedColumns`."""
        self._instruments.begin()
        rows = self._scan(block)
        actions = self._actions(rows)
        instrument = self._instruments.read(rows, actions, context)
        taken, left = self._take(block, rows, actions, instrument)
        return DecodedColumns(taken, left, MappingProxyType(self._ignored(actions)), self._instruments.table)

    def _scan(self, block: RecordBlock) -> ScannedRows:
        scanners = self._flat.scanners
        at, size = block.value_at, block.value_size
        scan = scanners[0].scan(block.arena, at, size)
        unsure = scan.flagged | (size > RECORD_MAX_BYTES)
        columns = [scan.columns]
        again = np.flatnonzero(scan.other & self._several) if len(scanners) > 1 else _NO_ROWS
        fields_before = len(scanners[0].fields)
        for scanner in scanners[1:]:
            if not len(again):
                break
            found = scanner.scan(block.arena, at[again], size[again])
            scan.present[again] |= found.present << np.uint64(fields_before)
            fields_before += len(scanner.fields)
            columns.append(np.empty((scanner.columns, len(block)), np.uint64))
            columns[-1][:, again] = found.columns
            again = again[found.other != 0]
        cells = [
            part.ctypes.data + 8 * len(block) * first
            for part, first in zip(columns, self._first, strict=False)
        ]
        return ScannedRows(block.arena, unsure, scan.present, scan.other, np.concatenate(cells), columns)

    def _actions(self, rows: ScannedRows) -> NDArray[np.int64]:
        flat = self._flat
        if flat.kind is None:
            return np.where(rows.unsure, LEFT, flat.only_kind)
        actions = np.empty(len(rows.unsure), np.int64)
        read_kinds(
            rows.arena, rows.unsure, rows.present, rows.cells, flat.kind,
            flat.letters, flat.word_starts, flat.words, actions,
        )  # fmt: skip
        return actions

    def _ignored(self, actions: NDArray[np.int64]) -> dict[str, int]:
        names = self._flat.ignored
        if not names:
            return {}
        counts = np.bincount(LEFT - 1 - actions[actions < LEFT], minlength=len(names)).tolist()
        return {name: count for name, count in zip(names, counts, strict=True) if count}

    def _take(
        self,
        block: RecordBlock,
        rows: ScannedRows,
        actions: NDArray[np.int64],
        instrument: NDArray[np.int32],
    ) -> tuple[EventRows, Rows]:
        n, flat = len(block), self._flat
        occurring = np.bitwise_or.reduce(rows.present | rows.other, initial=np.uint64(0))
        shape = self._shape(int(occurring))
        place, ts, left = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        kind, chosen = np.empty(n, np.int8), np.empty(n, np.int32)
        names = shape.names
        numbers = np.empty((len(names[TO_NUMBER]), n))
        codes = np.empty((len(names[TO_CODE]), n), np.int32)
        text_at, text_size = (np.empty((len(names[TO_TEXT]), n), np.int64) for _ in range(2))
        m, behind, occurs = take_rows(
            block.arena, block.timestamp, actions, instrument, rows.present, rows.other, rows.cells,
            shape.starts, shape.entries, shape.amounts, flat.letters, flat.word_starts, flat.words,
            place, kind, ts, chosen, numbers, codes, text_at, text_size, left,
        )  # fmt: skip
        there = {name for number, name in enumerate(flat.names) if int(occurs) >> number & 1}
        texts: dict[str, Codes | TextSource] = {
            name: codes[column, :m] for column, name in enumerate(names[TO_CODE]) if name in there
        }
        for column, name in enumerate(names[TO_TEXT]):
            if name in there:
                texts[name] = TakenTexts(block.arena, text_at[column, :m], text_size[column, :m], flat.texts)
        taken = EventRows(
            place=place[:m],
            kind=kind[:m],
            instrument=chosen[:m],
            ts=ts[:m],
            numbers={
                name: numbers[column, :m] for column, name in enumerate(names[TO_NUMBER]) if name in there
            },
            texts=texts,
        )
        return taken, left[:behind]

    def _shape(self, occurring: int) -> _FieldSubset:
        shape = self._shapes.get(occurring)
        if shape is None:
            if len(self._shapes) >= _REMEMBERED:
                self._shapes.clear()
            shape = self._shapes[occurring] = self._make_shape(occurring)
        return shape

    def _make_shape(self, occurring: int) -> _FieldSubset:
        """Leave out the entries of which nothing is there, unless that is what a row is left for."""
        flat = self._flat
        kept = np.array([_matters(entry, occurring) for entry in flat.entries.tolist()], np.bool_)
        names: dict[int, list[str]] = {TO_NUMBER: [], TO_CODE: [], TO_TEXT: []}
        entries = flat.entries[kept]
        for entry in entries:
            if entry[NAME] >= 0:
                mine, name = names[int(entry[TO])], flat.names[entry[NAME]]
                if name not in mine:
                    mine.append(name)
                entry[COLUMN] = mine.index(name)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        return _FieldSubset(before[flat.starts], entries, flat.amounts[kept], names)


def _matters(entry: list[int], occurring: int) -> bool:
    where = [entry[each] for each in _WHERE if entry[each] >= 0]
    there = reduce(lambda bits, field: bits | 1 << field, where, 0) & occurring
    return bool(entry[REQUIRED] or not where or there)
