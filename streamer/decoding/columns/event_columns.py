"""Decodes blocks of records into columns of events, following a plan."""

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
from streamer.decoding.columns.flat_plan import flatten
from streamer.decoding.columns.instrument_names import Instruments, ScannedRows
from streamer.decoding.columns.plan_codes import SLOW_PATH, TO_CODE, TO_NUMBER, TO_TEXT
from streamer.decoding.columns.row_kernels import read_kinds, write_events
from streamer.decoding.columns.text_columns import RowTexts
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.messages.record_block import RecordBlock
from streamer.messages.texts import Codes, TextSource

if TYPE_CHECKING:
    from streamer.decoding.decode_context import DecodeContext

_REMEMBERED = 64
_NO_ROWS = np.empty(0, np.intp)
_FIELD_COLUMNS = (FIRST, AS_TEXT, AS_VALUE, AS_FLAG)


@dataclass(frozen=True, slots=True, eq=False)
class _OccurringFields:
    """The part of a plan that matters when only some fields occur: its entries, and its columns' names."""

    starts: NDArray[np.int64]
    entries: NDArray[np.int64]
    amounts: NDArray[np.float64]
    names: dict[int, list[str]]


class EventColumns:
    """Decodes blocks of records; remembers the names it has seen, so only one thread may use it at a time.

    Parameters
    ----------
    plan
        The sources of the events' fields.

    Raises
    ------
    ValueError
        If kernels cannot follow the plan; see `streamer.decoding.columns.flat_plan.flatten`.

    Examples
    --------
    >>> from streamer.decoding.formats import DecodeContext
    >>> from streamer.decoding.columns.event_plan import ConstantSource, EventSources, KindSource
    >>> from streamer.decoding.columns.event_plan import NameSource, NumberSource
    >>> price = NumberSource(("p",), may_be_text=True)
    >>> sources = EventSources(NameSource(("s",)), None, None, {"price": price, "size": ConstantSource(1)})
    >>> reader = EventColumns(EventPlan(KindSource(None, constant="trade"), {"trade": sources}))
    >>> from streamer.messages.records import Record
    >>> block = RecordBlock.of([Record(0, b'{"s": "X", "p": "2.5"}', 7), Record(1, b'{"s": "X"}', 8)])
    >>> decoded = reader.read(block, DecodeContext("topic", "here"))
    >>> decoded.events.numbers["price"], decoded.events.ts, decoded.slow
    (array([2.5]), array([7]), array([1]))
    """

    def __init__(self, plan: EventPlan) -> None:
        self._flat = flatten(plan)
        self._instruments = Instruments(plan, self._flat)
        self._ambiguous = np.uint64(
            sum(1 << fields.first for fields in self._flat.paths.values() if len(fields.fields) > 1)
        )
        self._first = [
            np.array([scanner.column(field) for field in range(len(scanner.fields))], np.int64)
            for scanner in self._flat.scanners
        ]
        self._by_occurring: dict[int, _OccurringFields] = {}

    def read(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns:
        """Decode the plainly valid records of a block; see `DecodedColumns`."""
        self._instruments.begin()
        rows = self._scan(block)
        actions = self._actions(rows)
        instrument = self._instruments.read(rows, actions, context)
        events, slow = self._events(block, rows, actions, instrument)
        return DecodedColumns(events, slow, MappingProxyType(self._ignored(actions)), self._instruments.table)

    def _scan(self, block: RecordBlock) -> ScannedRows:
        scanners = self._flat.scanners
        at, size = block.value_at, block.value_size
        scan = scanners[0].scan(block.arena, at, size)
        unclear = scan.flagged | (size > RECORD_MAX_BYTES)
        columns = [scan.columns]
        again = np.flatnonzero(scan.other & self._ambiguous) if len(scanners) > 1 else _NO_ROWS
        fields_before = len(scanners[0].fields)
        for scanner in scanners[1:]:
            if not len(again):
                break
            rescan = scanner.scan(block.arena, at[again], size[again])
            scan.present[again] |= rescan.present << np.uint64(fields_before)
            fields_before += len(scanner.fields)
            columns.append(np.empty((scanner.columns, len(block)), np.uint64))
            columns[-1][:, again] = rescan.columns
            again = again[rescan.other != 0]
        addresses = [
            part.ctypes.data + 8 * len(block) * first
            for part, first in zip(columns, self._first, strict=False)
        ]
        return ScannedRows(block.arena, unclear, scan.present, scan.other, np.concatenate(addresses), columns)

    def _actions(self, rows: ScannedRows) -> NDArray[np.int64]:
        flat = self._flat
        if flat.kind is None:
            return np.where(rows.unclear, SLOW_PATH, flat.only_kind)
        actions = np.empty(len(rows.unclear), np.int64)
        read_kinds(
            rows.arena, rows.unclear, rows.present, rows.addresses, flat.kind,
            flat.letters, flat.word_starts, flat.words, actions,
        )  # fmt: skip
        return actions

    def _ignored(self, actions: NDArray[np.int64]) -> dict[str, int]:
        names = self._flat.ignored
        if not names:
            return {}
        counts = np.bincount(SLOW_PATH - 1 - actions[actions < SLOW_PATH], minlength=len(names)).tolist()
        return {name: count for name, count in zip(names, counts, strict=True) if count}

    def _events(
        self,
        block: RecordBlock,
        rows: ScannedRows,
        actions: NDArray[np.int64],
        instrument: NDArray[np.int32],
    ) -> tuple[EventRows, Rows]:
        n, flat = len(block), self._flat
        occurring = np.bitwise_or.reduce(rows.present | rows.other, initial=np.uint64(0))
        fields = self._fields(int(occurring))
        place, ts, slow = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        kind, event_instrument = np.empty(n, np.int8), np.empty(n, np.int32)
        names = fields.names
        numbers = np.empty((len(names[TO_NUMBER]), n))
        codes = np.empty((len(names[TO_CODE]), n), np.int32)
        text_at, text_size = (np.empty((len(names[TO_TEXT]), n), np.int64) for _ in range(2))
        m, n_slow, occurs = write_events(
            block.arena, block.timestamp, actions, instrument, rows.present, rows.other, rows.addresses,
            fields.starts, fields.entries, fields.amounts, flat.letters, flat.word_starts, flat.words,
            place, kind, ts, event_instrument, numbers, codes, text_at, text_size, slow,
        )  # fmt: skip
        occurring_names = {name for number, name in enumerate(flat.names) if int(occurs) >> number & 1}
        texts: dict[str, Codes | TextSource] = {
            name: codes[column, :m] for column, name in enumerate(names[TO_CODE]) if name in occurring_names
        }
        for column, name in enumerate(names[TO_TEXT]):
            if name in occurring_names:
                texts[name] = RowTexts(block.arena, text_at[column, :m], text_size[column, :m], flat.texts)
        events = EventRows(
            place=place[:m],
            kind=kind[:m],
            instrument=event_instrument[:m],
            ts=ts[:m],
            numbers={
                name: numbers[column, :m]
                for column, name in enumerate(names[TO_NUMBER])
                if name in occurring_names
            },
            texts=texts,
        )
        return events, slow[:n_slow]

    def _fields(self, occurring: int) -> _OccurringFields:
        fields = self._by_occurring.get(occurring)
        if fields is None:
            if len(self._by_occurring) >= _REMEMBERED:
                self._by_occurring.clear()
            fields = self._by_occurring[occurring] = self._occurring_fields(occurring)
        return fields

    def _occurring_fields(self, occurring: int) -> _OccurringFields:
        """Leave out entries whose fields never occur, unless an event must have them."""
        flat = self._flat
        kept = np.array([_matters(entry, occurring) for entry in flat.entries.tolist()], np.bool_)
        names: dict[int, list[str]] = {TO_NUMBER: [], TO_CODE: [], TO_TEXT: []}
        entries = flat.entries[kept]
        for entry in entries:
            if entry[NAME] >= 0:
                columns, name = names[int(entry[TO])], flat.names[entry[NAME]]
                if name not in columns:
                    columns.append(name)
                entry[COLUMN] = columns.index(name)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        return _OccurringFields(before[flat.starts], entries, flat.amounts[kept], names)


def _matters(entry: list[int], occurring: int) -> bool:
    fields = [entry[column] for column in _FIELD_COLUMNS if entry[column] >= 0]
    occurs = reduce(lambda bits, field: bits | 1 << field, fields, 0) & occurring
    return bool(entry[REQUIRED] or not fields or occurs)
