"""What the detect half sees of a micro-batch: flat arrays in arrival order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT, TIMER = range(7)
KIND_NAMES = ("trade", "quote", "order", "status", "metric", "heartbeat", "tick")

ACTIONS = ("new", "replace", "cancel", "reject", "fill", "partial_fill", "expire")
NEW, REPLACE, CANCEL, REJECT, FILL, PARTIAL_FILL, EXPIRE = range(7)
SIDES = ("buy", "sell")
BUY, SELL = range(2)

CODED: Mapping[str, tuple[str, ...]] = MappingProxyType({"action": ACTIONS, "side": SIDES})
"""Fields of orders that come as numbers among `Columns.fields`: the position of their text here."""

_Number = TypeVar("_Number", bound=np.generic)

State = dict[str, NDArray[np.generic]]
"""What a part keeps between batches, as named arrays; a checkpoint holds nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows of one task, in arrival order.

    Parameters
    ----------
    slot
        int32[n], the instrument's number within the task.
    kind
        int8[n], one of `TRADE` ... `TIMER`.
    clock
        int64[n], ns: the instrument's own clock, max(event time, its last). On `TIMER` rows
        the timer's time, which is never before the instrument's clock; timers are only looked at,
        they never move a window.
    fields
        Numeric event fields by name, float64[n], NaN where an event has none. A field that no
        event of the batch has may be missing from the mapping. Those of `CODED` are among them where
        a feature needs them.
    n_slots
        How many slots exist; state arrays have been grown to at least this.
    """

    slot: NDArray[np.int32]
    kind: NDArray[np.int8]
    clock: NDArray[np.int64]
    fields: Mapping[str, NDArray[np.float64]]
    n_slots: int

    def __len__(self) -> int:
        return len(self.slot)


def plain(column: NDArray[_Number], dtype: type[_Number]) -> NDArray[_Number]:
    """A column as kernels take it: of this type, contiguous and writable; the same one where it is that.

    Examples
    --------
    >>> plain(np.arange(4, dtype=np.int32)[::2], np.int32)
    array([0, 2], dtype=int32)
    """
    if column.dtype == dtype and column.flags.carray:
        return column
    return np.asarray(np.require(column, dtype, ("C", "W")))
