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


_OPEN, _OLDER, _ASKED = range(3)  # stretches: of the last price, of the older one, of the row asked for
_LAST, _OLDER_PRICE, _REFERENCE = range(3)


@njit(cache=True, nogil=True)
def _price_at(s, wanted, at, price_at, ids, prices):  # type: ignore[no-untyped-def]
    # The last price of the newest stretch up to the wanted one.
    found_id = NEVER
    found = np.nan
    for kept in (_OLDER, _OPEN):
        if found_id < at[s, kept] <= wanted:
            found_id = at[s, kept]
            found = price_at[s, _OLDER_PRICE if kept == _OLDER else _LAST]
    for position in range(_RING):
        if found_id < ids[s, position] <= wanted:
            found_id = ids[s, position]
            found = prices[s, position]
    return found


@njit(cache=True, nogil=True)
def _put_away(s, at, price_at, ids, prices):  # type: ignore[no-untyped-def]
    position = at[s, _OPEN] % _RING
    if ids[s, position] > at[s, _OLDER]:
        at[s, _OLDER] = ids[s, position]
        price_at[s, _OLDER_PRICE] = prices[s, position]
    ids[s, position] = at[s, _OPEN]
    prices[s, position] = price_at[s, _LAST]


@njit(cache=True, nogil=True)
def _return_rows(slot, bucket, price, tick, at, price_at, ids, prices, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, now = slot[row], bucket[row]
        if not tick[row]:
            if price[row] > 0.0:
                if at[s, _OPEN] != now:
                    if at[s, _OPEN] != NEVER:
                        _put_away(s, at, price_at, ids, prices)
                    at[s, _OPEN] = now
                price_at[s, _LAST] = price[row]
            if at[s, _ASKED] != now:
                at[s, _ASKED] = now
                price_at[s, _REFERENCE] = _price_at(s, now - _NEWEST_REFERENCE, at, price_at, ids, prices)
        reference = price_at[s, _REFERENCE]
        if at[s, _ASKED] != now:
            reference = _price_at(s, now - _NEWEST_REFERENCE, at, price_at, ids, prices)
        out[row] = np.nan if math.isnan(reference) else 1e4 * math.log(price_at[s, _LAST] / reference)


class _LogReturn:
    """Ring of the last price in each bucket; what falls out of it is kept as the one older price.

    The newest bucket is put into the ring when the next one begins.
    """

    def __init__(self, window_ns: int) -> None:
        self._bucket_ns = window_ns // BUCKETS
        self._arrays = SlotArrays(
            {
                "ids": Column(np.int64, NEVER, (_RING,)),
                "prices": Column(np.float64, np.nan, (_RING,)),
                "at": Column(np.int64, NEVER, (3,)),
                "price_at": Column(np.float64, np.nan, (3,)),
            }
        )

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        a = self._arrays
        _return_rows(
            rows.slot,
            rows.bucket(self._bucket_ns),
            rows.field("price", _TRADES),
            rows.tick,
            a["at"],
            a["price_at"],
            a["ids"],
            a["prices"],
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
        version=2,
    ),
)
