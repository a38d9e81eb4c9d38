"""Pulled orders: entered, never filled, and cancelled after a fill on the other side.

A spoofer shows size on one side to get filled on the other, then cancels what was shown. For each instrument
the largest orders entered within the last W are remembered, up to `CAPACITY`, by side, price and size, which
every feed gives for an entry and its cancel. Orders equal in these are matched oldest first; accounts are
ignored, since most feeds do not give them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import CANCEL, EXPIRE, FILL, NEW, ORDER, PARTIAL_FILL, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import SharedCopies
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

_ORDERS = frozenset({ORDER})

CAPACITY = 16
"""Orders remembered per instrument; when full, a larger one replaces the smallest."""


@kernel
def _free_place(entered_at, sizes, oldest, size):  # type: ignore[no-untyped-def]
    # The place of an entry that is gone or too old, else of the smallest entry if this order is larger.
    smallest = 0
    for entry in range(CAPACITY):
        if entered_at[entry] == NEVER or entered_at[entry] < oldest:
            return entry
        if sizes[entry] < sizes[smallest]:
            smallest = entry
    return smallest if sizes[smallest] < size else -1


@kernel
def _find(entered_at, sides, prices, sizes, oldest, side, price, size):  # type: ignore[no-untyped-def]
    match = -1
    for entry in range(CAPACITY):
        if entered_at[entry] == NEVER or entered_at[entry] < oldest or sides[entry] != side:
            continue
        if prices[entry] != price or sizes[entry] != size:
            continue
        if match < 0 or entered_at[entry] < entered_at[match]:
            match = entry
    return match


@kernel
def _pulled_rows(  # type: ignore[no-untyped-def]
    slot, clock, action, side, price, size, window_ns, at, sides, prices, sizes, before, fills, pulled, out
):
    for row in range(slot.shape[0]):
        s = slot[row]
        what = action[row]
        if math.isnan(what) or math.isnan(side[row]):
            out[row] = pulled[s]
            continue
        own = int(side[row])
        oldest = clock[row] - window_ns
        pulled[s] = 0.0
        if what == NEW:
            if not math.isnan(price[row]) and not math.isnan(size[row]):
                entry = _free_place(at[s], sizes[s], oldest, size[row])
                if entry >= 0:
                    at[s, entry] = clock[row]
                    sides[s, entry] = own
                    prices[s, entry] = price[row]
                    sizes[s, entry] = size[row]
                    before[s, entry] = fills[s, 1 - own]
        elif what in (CANCEL, EXPIRE, FILL, PARTIAL_FILL):
            entry = _find(at[s], sides[s], prices[s], sizes[s], oldest, own, price[row], size[row])
            if entry >= 0:
                if what == CANCEL and fills[s, 1 - own] > before[s, entry]:
                    pulled[s] = size[row]
                at[s, entry] = NEVER
            if what in (FILL, PARTIAL_FILL):
                fills[s, own] += 1
        out[row] = pulled[s]


class _Pulled:
    """The size of the order that the row's cancel pulled; 0 on any other order message."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._arrays = SlotArrays(
            {
                "at": SlotColumn(np.int64, NEVER, (CAPACITY,)),
                "sides": SlotColumn(np.int64, 0, (CAPACITY,)),
                "prices": SlotColumn(np.float64, np.nan, (CAPACITY,)),
                "sizes": SlotColumn(np.float64, np.nan, (CAPACITY,)),
                "before": SlotColumn(np.int64, 0, (CAPACITY,)),
                "fills": SlotColumn(np.int64, 0, (2,)),
                "pulled": SlotColumn(np.float64, np.nan),
            }
        )

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        a = self._arrays
        _pulled_rows(
            rows.slot,
            rows.clock,
            rows.field("action", _ORDERS),
            rows.field("side", _ORDERS),
            rows.field("price", _ORDERS),
            rows.field("size", _ORDERS),
            self._window_ns,
            a["at"],
            a["sides"],
            a["prices"],
            a["sizes"],
            a["before"],
            a["fills"],
            a["pulled"],
            out,
        )
        return out

    def rebase(self, slot: int, to: int) -> None:
        # Orders entered later are in the book all the same: they count as entered now.
        entered_at = self._arrays["at"][slot]
        np.minimum(entered_at, to, out=entered_at)

    def forget(self, slot: int) -> None:
        self._arrays.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        return copies.of(self._arrays)

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


FAMILIES = (
    Family(
        stem="pulled_size",
        doc=(
            "size of the order that the last order message cancelled, if it was entered within the window, "
            "never touched, and an order on the other side was filled meanwhile; else 0"
        ),
        unit="number",
        shape="positive",
        fed_by=_ORDERS,
        needs=frozenset({"action", "side", "price", "size"}),
        build=lambda window, _banks: _Pulled(window),
    ),
)
