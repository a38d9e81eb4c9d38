"""The instruments of scanned rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.columns.event_plan import EventPlan, NameSource
from streamer.decoding.columns.field_kernels import NO_TEXT, WHOLE_TEXT
from streamer.decoding.columns.field_paths import NOWHERE
from streamer.decoding.columns.flat_plan import Flat
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
    """Rows as all scans together have found them.

    Parameters
    ----------
    arena
        uint8, the bytes they lie in.
    unsure
        bool[n]: rows that are in doubt as a whole.
    present, other
        uint64[n], the fields that are there, and there with another type, by number.
    cells
        int64, by field the address of its column of n words; a text's second one lies behind its first.
    columns
        What these addresses are in.
    """

    arena: NDArray[np.uint8]
    unsure: Mask
    present: NDArray[np.uint64]
    other: NDArray[np.uint64]
    cells: NDArray[np.int64]
    columns: Sequence[NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Kinds whose instruments come from the same place."""

    symbol: NameSource
    venue: NameSource | None
    kinds: list[int]


class Instruments:
    """Finds the instruments of rows, and remembers those it has met.

    Parameters
    ----------
    plan, flat
        Where names come from, and where that comes out.
    """

    def __init__(self, plan: EventPlan, flat: Flat) -> None:
        self.table = InstrumentTable()
        self._venues = Interner()
        self._flat = flat
        self._pairs: list[_Pair] = []
        for kind, wanted in plan.wanted.items():
            for pair in self._pairs:
                if pair.symbol is wanted.symbol and pair.venue is wanted.venue:
                    pair.kinds.append(KIND_NAMES.index(kind))
                    break
            else:
                self._pairs.append(_Pair(wanted.symbol, wanted.venue, [KIND_NAMES.index(kind)]))

    def begin(self) -> None:
        """Forget all, where that is too much to be kept."""
        if self.table.full or len(self._venues) >= MOST:
            self.table = InstrumentTable()
            self._venues = Interner()

    def read(
        self, rows: ScannedRows, actions: NDArray[np.int64], context: DecodeContext
    ) -> NDArray[np.int32]:
        """int32[n]: of each row the number of its instrument, `INVALID` where that is in doubt."""
        if len(self._pairs) == 1:
            return self._of_pair(self._pairs[0], rows, actions >= 0, context)
        found = np.full(len(actions), INVALID, np.int32)
        for pair in self._pairs:
            mine = np.isin(actions, pair.kinds)
            if mine.any():
                found = np.where(mine, self._of_pair(pair, rows, mine, context), found)
        return found

    def _of_pair(
        self, pair: _Pair, rows: ScannedRows, mine: Mask, context: DecodeContext
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
        self, name: NameSource, pair: _Pair, rows: ScannedRows, mine: Mask, context: DecodeContext
    ) -> NDArray[np.int32]:
        """Where the records say themselves which venue it is."""
        at, size, doubt = self._texts(name, rows, mine)
        codes = self._venues.codes(rows.arena, at, size)
        codes[doubt] = Interner.BEYOND
        found = np.full(len(mine), INVALID, np.int32)
        one = len(codes) and codes[0] == codes.min() == codes.max()
        distinct = [int(codes[0])] if one else np.unique(codes).tolist()
        if len(distinct) > _MANY_VENUES:
            return found  # each would go through all rows
        for code in distinct:
            venue = self._venue(code, name, context)
            if venue is not None:
                here = codes == code
                found[here] = self._of_venue(venue, pair, rows, here, context)[here]
        return found

    def _venue(self, code: int, name: NameSource, context: DecodeContext) -> str | None:
        if code == _ABSENT:
            return context.venue
        if code < 0:
            return None
        text = self._venues.texts[code]
        return text if name.rename is None else name.rename(text)

    def _of_venue(
        self, venue: str, pair: _Pair, rows: ScannedRows, mine: Mask, context: DecodeContext
    ) -> NDArray[np.int32]:
        name = pair.symbol
        if name.path is None:
            symbol = name.given(context) if name.given is not None else None
            return np.where(mine, np.int32(self.table.named(venue, symbol)), np.int32(INVALID))
        at, size, _ = self._texts(name, rows, mine)
        whole = np.flatnonzero(size == WHOLE_TEXT) if name.loose else _NO_ROWS
        wholes = at[whole]
        size[whole] = NO_TEXT
        found = self.table.numbers(venue, rows.arena, at, size, name.rename)
        if len(whole):
            distinct, back = np.unique(wholes, return_inverse=True)
            texts = [str(number) for number in distinct.tolist()]
            renamed = [text if name.rename is None else name.rename(text) for text in texts]
            numbers = [self.table.named(venue, symbol) for symbol in renamed]
            found[whole] = np.array(numbers, np.int32)[back]
        return found

    def _texts(
        self, name: NameSource, rows: ScannedRows, mine: Mask
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
        """The texts of a name, and where something else is there."""
        place = self._flat.found[name.path or ()]
        whole = place.field("integer") if name.loose else NOWHERE
        at, size = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
        doubt = np.empty(len(mine), np.bool_)
        read_names(
            rows.present, rows.other, rows.cells, mine,
            place.field("text"), whole, place.first, at, size, doubt,
        )  # fmt: skip
        return at, size, doubt
