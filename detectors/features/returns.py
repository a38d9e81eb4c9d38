"""The log return of the traded price over a window."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.columns import TRADE, State
from detectors.features.contract import Family, Rows
from detectors.features.windows import BUCKETS, NEVER
from detectors.slots import Column, SlotArrays

_TRADES = frozenset({TRADE})

# A reference at least W old lies 21 buckets back, and the row's own bucket makes 22.
_RING = BUCKETS + 2
_NEWEST_REFERENCE = BUCKETS + 1


@njit(cache=True, nogil=True)
def _price_at(ids, prices, older_id, older_price, wanted):  # type: ignore[no-untyped-def]
    found_id = NEVER
    found = np.nan
    if older_id != NEVER and older_id <= wanted:
        found_id = older_id
        found = older_price
    for position in range(_RING):
        if found_id < ids[position] <= wanted:
            found_id = ids[position]
            found = prices[position]
    return found


@njit(cache=True, nogil=True)
def _return_rows(  # type: ignore[no-untyped-def]
    slot, clock, price, tick, bucket_ns, ids, prices, older_id, older_price, last, asked_id, asked, out
):
    for row in range(slot.shape[0]):
        s = slot[row]
        now = clock[row] // bucket_ns
        if not tick[row]:
            if price[row] > 0.0:
                position = now % _RING
                held = ids[s, position]
                if held != now:
                    if held > older_id[s]:
                        older_id[s] = held
                        older_price[s] = prices[s, position]
                    ids[s, position] = now
                prices[s, position] = price[row]
                last[s] = price[row]
            if asked_id[s] != now:
                asked_id[s] = now
                asked[s] = _price_at(ids[s], prices[s], older_id[s], older_price[s], now - _NEWEST_REFERENCE)
        if asked_id[s] == now:
            reference = asked[s]
        else:
            reference = _price_at(ids[s], prices[s], older_id[s], older_price[s], now - _NEWEST_REFERENCE)
        if not math.isnan(reference):
            out[row] = 1e4 * math.log(last[s] / reference)
        else:
            out[row] = np.nan


class _LogReturn:
    """Ring of the last price in each bucket; what falls out of it is kept as the one older price."""

    def __init__(self, window_ns: int) -> None:
        self._bucket_ns = window_ns // BUCKETS
        self._arrays = SlotArrays(
            {
                "ids": Column(np.int64, NEVER, (_RING,)),
                "prices": Column(np.float64, np.nan, (_RING,)),
                "older_id": Column(np.int64, NEVER),
                "older_price": Column(np.float64, np.nan),
                "last": Column(np.float64, np.nan),
                "asked_id": Column(np.int64, NEVER),
                "asked": Column(np.float64, np.nan),
            }
        )

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        a = self._arrays
        _return_rows(
            rows.slot,
            rows.clock,
            rows.field("price", _TRADES),
            rows.tick,
            self._bucket_ns,
            a["ids"],
            a["prices"],
            a["older_id"],
            a["older_price"],
            a["last"],
            a["asked_id"],
            a["asked"],
            out,
        )
        return out

    def state(self) -> State:
        return self._arrays.state()

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


FAMILIES = (
    Family(
        stem="return_bps",
        doc="log return of the last traded price against the one the window ago, in basis points",
        unit="bps",
        shape="signed",
        fed_by=_TRADES,
        needs=frozenset({"price"}),
        build=_LogReturn,
    ),
)
