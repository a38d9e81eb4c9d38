"""The events of several members of a log as one batch, in any order of their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.event_fields import ENUM_STRINGS, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.instruments import InstrumentTable
from streamer.messages.batch import Batch, Instrument
from streamer.messages.texts import ABSENT, Codes, Selection, Strings, Texts

_Number = TypeVar("_Number", bound=np.generic)
_Rows = NDArray[np.intp] | NDArray[np.int64]

_UNNUMBERED = -1


class JoinedInstruments:
    """Numbers the instruments of batches that number their own: one table for all of a log.

    Examples
    --------
    >>> joined = JoinedInstruments()
    >>> joined.numbers([Instrument("x", "A"), Instrument("x", "B")], np.array([1, 1], np.int32)).tolist()
    [0, 0]
    >>> joined.numbers([Instrument("x", "A")], np.array([0], np.int32)).tolist(), len(joined.instruments)
    ([1], 2)
    """

    def __init__(self) -> None:
        self._table = InstrumentTable()
        self._known: dict[int, tuple[Sequence[Instrument], NDArray[np.int32]]] = {}

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What the numbers index; it only grows, until `renew`."""
        return self._table.instruments

    def renew(self) -> None:
        """Begin an empty table if this one is full, which only costs time; between batches."""
        if self._table.full:
            self._table, self._known = InstrumentTable(), {}

    def numbers(self, instruments: Sequence[Instrument], codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """The numbers of instruments that another list numbers.

        Parameters
        ----------
        instruments
            The other list. One that grows is remembered.
        codes
            int32[n], index into it.
        """
        keeps = isinstance(instruments, list)  # a table's; others live for one batch
        known = self._known.get(id(instruments)) if keeps else None
        table = np.empty(0, np.int32) if known is None else known[1]
        if len(table) < len(instruments):
            grown = np.full(2 * len(instruments) if keeps else len(instruments), _UNNUMBERED, np.int32)
            grown[: len(table)] = table
            table = grown
            if keeps:
                self._known[id(instruments)] = instruments, table
        for code in np.unique(codes[table[codes] == _UNNUMBERED]).tolist():
            table[code] = self._table.number(instruments[code])
        return table[codes]


def merged_batch(parts: Sequence[Batch], rows: _Rows, joined: JoinedInstruments) -> Batch:
    """Rows of several batches as one batch.

    Parameters
    ----------
    parts
        The batches, by the members' place in their log.
    rows
        intp[k], indices into the rows of all batches, one's behind the other's, in the order that is wanted.
    joined
        Numbers the instruments; the same for all batches of a task.
    """
    joined.renew()
    numbers = [joined.numbers(part.instruments, part.instrument) for part in parts]
    return merged_rows(parts, rows, numbers, joined.instruments)


def merged_rows(
    parts: Sequence[Batch],
    rows: _Rows,
    instrument: Sequence[NDArray[np.int32]],
    instruments: Sequence[Instrument],
) -> Batch:
    """Rows of several batches as one batch, whose instruments are numbered already.

    Parameters
    ----------
    parts, rows
        As in `merged_batch`.
    instrument
        int32[n] of each batch, index into `instruments`.
    instruments
        Those of the result.
    """

    def column(of: Callable[[Batch], NDArray[_Number]]) -> NDArray[_Number]:
        return np.concatenate([of(part) for part in parts])[rows]

    sizes = [len(part) for part in parts]
    if len(parts) == 1 and len(rows) == sizes[0] and (np.diff(rows) == 1).all():
        return replace(parts[0], instruments=instruments, instrument=instrument[0])
    return Batch(
        instruments=instruments,
        instrument=np.concatenate(instrument)[rows],
        kind=column(lambda part: part.kind),
        ts=column(lambda part: part.ts),
        record_ts=column(lambda part: part.record_ts),
        source=column(lambda part: part.source),
        offset=column(lambda part: part.offset),
        index=column(lambda part: part.index),
        numbers=_numbers(parts, sizes, rows),
        texts=_texts(parts, sizes, rows),
    )


def _numbers(parts: Sequence[Batch], sizes: Sequence[int], rows: _Rows) -> Mapping[str, NDArray[np.float64]]:
    numbers = {}
    for name in NUMBER_FIELDS:
        if any(name in part.numbers for part in parts):
            columns = [
                part.numbers[name] if name in part.numbers else np.full(size, np.nan)
                for part, size in zip(parts, sizes, strict=True)
            ]
            numbers[name] = np.concatenate(columns)[rows]
    return MappingProxyType(numbers)


def _texts(parts: Sequence[Batch], sizes: Sequence[int], rows: _Rows) -> Texts:
    names = [name for name in TEXT_FIELDS if any(name in part.texts for part in parts)]
    texts = tuple(part.texts for part in parts)
    first = np.cumsum([0, *sizes])
    return Texts(Strings.of(ENUM_STRINGS), {name: _JoinedTexts(texts, name, first, rows) for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class _JoinedTexts:
    """The text columns of several batches, concatenated and put into order; a `TextSource`."""

    parts: Sequence[Texts]
    name: str
    first: NDArray[np.int64]
    rows: _Rows

    def text(self, row: int) -> str | None:
        at = int(self.rows[row])
        part = int(np.searchsorted(self.first, at, side="right")) - 1
        return self.parts[part].text(self.name, at - int(self.first[part]))

    def codes(self, strings: Strings) -> Codes:
        sizes = np.diff(self.first).tolist()
        columns = [
            texts.codes_in(self.name, strings) if self.name in texts else np.full(size, ABSENT, np.int32)
            for texts, size in zip(self.parts, sizes, strict=True)
        ]
        return np.concatenate(columns)[self.rows]

    def take(self, rows: Selection) -> _JoinedTexts:
        return _JoinedTexts(self.parts, self.name, self.first, self.rows[rows])
