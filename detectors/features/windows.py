"""Sums over sliding windows, kept as rings of buckets.

A window W is divided into 20 buckets of the instrument's clock. A row sums its own bucket and the 20 before
it, so a window W covers between W and W * (1 + 1/20). The bucket being filled is kept outside the ring, with
the sum of the buckets before it, so that most rows touch nothing else. A mask marks the buckets that are not
empty, so that a rarely traded instrument skips empty buckets, and nothing has to be advanced between rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import TIMER
from detectors.features.feature_rows import FeatureRows, bits_of, is_of
from detectors.features.series_banks import ValueBank, ValueSeries
from detectors.kernels import kernel
from detectors.slot_arrays import SlotColumn

BUCKETS = 20
"""Buckets in a window, which therefore covers at most a twentieth more than its name says."""

RING = BUCKETS + 1
NEVER = np.iinfo(np.int64).min

Weight = Callable[[FeatureRows], NDArray[np.float64]]
"""What each row adds to a sum, float64[n]; NaN where it adds nothing."""


@dataclass(frozen=True, slots=True)
class OneEach:
    """Each row of these kinds adds one."""

    kinds: frozenset[int]


VERSION = 2
"""Version of every feature built on these sums."""

# clock of the first row, number of the open bucket, which buckets are not empty
_SINCE, _OPEN_BUCKET, _MASK = range(3)
# sum of the 20 buckets before the open one, sum of the open one, start of the ring
_CLOSED_SUM, _OPEN_SUM, _RING = range(3)
_BUCKET_NS, _WEIGHT, _KINDS = range(3)  # of a sum: bucket length, index of its weight, kinds that it counts
_COUNTED = -1  # in place of a weight: the sum counts rows
_NOW = 1 << BUCKETS  # in the mask, bit BUCKETS is the open bucket and bit 0 the oldest
_DE_BRUIJN = 0x077CB531
_PLACES = np.array([(_DE_BRUIJN << place & 0xFFFFFFFF) >> 27 for place in range(32)]).argsort()


@kernel
def lowest_bit(mask):  # type: ignore[no-untyped-def]
    """Index of the lowest set bit, of 32 (C. Leiserson, H. Prokop and K. Randall, 1998)."""
    return _PLACES[((mask & -mask) * _DE_BRUIJN & 0xFFFFFFFF) >> 27]


@kernel
def _before(s, k, now, at, sums):  # type: ignore[no-untyped-def]
    # The sum of the 20 buckets before `now`, oldest first; changes nothing.
    passed = now - at[s, k, _OPEN_BUCKET]
    total = 0.0
    if passed > BUCKETS:
        return total
    mask = at[s, k, _MASK] >> passed
    position = (now + 1) % RING  # of the oldest bucket in the ring
    while mask & (_NOW - 1):
        place = lowest_bit(mask)
        if place == BUCKETS - passed:
            return total + sums[s, k, _OPEN_SUM]
        at_place = position + place
        total += sums[s, k, _RING + (at_place if at_place < RING else at_place - RING)]
        mask &= mask - 1
    return total


@kernel
def _open(s, k, now, at, sums):  # type: ignore[no-untyped-def]
    # Move the open bucket into the ring, and open a new one.
    sums[s, k, _CLOSED_SUM] = _before(s, k, now, at, sums)
    sums[s, k, _RING + at[s, k, _OPEN_BUCKET] % RING] = sums[s, k, _OPEN_SUM]
    passed = now - at[s, k, _OPEN_BUCKET]
    at[s, k, _MASK] = at[s, k, _MASK] >> passed if passed <= BUCKETS else 0
    at[s, k, _OPEN_BUCKET] = now
    sums[s, k, _OPEN_SUM] = 0.0


@kernel
def bucket_of(clock, bucket_ns, likely):  # type: ignore[no-untyped-def]
    """Number of the bucket that a clock falls into; if that is the likely one, without a division."""
    if likely != NEVER and 0 <= clock - likely * bucket_ns < bucket_ns:
        return likely
    return clock // bucket_ns


@kernel
def _sum_rows(slot, kind, clock, weights, table, per, at, sums, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, when, is_timer = np.uint64(slot[row]), clock[row], kind[row] == TIMER
        for k in range(table.shape[0]):
            bucket_ns, weight = table[k, _BUCKET_NS], table[k, _WEIGHT]
            now = bucket_of(when, bucket_ns, at[s, k, _OPEN_BUCKET])
            known = at[s, k, _SINCE] != NEVER and when - at[s, k, _SINCE] >= BUCKETS * bucket_ns
            total = np.nan
            if is_timer:
                if known:
                    total = _before(s, k, now, at, sums)
                    if at[s, k, _OPEN_BUCKET] == now:
                        total += sums[s, k, _OPEN_SUM]
                out[k, row] = total / per[k]
                continue
            if at[s, k, _OPEN_BUCKET] != now:
                if at[s, k, _SINCE] == NEVER:
                    at[s, k, _SINCE], at[s, k, _OPEN_BUCKET], at[s, k, _MASK] = when, now, 0
                else:
                    _open(s, k, now, at, sums)
            if weight >= 0:
                adds = weights[np.uint64(weight), row]
            else:
                adds = 1.0 if is_of(kind[row], table[k, _KINDS]) else np.nan
            if not math.isnan(adds):
                sums[s, k, _OPEN_SUM] += adds
                at[s, k, _MASK] |= _NOW
            if known:
                total = sums[s, k, _CLOSED_SUM] + sums[s, k, _OPEN_SUM]
            out[k, row] = total / per[k]


class WindowSums(ValueBank):
    """Sums of weights, each over the last W of each instrument's own clock.

    NaN until the instrument has been seen for all of W.
    """

    layout: ClassVar[Mapping[str, SlotColumn]] = {
        "at": SlotColumn(np.int64, NEVER, (3,)),
        "sums": SlotColumn(np.float64, 0, (2 + RING,)),
    }

    def __init__(self) -> None:
        super().__init__()
        self._weights: list[Weight] = []
        self._table = np.empty((0, 3), np.int64)
        self._per = np.empty(0)

    def add(self, window_ns: int, weight: Weight | OneEach, per: float = 1.0) -> ValueSeries:
        """Add a sum.

        Parameters
        ----------
        window_ns
            W, a multiple of a second.
        weigh
            What each row adds.
        per
            The divisor of the sum.
        """
        entry = window_ns // BUCKETS, self._number_of(weight), self._kinds_of(weight)
        self._table = np.concatenate([self._table, np.array([entry], np.int64)])
        self._per = np.append(self._per, per)
        return self._add_series()

    def step(self, rows: FeatureRows) -> None:
        """Compute all sums at each row, the row included."""
        weights = np.empty((len(self._weights), len(rows)))
        for number, weight in enumerate(self._weights):
            weights[number] = weight(rows)
        self.values = np.empty((len(self._table), len(rows)))
        _sum_rows(
            rows.slot,
            rows.kind,
            rows.clock,
            weights,
            self._table,
            self._per,
            self.arrays["at"],
            self.arrays["sums"],
            self.values,
        )

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns: sums whose open bucket is later begin anew."""
        at, sums = self.arrays["at"][slot], self.arrays["sums"][slot]
        moved_past = at[:, _OPEN_BUCKET] > to // self._table[:, _BUCKET_NS]
        at[moved_past], sums[moved_past] = NEVER, 0.0
        np.minimum(at[:, _SINCE], to, out=at[:, _SINCE])

    def _number_of(self, weight: Weight | OneEach) -> int:
        if isinstance(weight, OneEach):
            return _COUNTED
        if weight not in self._weights:
            self._weights.append(weight)
        return self._weights.index(weight)

    @staticmethod
    def _kinds_of(weight: Weight | OneEach) -> int:
        return bits_of(weight.kinds) if isinstance(weight, OneEach) else 0
