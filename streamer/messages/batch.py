"""The columnar micro-batch that decoding hands to detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from math import isnan
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from streamer.messages.floods import NO_MINUTE
from streamer.messages.texts import LazyTexts, Selection, Texts, TextSource

_OFFSET_BITS = 48  # of records: a partition of a million records a second has as many after nine years


class Kind(IntEnum):
    """What an event is; `TIMER` marks the passing of time and never comes from outside."""

    TRADE = 0
    QUOTE = 1
    ORDER = 2
    STATUS = 3
    METRIC = 4
    HEARTBEAT = 5
    TIMER = 6


class Instrument(NamedTuple):
    """A traded symbol at a venue: BTCUSDT spot and BTCUSDT perpetual are two instruments."""

    venue: str
    symbol: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Decoded events of one task, in arrival order, as columns of length n.

    Parameters
    ----------
    instruments
        What `instrument` indexes, possibly with more entries. It only ever grows, and several batches may
        share one object; an instrument then has the same index in all of them.
    instrument
        int32[n], index into `instruments`.
    kind
        int8[n], a `Kind`.
    ts
        int64[n], event time in ns since 1970 UTC.
    record_ts
        int64[n], the record's timestamp in ns (ms resolution), `NO_TIME` if it has none.
    source
        int16[n], the place of the event's partition among the members of its log (0 unless it has several).
    offset
        int64[n], the record's offset.
    index
        int16[n], the event's index within its record.
    numbers
        Numeric fields that occur in this batch: name to float64[n], NaN where the event lacks the field.
    texts
        String fields that occur in this batch: name to int32[n], index into `texts.strings`, `ABSENT`
        where the event lacks the field. Codes are valid within this batch only.
    """

    instruments: Sequence[Instrument]
    instrument: NDArray[np.int32]
    kind: NDArray[np.int8]
    ts: NDArray[np.int64]
    record_ts: NDArray[np.int64]
    source: NDArray[np.int16]
    offset: NDArray[np.int64]
    index: NDArray[np.int16]
    numbers: Mapping[str, NDArray[np.float64]]
    texts: Texts

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: Selection) -> Batch:
        """The selected rows; instruments and strings keep their indices."""
        return Batch(
            self.instruments,
            self.instrument[rows],
            self.kind[rows],
            self.ts[rows],
            self.record_ts[rows],
            self.source[rows],
            self.offset[rows],
            self.index[rows],
            MappingProxyType({name: column[rows] for name, column in self.numbers.items()}),
            self.texts.take(rows),
        )

    @property
    def record(self) -> NDArray[np.int64]:
        """int64[n], alike for the events of one record, and for no others of the log."""
        if not self.source.any():
            return self.offset
        return self.offset | (self.source.astype(np.int64) << _OFFSET_BITS)

    def instrument_of(self, row: int) -> Instrument:
        """The instrument of one event."""
        return self.instruments[int(self.instrument[row])]

    def names(self, part: InstrumentName) -> TextSource:
        """Each row's venue or symbol as a text column."""
        return LazyTexts(self.instrument.astype(np.intp), partial(_name_part, self.instruments, part))

    def event(self, row: int) -> dict[str, float | str]:
        """The fields of one event by name, in alphabetical order."""
        fields: dict[str, float | str] = {}
        for name, column in self.numbers.items():
            value = float(column[row])
            if not isnan(value):
                fields[name] = value
        for name in self.texts:
            text = self.texts.text(name, row)
            if text is not None:
                fields[name] = text
        return dict(sorted(fields.items()))


InstrumentName = Literal["venue", "symbol"]
INSTRUMENT_NAMES: tuple[InstrumentName, ...] = get_args(InstrumentName)


def _name_part(instruments: Sequence[Instrument], part: str, number: int) -> str:
    name: str = getattr(instruments[number], part)
    return name


DAMAGED_RANGE = "damaged_range"
"""The reason of dead letters that stand for a range of records, which could not be read."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be decoded, mapped or validated.

    Parameters
    ----------
    offset, index
        The record's offset and the event's index in it (0 if the record as a whole failed).
    reason
        One of a small fixed set of names, such as ``bad_json`` (see `streamer.decoding.dead_letter_reasons`).
    detail
        What exactly was wrong, for people.
    value
        All of the record's bytes (the store keeps the first 64 KB), None for a null value.
    record_ts
        The record's timestamp in ns, `NO_TIME` if it has none.
    last_offset
        Where it stands for all records from `offset` on, the last of them; its index is -1 then.
    minute
        Minutes since 1970 UTC of the log's time before the record; the fold sets it.
    finer
        Of a time that is too late: units that it may be in, and its ns since 1970 in each.
    source
        The place of the record's partition among the members of its log.
    """

    offset: int
    index: int
    reason: str
    detail: str
    value: bytes | None
    record_ts: int
    minute: int = NO_MINUTE
    last_offset: int | None = None
    finer: tuple[tuple[str, int], ...] = ()
    source: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RecordOrder:
    """In which order the records of several members were merged: each one's place among them.

    Parameters
    ----------
    rows
        int64[n], the place of each row's record; it never decreases.
    dead
        The same of each dead letter's record.
    """

    rows: NDArray[np.int64]
    dead: Sequence[int]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The result of decoding records.

    Parameters
    ----------
    batch
        The events.
    dead
        Dead letters.
    ignored
        Counts, by name, of messages that are known and not used.
    order
        The order of the records, where it is not that of their offsets.
    """

    batch: Batch
    dead: tuple[DeadLetter, ...]
    ignored: Mapping[str, int]
    order: RecordOrder | None = None

    @property
    def row_order(self) -> NDArray[np.int64]:
        """int64[n], what orders the rows' records: it never decreases, and is alike for one record's."""
        return self.batch.offset if self.order is None else self.order.rows

    @property
    def dead_order(self) -> Sequence[int]:
        """The same for each dead letter."""
        return [letter.offset for letter in self.dead] if self.order is None else self.order.dead
