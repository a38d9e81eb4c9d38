"""A micro-batch as detectors see it: flat arrays in arrival order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT, TIMER = range(7)

EventKind = Literal["trade", "quote", "order", "status", "metric", "heartbeat"]
"""Kinds of events that come from outside."""

KIND_NAMES: tuple[str, ...] = (*get_args(EventKind), "tick")
"""Names of the kinds as they are stored, in the order of their codes; a timer is stored as ``tick``."""

ACTIONS = ("new", "replace", "cancel", "reject", "fill", "partial_fill", "expire")
NEW, REPLACE, CANCEL, REJECT, FILL, PARTIAL_FILL, EXPIRE = range(7)
SIDES = ("buy", "sell")

CODED: Mapping[str, tuple[str, ...]] = MappingProxyType({"action": ACTIONS, "side": SIDES})
"""Enum fields of orders, which `Columns.fields` holds as the position of their text here."""

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
        int64[n], ns: the instrument's own clock, the maximum of its event times so far. On timer rows the
        timer's time, never before that clock; a timer never moves a window.
    fields
        Numeric event fields by name, float64[n], NaN where an event has none. A field that no event of the
        batch has may be missing. Fields of `CODED` are included if a feature needs them.
    n_slots
        Slots in use by the task; parts grow their state arrays to at least this many.
    """

    slot: NDArray[np.int32]
    kind: NDArray[np.int8]
    clock: NDArray[np.int64]
    fields: Mapping[str, NDArray[np.float64]]
    n_slots: int

    def __len__(self) -> int:
        return len(self.slot)


def plain(column: NDArray[_Number], dtype: type[_Number]) -> NDArray[_Number]:
    """A column as kernels take it: of this type, contiguous and writable; copied only if it is not.

    Examples
    --------
    >>> plain(np.arange(4, dtype=np.int32)[::2], np.int32)
    array([0, 2], dtype=int32)
    """
    if column.dtype == dtype and column.flags.carray:
        return column
    return np.asarray(np.require(column, dtype, ("C", "W")))
