"""The log return of the traded price over a window."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.columns import TRADE, State
from detectors.features.contract import Family, Rows
from detectors.features.windows import BUCKETS, NEVER, lowest_bit
from detectors.kernels import kernel
from detectors.slots import Column, SlotArrays

_TRADES = frozenset({TRADE})

# A reference at least W old lies 21 buckets back, and the row's own bucket makes 22.
_RING = BUCKETS + 2
_NEWEST_REFERENCE = BUCKETS + 1

_FILLING, _ASKED, _MASK = range(3)  # buckets of the last price, and of the reference; ages in the ring
_LAST, _OLDER, _REFERENCE, _FIRST = range(4)  # prices; the ring begins after them
_WHOLE = (1 << _RING) - 1


@kernel
def _newest_from(s, age, at, prices):  # type: ignore[no-untyped-def]
    # The newest price kept that is at least so many buckets older than the last one's.
    if age <= 0:
        return prices[s, _LAST]
    mask = at[s, _MASK] >> age
    if mask:
        return prices[s, _FIRST + (at[s, _FILLING] - age - lowest_bit(mask)) % _RING]
    return prices[s, _OLDER]


@kernel
def _reference(s, now, at, prices):  # type: ignore[no-untyped-def]
    if at[s, _FILLING] == NEVER:
        return np.nan
    return _newest_from(s, _NEWEST_REFERENCE - (now - at[s, _FILLING]), at, prices)


@kernel
def _open(s, now, at, prices):  # type: ignore[no-untyped-def]
    # Put the last price into the ring; of what falls out of it the newest is kept.
    passed = now - at[s, _FILLING]
    prices[s, _OLDER] = _newest_from(s, _RING - passed, at, prices)
    prices[s, _FIRST + at[s, _FILLING] % _RING] = prices[s, _LAST]
    at[s, _MASK] = (at[s, _MASK] | 1) << passed & _WHOLE if passed < _RING else 0
    at[s, _FILLING] = now


@kernel
def _return_rows(slot, bucket, price, tick, at, prices, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, now = slot[row], bucket[row]
        if not tick[row]:
            if price[row] > 0.0:
                if at[s, _FILLING] == NEVER:
                    at[s, _FILLING], at[s, _MASK] = now, 0
                elif at[s, _FILLING] != now:
                    _open(s, now, at, prices)
                prices[s, _LAST] = price[row]
            if at[s, _ASKED] != now:
                at[s, _ASKED] = now
                prices[s, _REFERENCE] = _reference(s, now, at, prices)
        reference = prices[s, _REFERENCE] if at[s, _ASKED] == now else _reference(s, now, at, prices)
        out[row] = np.nan if math.isnan(reference) else 1e4 * math.log(prices[s, _LAST] / reference)


class _LogReturn:
    """Ring of the last price in each bucket; what falls out of it is kept as the one older price.

    The newest bucket is put into the ring when the next one begins. Where prices are is told by a
    mask, as in `WindowSum`.
    """

    def __init__(self, window_ns: int) -> None:
        self._bucket_ns = window_ns // BUCKETS
        self._arrays = SlotArrays(
            {
                "at": Column(np.int64, NEVER, (3,)),
                "prices": Column(np.float64, np.nan, (_FIRST + _RING,)),
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
