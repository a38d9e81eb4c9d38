"""The log return of the traded price over a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from detectors.event_columns import TIMER, TRADE
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import ValueBank, ValueSeries
from detectors.features.windows import BUCKETS, NEVER, bucket_of, lowest_bit
from detectors.kernels import kernel
from detectors.slot_arrays import SlotColumn

_TRADES = frozenset({TRADE})

# A reference at least W old lies 21 buckets back; with the row's own bucket that makes 22.
_RING = BUCKETS + 2
_NEWEST_REFERENCE = BUCKETS + 1

# bucket of the last price, bucket of the last reference, ages in the ring that have a price
_FILLING, _REFERRED, _MASK = range(3)
_LAST, _OLDER, _REFERENCE, _FIRST = range(4)  # prices; the ring begins after them
_WHOLE = (1 << _RING) - 1


@kernel
def _newest_at_least(s, k, age, at, prices):  # type: ignore[no-untyped-def]
    # The newest price that is at least `age` buckets older than the last one.
    if age <= 0:
        return prices[s, k, _LAST]
    mask = at[s, k, _MASK] >> age
    if mask:
        return prices[s, k, _FIRST + (at[s, k, _FILLING] - age - lowest_bit(mask)) % _RING]
    return prices[s, k, _OLDER]


@kernel
def _reference(s, k, now, at, prices):  # type: ignore[no-untyped-def]
    if at[s, k, _FILLING] == NEVER:
        return np.nan
    return _newest_at_least(s, k, _NEWEST_REFERENCE - (now - at[s, k, _FILLING]), at, prices)


@kernel
def _open(s, k, now, at, prices):  # type: ignore[no-untyped-def]
    # Move the last price into the ring; of the prices that leave the ring, keep the newest.
    passed = now - at[s, k, _FILLING]
    prices[s, k, _OLDER] = _newest_at_least(s, k, _RING - passed, at, prices)
    prices[s, k, _FIRST + at[s, k, _FILLING] % _RING] = prices[s, k, _LAST]
    at[s, k, _MASK] = (at[s, k, _MASK] | 1) << passed & _WHOLE if passed < _RING else 0
    at[s, k, _FILLING] = now


@kernel
def _return_rows(slot, kind, clock, price, bucket_ns, at, prices, out):  # type: ignore[no-untyped-def]
    n_series = bucket_ns.shape[0]
    cached = np.full((n_series, 3), np.nan)  # last price, reference and their return on the row before
    for row in range(slot.shape[0]):
        s, is_timer = np.uint64(slot[row]), kind[row] == TIMER
        is_price = kind[row] == TRADE and price[row] > 0.0 and math.isfinite(price[row])
        for k in range(n_series):
            now = bucket_of(clock[row], bucket_ns[k], at[s, k, _REFERRED])
            if not is_timer:
                if is_price:
                    if at[s, k, _FILLING] == NEVER:
                        at[s, k, _FILLING], at[s, k, _MASK] = now, 0
                    elif at[s, k, _FILLING] != now:
                        _open(s, k, now, at, prices)
                    prices[s, k, _LAST] = price[row]
                if at[s, k, _REFERRED] != now:
                    at[s, k, _REFERRED] = now
                    prices[s, k, _REFERENCE] = _reference(s, k, now, at, prices)
            is_current = at[s, k, _REFERRED] == now
            reference = prices[s, k, _REFERENCE] if is_current else _reference(s, k, now, at, prices)
            last = prices[s, k, _LAST]
            if math.isnan(reference):
                out[k, row] = np.nan
                continue
            if last != cached[k, 0] or reference != cached[k, 1]:
                cached[k, 0], cached[k, 1], cached[k, 2] = (
                    last,
                    reference,
                    1e4 * math.log(last / reference),
                )
            out[k, row] = cached[k, 2]


class _LogReturns(ValueBank):
    """Rings of the last price in each bucket, and the newest of the prices that have left the ring.

    The newest bucket enters the ring when the next one begins. A mask marks the ages with a price, as in
    `WindowSums`.
    """

    layout: ClassVar[Mapping[str, SlotColumn]] = {
        "at": SlotColumn(np.int64, NEVER, (3,)),
        "prices": SlotColumn(np.float64, np.nan, (_FIRST + _RING,)),
    }

    def __init__(self) -> None:
        super().__init__()
        self._bucket_ns = np.empty(0, np.int64)

    def add(self, window_ns: int) -> ValueSeries:
        self._bucket_ns = np.append(self._bucket_ns, window_ns // BUCKETS)
        return self._add_series()

    def step(self, rows: FeatureRows) -> None:
        self.values = np.empty((len(self._bucket_ns), len(rows)))
        _return_rows(
            rows.slot,
            rows.kind,
            rows.clock,
            rows.column("price"),
            self._bucket_ns,
            self.arrays["at"],
            self.arrays["prices"],
            self.values,
        )

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns: rings whose last price is later begin anew."""
        at, prices = self.arrays["at"][slot], self.arrays["prices"][slot]
        bucket = to // self._bucket_ns
        moved_past, referred_past = at[:, _FILLING] > bucket, at[:, _REFERRED] > bucket
        at[moved_past], prices[moved_past] = NEVER, np.nan
        at[referred_past, _REFERRED], prices[referred_past, _REFERENCE] = NEVER, np.nan


FAMILIES = (
    Family(
        stem="return_bps",
        doc="log return of the last traded price against the one the window ago, in basis points",
        unit="bps",
        shape="signed",
        fed_by=_TRADES,
        needs=frozenset({"price"}),
        build=lambda window, banks: banks.of(_LogReturns).add(window),
        version=2,
    ),
)
