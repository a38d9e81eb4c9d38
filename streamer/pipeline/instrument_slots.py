"""Numbers the instruments of a task by first appearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import Batch, Instrument

FULL = -1
"""The slot of an instrument beyond the task's limit."""

_UNKNOWN = -2


class Slots:
    """Instruments of one task and their numbers.

    Parameters
    ----------
    limit
        How many instruments a task takes; memory is bounded by it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.instruments: list[Instrument] = []
        self._number: dict[Instrument, int] = {}
        self._known: Sequence[Instrument] = ()
        self._table = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self.instruments)

    def assign(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each row, `FULL` where the task has no room; new instruments get the next number."""
        table = self.table(batch)
        slots = table[batch.instrument]
        unknown = np.flatnonzero(slots == _UNKNOWN)
        if len(unknown):
            codes, first_rows = np.unique(batch.instrument[unknown], return_index=True)
            for code in codes[np.argsort(first_rows)]:
                table[code] = self._slot(batch.instruments[code])
            slots = table[batch.instrument]
        return slots

    def table(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each of a batch's instruments, below 0 where it has none.

        Those that come again with every batch are looked up once.
        """
        instruments = batch.instruments
        kept = self._table if instruments is self._known else np.empty(0, np.int32)
        if len(kept) < len(instruments):
            grown = np.full(2 * len(instruments), _UNKNOWN, np.int32)
            grown[: len(kept)] = kept
            kept = grown
        self._known, self._table = instruments, kept
        return kept

    def restore(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Take up the instruments of a checkpoint, in order."""
        self.instruments = [Instrument(*pair) for pair in instruments]
        self._number = {instrument: number for number, instrument in enumerate(self.instruments)}
        self._known, self._table = (), np.empty(0, np.int32)

    def _slot(self, instrument: Instrument) -> int:
        number = self._number.get(instrument)
        if number is not None:
            return number
        if len(self.instruments) >= self.limit:
            return FULL
        number = len(self.instruments)
        self.instruments.append(instrument)
        self._number[instrument] = number
        return number
