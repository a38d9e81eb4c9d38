"""Assigns each instrument of a task a slot, in order of first appearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import Batch, Instrument

OVER_LIMIT = -1
"""The slot of an instrument beyond the task's limit."""

_UNKNOWN = -2


class Slots:
    """The instruments of one task by slot.

    Parameters
    ----------
    limit
        Maximum number of instruments; it bounds memory.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.instruments: list[Instrument] = []
        self._slot_of: dict[Instrument, int] = {}
        self._table_instruments: Sequence[Instrument] = ()
        self._table = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self.instruments)

    def assign(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each row; new instruments get the next slots, or `OVER_LIMIT` beyond the limit."""
        table = self.table(batch)
        slots = table[batch.instrument]
        unknown = np.flatnonzero(slots == _UNKNOWN)
        if len(unknown):
            codes, first_rows = np.unique(batch.instrument[unknown], return_index=True)
            for code in codes[np.argsort(first_rows)]:
                table[code] = self._assign_slot(batch.instruments[code])
            slots = table[batch.instrument]
        return slots

    def table(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each of a batch's instruments, negative if it has none.

        The table is kept as long as batches come with the same list of instruments.
        """
        instruments = batch.instruments
        table = self._table if instruments is self._table_instruments else np.empty(0, np.int32)
        if len(table) < len(instruments):
            grown = np.full(2 * len(instruments), _UNKNOWN, np.int32)
            grown[: len(table)] = table
            table = grown
        self._table_instruments, self._table = instruments, table
        return table

    def restore(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Set the instruments from a checkpoint, in slot order."""
        self.instruments = [Instrument(*pair) for pair in instruments]
        self._slot_of = {instrument: slot for slot, instrument in enumerate(self.instruments)}
        self._table_instruments, self._table = (), np.empty(0, np.int32)

    def _assign_slot(self, instrument: Instrument) -> int:
        slot = self._slot_of.get(instrument)
        if slot is not None:
            return slot
        if len(self.instruments) >= self.limit:
            return OVER_LIMIT
        slot = len(self.instruments)
        self.instruments.append(instrument)
        self._slot_of[instrument] = slot
        return slot
