"""Builds one batch from events that are decoded one at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np

from streamer.decoding.event_fields import ENUM_CODES, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.refusals import Refusal
from streamer.messages.batch import Batch, DeadLetter, Decoded, Instrument
from streamer.messages.records import Record
from streamer.messages.texts import ABSENT, Strings, Texts

_Value = TypeVar("_Value")


class EventHead(NamedTuple):
    """What every event has: its kind, its instrument, and its time in ns."""

    kind: int
    venue: str
    symbol: str
    ts: int


class BatchBuilder:
    """Collects the rows, dead letters and counts of one `Format.decode` call, in order.

    Parameters
    ----------
    source
        The value of `Batch.source` for every row.
    """

    def __init__(self, source: int = 0) -> None:
        self._source = source
        self._kind: list[int] = []
        self._instrument: list[int] = []
        self._ts: list[int] = []
        self._record_ts: list[int] = []
        self._offset: list[int] = []
        self._index: list[int] = []
        self._instruments: dict[tuple[str, str], int] = {}
        self._numbers: dict[str, tuple[list[int], list[float]]] = {}
        self._texts: dict[str, tuple[list[int], list[int]]] = {}
        self._codes: dict[str, int] = dict(ENUM_CODES)
        self._dead: list[DeadLetter] = []
        self._ignored: dict[str, int] = {}

    def add(
        self,
        head: EventHead,
        record: Record,
        index: int,
        numbers: Iterable[tuple[str, float | None]],
        texts: Iterable[tuple[str, str | None]],
    ) -> None:
        """Append a valid event; fields that are None are absent."""
        row = len(self._kind)
        instruments = self._instruments
        self._instrument.append(instruments.setdefault((head.venue, head.symbol), len(instruments)))
        self._kind.append(head.kind)
        self._ts.append(head.ts)
        self._record_ts.append(record.timestamp)
        self._offset.append(record.offset)
        self._index.append(index)
        for name, value in numbers:
            if value is not None:
                column = self._numbers.get(name)
                if column is None:
                    column = self._numbers[name] = ([], [])
                column[0].append(row)
                column[1].append(value)
        codes = self._codes
        for name, text in texts:
            if text is not None:
                code_column = self._texts.get(name)
                if code_column is None:
                    code_column = self._texts[name] = ([], [])
                code_column[0].append(row)
                code_column[1].append(codes.setdefault(text, len(codes)))

    def __len__(self) -> int:
        """The number of events so far."""
        return len(self._kind)

    def take_back(self, count: int) -> None:
        """Take back all events but the first `count`, the last of which may be incomplete."""
        rows = (self._kind, self._instrument, self._ts, self._record_ts, self._offset, self._index)
        for column in rows:
            del column[count:]
        _take_back(self._numbers, count)
        _take_back(self._texts, count)

    def refuse(self, record: Record, index: int, refusal: Refusal) -> None:
        """Append a dead letter."""
        self._dead.append(
            DeadLetter(
                record.offset,
                index,
                refusal.reason.value,
                str(refusal),
                record.value,
                record.timestamp,
                finer=refusal.finer,
                source=self._source,
            )
        )

    def ignore(self, name: str) -> None:
        """Count a known message that is not used."""
        self._ignored[name] = self._ignored.get(name, 0) + 1

    def finish(self) -> Decoded:
        """Return everything collected; the builder must not be used afterwards."""
        n = len(self._kind)
        numbers = {}
        for name in NUMBER_FIELDS:
            if name in self._numbers:
                rows, values = self._numbers[name]
                numbers[name] = np.full(n, np.nan)
                numbers[name][rows] = values
        codes = {}
        for name in TEXT_FIELDS:
            if name in self._texts:
                rows, row_codes = self._texts[name]
                codes[name] = np.full(n, ABSENT, np.int32)
                codes[name][rows] = row_codes
        batch = Batch(
            instruments=tuple(Instrument(venue, symbol) for venue, symbol in self._instruments),
            instrument=np.array(self._instrument, np.int32),
            kind=np.array(self._kind, np.int8),
            ts=np.array(self._ts, np.int64),
            record_ts=np.array(self._record_ts, np.int64),
            source=np.full(n, self._source, np.int16),
            offset=np.array(self._offset, np.int64),
            index=np.array(self._index, np.int16),
            numbers=MappingProxyType(numbers),
            texts=Texts(Strings.of(list(self._codes)), codes),
        )
        return Decoded(batch, tuple(self._dead), MappingProxyType(self._ignored))


def _take_back(columns: dict[str, tuple[list[int], list[_Value]]], count: int) -> None:
    for name, (at, values) in list(columns.items()):
        kept = bisect_left(at, count)
        del at[kept:], values[kept:]
        if not at:
            del columns[name]
