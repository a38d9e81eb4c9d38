"""Assigns each instrument of a task a slot, in order of first appearance; one may give up its own."""

from __future__ import annotations

import hashlib
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
        self.hashes = np.empty(0, np.int64)
        """A hash of each instrument's name by slot, in an array that may be longer."""
        self.replaced = 0
        """How often a slot went from one instrument to another; with the length, whether any is new."""
        self._table_instruments: Sequence[Instrument] = ()
        self._table = np.empty(0, np.int32)
        self._entered = 0

    def __len__(self) -> int:
        return len(self.instruments)

    def table(self, batch: Batch) -> NDArray[np.int32]:
        """The slot of each of a batch's instruments: `OVER_LIMIT`, or less if it has none yet.

        The table is kept as long as batches come with the same list of instruments, and is complete once all
        of these have an entry.
        """
        instruments = batch.instruments
        same = instruments is self._table_instruments
        if same and self._entered == len(instruments):
            return self._table
        table = self._table if same else np.empty(0, np.int32)
        if len(table) < len(instruments):
            grown = np.full(2 * len(instruments), _UNKNOWN, np.int32)
            grown[: len(table)] = table
            table = grown
        self._table_instruments, self._table = instruments, table
        default = OVER_LIMIT if self.full else _UNKNOWN
        codes = batch.instrument
        for code in np.unique(codes[table[codes] == _UNKNOWN]).tolist():
            table[code] = self._slot_of.get(instruments[code], default)
        self._entered = len(instruments) if (table[: len(instruments)] != _UNKNOWN).all() else 0
        return table

    @property
    def full(self) -> bool:
        """Whether a new instrument gets a slot only if another gives up its own."""
        return len(self.instruments) >= self.limit

    @property
    def complete(self) -> bool:
        """Whether all instruments of the last table have an entry."""
        return self._entered == len(self._table_instruments)

    def add(self, batch: Batch, code: int) -> None:
        """Enter one instrument into the batch's table; a new one gets the next slot, or `OVER_LIMIT`."""
        self._table[code] = self._assign_slot(batch.instruments[code])

    def replace(self, slot: int, batch: Batch, code: int) -> None:
        """Give the slot of another instrument to one of the batch's table, which has none."""
        del self._slot_of[self.instruments[slot]]
        self._table[self._table == slot] = OVER_LIMIT
        self.replaced += 1
        self.instruments[slot] = batch.instruments[code]
        self.hashes[slot] = _hash(batch.instruments[code])
        self._slot_of[batch.instruments[code]] = slot
        self._table[code] = slot

    def give_back(self, slot: int, instrument: Instrument) -> None:
        """Take a `replace` back; the last first."""
        del self._slot_of[self.instruments[slot]]
        self.replaced += 1
        self.instruments[slot] = instrument
        self.hashes[slot] = _hash(instrument)
        self._slot_of[instrument] = slot
        self._forget_table()

    def _forget_table(self) -> None:
        self._table_instruments, self._table, self._entered = (), np.empty(0, np.int32), 0

    def restore(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Set the instruments from a checkpoint, in slot order."""
        self.instruments = [Instrument(*pair) for pair in instruments]
        self.hashes = np.array([_hash(instrument) for instrument in self.instruments], np.int64)
        self._slot_of = {instrument: slot for slot, instrument in enumerate(self.instruments)}
        self._forget_table()

    def _assign_slot(self, instrument: Instrument) -> int:
        slot = self._slot_of.get(instrument)
        if slot is not None:
            return slot
        if self.full:
            return OVER_LIMIT
        slot = len(self.instruments)
        self.instruments.append(instrument)
        if slot == len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.zeros(slot + 16, np.int64)])
        self.hashes[slot] = _hash(instrument)
        self._slot_of[instrument] = slot
        return slot


def _hash(instrument: Instrument) -> int:
    digest = hashlib.blake2b("\0".join(instrument).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
