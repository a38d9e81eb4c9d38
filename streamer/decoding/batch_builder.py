"""Collects decoded events and makes one batch of them."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np

from streamer.decoding.event_fields import ENUM_CODES, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.refusals import Refused
from streamer.messages.batch import Batch, DeadLetter, Decoded, Instrument
from streamer.messages.records import Record
from streamer.messages.texts import ABSENT, Strings, Texts


class BatchBuilder:
    """Rows, dead letters and counts of one call of `Format.decode`, in order.

    Parameters
    ----------
    source
        Goes into `Batch.source` of every row.
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
        kind: int,
        venue: str,
        symbol: str,
        ts: int,
        record: Record,
        index: int,
        numbers: Iterable[tuple[str, float | None]],
        texts: Iterable[tuple[str, str | None]],
    ) -> None:
        """Append an event that is known to be valid; fields that are None are absent."""
        row = len(self._kind)
        instruments = self._instruments
        self._instrument.append(instruments.setdefault((venue, symbol), len(instruments)))
        self._kind.append(kind)
        self._ts.append(ts)
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
                coded = self._texts.get(name)
                if coded is None:
                    coded = self._texts[name] = ([], [])
                coded[0].append(row)
                coded[1].append(codes.setdefault(text, len(codes)))

    def refuse(self, record: Record, index: int, refused: Refused) -> None:
        """Append a dead letter."""
        self._dead.append(
            DeadLetter(
                record.offset, index, refused.reason.value, str(refused), record.value, record.timestamp
            )
        )

    def ignore(self, name: str) -> None:
        """Count something that is known and not used."""
        self._ignored[name] = self._ignored.get(name, 0) + 1

    def finish(self) -> Decoded:
        """Everything collected; the builder must not be used after this."""
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
                rows, found = self._texts[name]
                codes[name] = np.full(n, ABSENT, np.int32)
                codes[name][rows] = found
        batch = Batch(
            instruments=tuple(Instrument(venue, symbol) for venue, symbol in self._instruments),
            instrument=np.array(self._instrument, np.int32),
            kind=np.array(self._kind, np.int8),
            ts=np.array(self._ts, np.int64),
            record_ts=np.array(self._record_ts, np.int64),
            source=np.full(n, self._source, np.int8),
            offset=np.array(self._offset, np.int64),
            index=np.array(self._index, np.int16),
            numbers=MappingProxyType(numbers),
            texts=Texts(Strings.of(list(self._codes)), codes),
        )
        return Decoded(batch, tuple(self._dead), MappingProxyType(self._ignored))
