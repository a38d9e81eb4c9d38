"""Finds the instruments of scanned rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.columns.event_plan import EventPlan, NameSource
from streamer.decoding.columns.field_kernels import INTEGER_TEXT, NO_TEXT
from streamer.decoding.columns.field_paths import NOWHERE
from streamer.decoding.columns.flat_plan import FlatPlan
from streamer.decoding.columns.row_kernels import read_names
from streamer.decoding.event_fields import KIND_NAMES
from streamer.decoding.instruments import INVALID, MOST, InstrumentTable
from streamer.decoding.json import Interner

if TYPE_CHECKING:
    from streamer.decoding.decode_context import DecodeContext

Mask = NDArray[np.bool_]
_ABSENT = -1
_MANY_VENUES = 32
_NO_ROWS = np.empty(0, np.intp)


class ScannedRows(NamedTuple):
    """The combined result of all scans of some rows.

    Parameters
    ----------
    arena
        uint8, the rows' bytes.
    unclear
        bool[n]: rows that are left to the slow path as a integer_rows.
    present, other
        uint64[n], bits of the fields that are present, and of those present with another type.
    addresses
        int64, the address of each field's column of n words; a text's second column follows its first.
    columns
        The arrays that hold these addresses; they must stay alive.
    """

    arena: NDArray[np.uint8]
    unclear: Mask
    present: NDArray[np.uint64]
    other: NDArray[np.uint64]
    addresses: NDArray[np.int64]
    columns: Sequence[NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class _NamePair:
    """Kinds whose instruments come from the same sources."""

    symbol: NameSource
    venue: NameSource | None
    kinds: list[int]


class Instruments:
    """Finds the instruments of rows, and remembers those it has seen.

    Parameters
    ----------
    plan, flat
        The sources of names, and the fields that hold them.
    """

    def __init__(self, plan: EventPlan, flat: FlatPlan) -> None:
        self.table = InstrumentTable()
        self._venues = Interner()
        self._flat = flat
        self._pairs: list[_NamePair] = []
        for kind, sources in plan.sources.items():
            for pair in self._pairs:
                if pair.symbol is sources.symbol and pair.venue is sources.venue:
                    pair.kinds.append(KIND_NAMES.index(kind))
                    break
            else:
                self._pairs.append(_NamePair(sources.symbol, sources.venue, [KIND_NAMES.index(kind)]))

    def begin(self) -> None:
        """Forget everything once it is too much to keep."""
        if self.table.full or len(self._venues) >= MOST:
            self.table = InstrumentTable()
            self._venues = Interner()

    def read(
        self, rows: ScannedRows, actions: NDArray[np.int64], context: DecodeContext
    ) -> NDArray[np.int32]:
        """int32[n], each row's instrument number; `INVALID` leaves the row to the slow path."""
        if len(self._pairs) == 1:
            return self._of_pair(self._pairs[0], rows, actions >= 0, context)
        instruments = np.full(len(actions), INVALID, np.int32)
        for pair in self._pairs:
            mine = np.isin(actions, pair.kinds)
            if mine.any():
                instruments = np.where(mine, self._of_pair(pair, rows, mine, context), instruments)
        return instruments

    def _of_pair(
        self, pair: _NamePair, rows: ScannedRows, mine: Mask, context: DecodeContext
    ) -> NDArray[np.int32]:
        nothing = np.full(len(mine), INVALID, np.int32)
        if pair.venue is None:
            return (
                nothing if context.venue is None else self._of_venue(context.venue, pair, rows, mine, context)
            )
        if pair.venue.path is None:
            given = pair.venue.given(context) if pair.venue.given is not None else None
            return nothing if given is None else self._of_venue(given, pair, rows, mine, context)
        return self._of_venues(pair.venue, pair, rows, mine, context)

    def _of_venues(
        self, name: NameSource, pair: _NamePair, rows: ScannedRows, mine: Mask, context: DecodeContext
    ) -> NDArray[np.int32]:
        """Rows whose records name the venue themselves."""
        at, size, unclear = self._texts(name, rows, mine)
        codes = self._venues.codes(rows.arena, at, size)
        codes[unclear] = Interner.BEYOND
        instruments = np.full(len(mine), INVALID, np.int32)
        one = len(codes) and codes[0] == codes.min() == codes.max()
        distinct = [int(codes[0])] if one else np.unique(codes).tolist()
        if len(distinct) > _MANY_VENUES:
            return instruments  # each venue would need a pass over all rows
        for code in distinct:
            venue = self._venue(code, name, context)
            if venue is not None:
                here = codes == code
                instruments[here] = self._of_venue(venue, pair, rows, here, context)[here]
        return instruments

    def _venue(self, code: int, name: NameSource, context: DecodeContext) -> str | None:
        if code == _ABSENT:
            return context.venue
        if code < 0:
            return None
        text = self._venues.texts[code]
        return text if name.rename is None else name.rename(text)

    def _of_venue(
        self, venue: str, pair: _NamePair, rows: ScannedRows, mine: Mask, context: DecodeContext
    ) -> NDArray[np.int32]:
        name = pair.symbol
        if name.path is None:
            symbol = name.given(context) if name.given is not None else None
            return np.where(mine, np.int32(self.table.named(venue, symbol)), np.int32(INVALID))
        at, size, _ = self._texts(name, rows, mine)
        integer_rows = np.flatnonzero(size == INTEGER_TEXT) if name.loose else _NO_ROWS
        integers = at[integer_rows]
        size[integer_rows] = NO_TEXT
        instruments = self.table.numbers(venue, rows.arena, at, size, name.rename)
        if len(integer_rows):
            distinct, back = np.unique(integers, return_inverse=True)
            texts = [str(number) for number in distinct.tolist()]
            renamed = [text if name.rename is None else name.rename(text) for text in texts]
            numbers = [self.table.named(venue, symbol) for symbol in renamed]
            instruments[integer_rows] = np.array(numbers, np.int32)[back]
        return instruments

    def _texts(
        self, name: NameSource, rows: ScannedRows, mine: Mask
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
        """The texts of a name, and the rows with a value of another type there."""
        fields = self._flat.paths[name.path or ()]
        integer = fields.field("integer") if name.loose else NOWHERE
        at, size = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
        unclear = np.empty(len(mine), np.bool_)
        read_names(
            rows.present, rows.other, rows.addresses, mine,
            fields.field("text"), integer, fields.first, at, size, unclear,
        )  # fmt: skip
        return at, size, unclear
