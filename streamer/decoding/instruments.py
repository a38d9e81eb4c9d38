"""Numbers instruments; the numbers stay the same from batch to batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.json import Interner
from streamer.decoding.name_rules import valid_names
from streamer.messages.batch import Instrument

MOST = 1 << 17
"""A table with this many instruments is replaced by an empty one, which only costs time."""

_MOST_VENUES = 1 << 12  # each has a table of its own

INVALID = -1
"""Stands for the number of invalid names."""

Rename = Callable[[str], str | None]


class _VenueSymbols:
    """A venue's symbols: their codes, and the instrument number by code."""

    def __init__(self) -> None:
        self.symbols = Interner()
        self.numbers = np.empty(0, np.int32)


class InstrumentTable:
    """Numbers instruments in order of first appearance.

    Examples
    --------
    >>> table = InstrumentTable()
    >>> arena = np.frombuffer(b"BTCETH" + bytes(64), np.uint8)
    >>> table.numbers("binance", arena, np.array([3, 0, 3]), np.array([3, 3, 3]))
    array([0, 1, 0], dtype=int32)
    >>> table.instruments[1]
    Instrument(venue='binance', symbol='BTC')
    """

    def __init__(self) -> None:
        self.instruments: list[Instrument] = []
        self._numbers: dict[Instrument, int] = {}
        self._venues: dict[tuple[str, Rename | None], _VenueSymbols] = {}
        self._entries = 0

    @property
    def full(self) -> bool:
        """Whether to start a new table."""
        full = self._entries >= MOST or len(self.instruments) >= MOST
        return full or len(self._venues) >= _MOST_VENUES

    def number(self, instrument: Instrument) -> int:
        """The number of an instrument whose names are valid."""
        number = self._numbers.setdefault(instrument, len(self.instruments))
        if number == len(self.instruments):
            self.instruments.append(instrument)
        return number

    def named(self, venue: str, symbol: str | None) -> int:
        """The number of an instrument by its names, `INVALID` if they are not valid."""
        if symbol is None or not valid_names(venue, symbol):
            return INVALID
        return self.number(Instrument(venue, symbol))

    def numbers(
        self,
        venue: str,
        arena: NDArray[np.uint8],
        at: NDArray[np.int64],
        size: NDArray[np.int64],
        rename: Rename | None = None,
    ) -> NDArray[np.int32]:
        """The numbers of symbols in an arena, `INVALID` for text that cannot be a symbol.

        Parameters
        ----------
        venue
            The venue of all of them.
        arena, at, size
            The symbols' positions, as UTF-8; a negative size means none.
        rename
            Maps a text to its symbol, or to None if it is not one; called once for each text.
        """
        known = self._venues.get((venue, rename))
        if known is None:
            known = self._venues[venue, rename] = _VenueSymbols()
            self._entries += 1
        codes = np.maximum(known.symbols.codes(arena, at, size), INVALID)
        texts = known.symbols.texts
        if len(texts) >= len(known.numbers):
            fresh = texts[max(len(known.numbers) - 1, 0) :]
            numbers = [self.named(venue, text if rename is None else rename(text)) for text in fresh]
            # a missing text has code -1, which indexes the last entry
            known.numbers = np.concatenate([known.numbers[:-1], np.array([*numbers, INVALID], np.int32)])
            self._entries += len(fresh)
        return known.numbers[codes]
