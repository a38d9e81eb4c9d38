"""Orders that were shown and taken away: entered, never touched, cancelled after a fill on the other side.

A spoofer shows size on one side to be filled on the other, and cancels what was shown. Of every instrument
the largest resting orders of the last W are remembered (`HELD` of them), by side, price and size, since
that is what every feed states of an entry and its cancel. Entries of one side, price and size are taken for
one another, oldest first; the account behind an order is not looked at, as most feeds do not tell it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import CANCEL, EXPIRE, FILL, NEW, ORDER, PARTIAL_FILL, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import Copies
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

_ORDERS = frozenset({ORDER})

HELD = 16
"""Entries remembered an instrument; a larger one takes the place of the smallest."""


@kernel
def _place(held_at, held_size, oldest, size):  # type: ignore[no-untyped-def]
    # That of an entry that is gone or too old, else that of the smallest where this one is larger.
    smallest = 0
    for entry in range(HELD):
        if held_at[entry] == NEVER or held_at[entry] < oldest:
            return entry
        if held_size[entry] < held_size[smallest]:
            smallest = entry
    return smallest if held_size[smallest] < size else -1


@kernel
def _find(held_at, held_side, held_price, held_size, oldest, side, price, size):  # type: ignore[no-untyped-def]
    found = -1
    for entry in range(HELD):
        if held_at[entry] == NEVER or held_at[entry] < oldest or held_side[entry] != side:
            continue
        if held_price[entry] != price or held_size[entry] != size:
            continue
        if found < 0 or held_at[entry] < held_at[found]:
            found = entry
    return found


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
                entry = _place(at[s], sizes[s], oldest, size[row])
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
    """The size of an order that the row's cancel pulled; 0 on every other order."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._arrays = SlotArrays(
            {
                "at": SlotColumn(np.int64, NEVER, (HELD,)),
                "sides": SlotColumn(np.int64, 0, (HELD,)),
                "prices": SlotColumn(np.float64, np.nan, (HELD,)),
                "sizes": SlotColumn(np.float64, np.nan, (HELD,)),
                "before": SlotColumn(np.int64, 0, (HELD,)),
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

    def state(self, copies: Copies) -> State:
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
