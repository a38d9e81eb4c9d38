"""The columnar micro-batch that travels from decoding to detection."""

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

from streamer.messages.texts import Lazy, Texts, TextSource


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
    """What is traded, and where: BTCUSDT spot and BTCUSDT perpetual are two."""

    venue: str
    symbol: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Decoded events of one task, in arrival order, as columns of length n.

    Parameters
    ----------
    instruments
        The instruments that `instrument` speaks of, and perhaps more. It only ever grows, and the same object
        may come with many batches: then its numbers are the same, too.
    instrument
        int32[n], index into `instruments`.
    kind
        int8[n], a `Kind`.
    ts
        int64[n], event time in ns since 1970 UTC.
    record_ts
        int64[n], the record's timestamp in ns (ms resolution), `NO_TIME` where it has none.
    source
        int8[n], which of the task's topics the event came from (0 unless topics are joined).
    offset
        int64[n], the record's offset.
    index
        int16[n], which event of its record it is.
    numbers
        Numeric fields that occur in this batch: name to float64[n], NaN where an event has none.
    texts
        String fields that occur in this batch: name to int32[n], index into `texts.strings`,
        `ABSENT` where an event has none; numbered within this batch only.
    """

    instruments: Sequence[Instrument]
    instrument: NDArray[np.int32]
    kind: NDArray[np.int8]
    ts: NDArray[np.int64]
    record_ts: NDArray[np.int64]
    source: NDArray[np.int8]
    offset: NDArray[np.int64]
    index: NDArray[np.int16]
    numbers: Mapping[str, NDArray[np.float64]]
    texts: Texts

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Batch:
        """The batch of the chosen rows only; instruments and strings keep their numbers."""
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

    def names(self, what: InstrumentName) -> TextSource:
        """The venues or symbols of the instruments as a column of texts."""
        return Lazy(self.instrument.astype(np.intp), partial(_named, self.instruments, what))

    def event(self, row: int) -> dict[str, float | str]:
        """The fields one event has, by name, in alphabetical order."""
        found: dict[str, float | str] = {}
        for name, column in self.numbers.items():
            value = float(column[row])
            if not isnan(value):
                found[name] = value
        for name in self.texts:
            text = self.texts.text(name, row)
            if text is not None:
                found[name] = text
        return dict(sorted(found.items()))


InstrumentName = Literal["venue", "symbol"]
INSTRUMENT_NAMES: tuple[InstrumentName, ...] = get_args(InstrumentName)


def _named(instruments: Sequence[Instrument], what: str, number: int) -> str:
    name: str = getattr(instruments[number], what)
    return name


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be decoded, mapped, validated or accepted.

    Parameters
    ----------
    offset, index
        The record's offset and which event of the record (0 where the record as a whole failed).
    reason
        One of a small fixed set of names, such as ``bad_json`` (see `streamer.decoding.dead_letter_reasons`).
    detail
        For a person: what exactly was wrong.
    value
        The record's bytes (whole; the store keeps the first 64 KB), None for a null value.
    record_ts
        The record's timestamp in ns, `NO_TIME` where it has none.
    """

    offset: int
    index: int
    reason: str
    detail: str
    value: bytes | None
    record_ts: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What decoding made of some records: events, dead letters, and counts by name of what is not used."""

    batch: Batch
    dead: tuple[DeadLetter, ...]
    ignored: Mapping[str, int]
