"""Instruments as numbers that stay the same from batch to batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.json import Interner
from streamer.decoding.name_rules import valid_names
from streamer.messages.batch import Instrument

MOST = 1 << 17
"""So many instruments are remembered at once; one that has more begins anew, and only costs time."""

INVALID = -1
"""The number of names that are no instrument's."""


Rename = Callable[[str], str | None]


class _Venue:
    def __init__(self) -> None:
        self.symbols = Interner()
        self.numbers = np.empty(0, np.int32)


class InstrumentTable:
    """Numbers instruments in the order in which they are met.

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
        self._venues: dict[tuple[str, Rename | None], _Venue] = {}
        self._met = 0

    @property
    def full(self) -> bool:
        """Whether another table should be begun."""
        return self._met >= MOST or len(self.instruments) >= MOST

    def number(self, instrument: Instrument) -> int:
        """The number of an instrument whose names are valid."""
        number = self._numbers.setdefault(instrument, len(self.instruments))
        if number == len(self.instruments):
            self.instruments.append(instrument)
        return number

    def named(self, venue: str, symbol: str | None) -> int:
        """The number of names that may be an instrument's, `INVALID` where they are not."""
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
        """The numbers of symbols that lie in an arena, `INVALID` for what cannot be a symbol.

        Parameters
        ----------
        venue
            Of all of them.
        arena, at, size
            Where the symbols are, as UTF-8; a size below 0 is none.
        rename
            What a text becomes before it is a symbol, None for what is none; called once for each text.
        """
        known = self._venues.get((venue, rename))
        if known is None:
            known = self._venues[venue, rename] = _Venue()
            self._met += 1
        codes = np.maximum(known.symbols.codes(arena, at, size), INVALID)
        texts = known.symbols.texts
        if len(texts) >= len(known.numbers):
            fresh = texts[max(len(known.numbers) - 1, 0) :]
            found = [self.named(venue, text if rename is None else rename(text)) for text in fresh]
            # the last entry is where the code of an absent text, -1, points
            known.numbers = np.concatenate([known.numbers[:-1], np.array([*found, INVALID], np.int32)])
            self._met += len(fresh)
        return known.numbers[codes]
