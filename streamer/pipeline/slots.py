"""Numbers the instruments of a task by first appearance."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streamer.events.batch import Batch, Instrument

FULL = -1
"""The slot of an instrument beyond the task's limit."""


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

    def __len__(self) -> int:
        return len(self.instruments)

    def assign(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each row, `FULL` where the task has no room; new instruments get the next number."""
        codes, first_rows = np.unique(batch.instrument, return_index=True)
        table = np.full(len(batch.instruments), FULL, np.int32)
        for code in codes[np.argsort(first_rows)]:
            table[code] = self._slot(batch.instruments[code])
        return table[batch.instrument]

    def restore(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Take up the instruments of a checkpoint, in order."""
        self.instruments = [Instrument(*pair) for pair in instruments]
        self._number = {instrument: number for number, instrument in enumerate(self.instruments)}

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
