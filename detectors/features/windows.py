"""Sums over sliding windows, kept as rings of buckets.

A window W is cut into 20 buckets of the instrument's clock. A row sees the bucket it falls into
and the 20 before it, so what is called W covers between W and W * (1 + 1/20). The bucket that is
filling is kept beside the ring, with the sum of those before it, so that most rows touch nothing
else; a mask says how many buckets ago there was something, so that an instrument which is seldom
heard of does not look at buckets in which nothing was, and nothing has to be advanced meanwhile.
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
from detectors.features.series_banks import Lane, ValueBank
from detectors.kernels import kernel
from detectors.slot_arrays import SlotColumn

BUCKETS = 20
"""Buckets in a window: it covers at most a twentieth more than its name says."""

RING = BUCKETS + 1
NEVER = np.iinfo(np.int64).min

Weigh = Callable[[FeatureRows], NDArray[np.float64]]
"""What each row adds to a sum: float64[n], NaN where it adds nothing."""


@dataclass(frozen=True, slots=True)
class OneEach:
    """Each row of these kinds adds one."""

    kinds: frozenset[int]


VERSION = 2
"""Of every feature that rests on these sums."""

_SINCE, _FILLING, _MASK = range(3)  # clock of the first row, number of the bucket that is filling
_CLOSED, _OPEN, _RING = range(3)  # the sum before that bucket, its own, and where the ring begins
_BUCKET_NS, _WEIGHT, _KINDS = range(3)  # of a lane: its bucket, the weight it adds up, or kinds
_COUNTED = -1  # the weight of a lane that adds up ones
_NOW = 1 << BUCKETS  # in the mask, bit BUCKETS is the bucket that is filling and bit 0 the oldest
_DE_BRUIJN = 0x077CB531
_PLACES = np.array([(_DE_BRUIJN << place & 0xFFFFFFFF) >> 27 for place in range(32)]).argsort()


@kernel
def lowest_bit(mask):  # type: ignore[no-untyped-def]
    """The place of the lowest bit that is set, of 32 (C. Leiserson, H. Prokop and K. Randall, 1998)."""
    return _PLACES[((mask & -mask) * _DE_BRUIJN & 0xFFFFFFFF) >> 27]


@kernel
def _before(s, k, now, at, sums):  # type: ignore[no-untyped-def]
    # The sum of the 20 buckets before `now`, oldest first; nothing is moved.
    passed = now - at[s, k, _FILLING]
    total = 0.0
    if passed > BUCKETS:
        return total
    mask = at[s, k, _MASK] >> passed
    position = (now + 1) % RING  # that of the oldest; the next ones follow
    while mask & (_NOW - 1):
        place = lowest_bit(mask)
        if place == BUCKETS - passed:
            return total + sums[s, k, _OPEN]
        at_place = position + place
        total += sums[s, k, _RING + (at_place if at_place < RING else at_place - RING)]
        mask &= mask - 1
    return total


@kernel
def _open(s, k, now, at, sums):  # type: ignore[no-untyped-def]
    # Put the bucket that was filling into the ring, and begin a new one.
    sums[s, k, _CLOSED] = _before(s, k, now, at, sums)
    sums[s, k, _RING + at[s, k, _FILLING] % RING] = sums[s, k, _OPEN]
    passed = now - at[s, k, _FILLING]
    at[s, k, _MASK] = at[s, k, _MASK] >> passed if passed <= BUCKETS else 0
    at[s, k, _FILLING] = now
    sums[s, k, _OPEN] = 0.0


@kernel
def bucket_of(clock, bucket_ns, likely):  # type: ignore[no-untyped-def]
    """Which stretch of `bucket_ns` a clock is in; the one that it probably is in costs no division."""
    if likely != NEVER and 0 <= clock - likely * bucket_ns < bucket_ns:
        return likely
    return clock // bucket_ns


@kernel
def _sum_rows(slot, kind, clock, weights, lanes, per, at, sums, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, when, timer = np.uint64(slot[row]), clock[row], kind[row] == TIMER
        for k in range(lanes.shape[0]):
            bucket_ns, weight = lanes[k, _BUCKET_NS], lanes[k, _WEIGHT]
            now = bucket_of(when, bucket_ns, at[s, k, _FILLING])
            known = at[s, k, _SINCE] != NEVER and when - at[s, k, _SINCE] >= BUCKETS * bucket_ns
            found = np.nan
            if timer:
                if known:
                    found = _before(s, k, now, at, sums)
                    if at[s, k, _FILLING] == now:
                        found += sums[s, k, _OPEN]
                out[k, row] = found / per[k]
                continue
            if at[s, k, _FILLING] != now:
                if at[s, k, _SINCE] == NEVER:
                    at[s, k, _SINCE], at[s, k, _FILLING], at[s, k, _MASK] = when, now, 0
                else:
                    _open(s, k, now, at, sums)
            if weight >= 0:
                adds = weights[np.uint64(weight), row]
            else:
                adds = 1.0 if is_of(kind[row], lanes[k, _KINDS]) else np.nan
            if not math.isnan(adds):
                sums[s, k, _OPEN] += adds
                at[s, k, _MASK] |= _NOW
            if known:
                found = sums[s, k, _CLOSED] + sums[s, k, _OPEN]
            out[k, row] = found / per[k]


class WindowSums(ValueBank):
    """Sums of weights, each over the last W of each instrument's own clock.

    NaN until the instrument has been seen for all of W: what a window holds is not known before.
    """

    layout: ClassVar[Mapping[str, SlotColumn]] = {
        "at": SlotColumn(np.int64, NEVER, (3,)),
        "sums": SlotColumn(np.float64, 0, (2 + RING,)),
    }

    def __init__(self) -> None:
        super().__init__()
        self._weighs: list[Weigh] = []
        self._lanes = np.empty((0, 3), np.int64)
        self._per = np.empty(0)

    def add(self, window_ns: int, weigh: Weigh | OneEach, per: float = 1.0) -> Lane:
        """Another sum.

        Parameters
        ----------
        window_ns
            W, a whole number of seconds.
        weigh
            What each row adds.
        per
            What the sum is divided by in the end.
        """
        lane = window_ns // BUCKETS, self._number_of(weigh), self._kinds_of(weigh)
        self._lanes = np.concatenate([self._lanes, np.array([lane], np.int64)])
        self._per = np.append(self._per, per)
        return self._lane()

    def step(self, rows: FeatureRows) -> None:
        """Compute all sums as of each row, the row included."""
        weights = np.empty((len(self._weighs), len(rows)))
        for number, weigh in enumerate(self._weighs):
            weights[number] = weigh(rows)
        self.values = np.empty((len(self._lanes), len(rows)))
        _sum_rows(
            rows.slot,
            rows.kind,
            rows.clock,
            weights,
            self._lanes,
            self._per,
            self.arrays["at"],
            self.arrays["sums"],
            self.values,
        )

    def _number_of(self, weigh: Weigh | OneEach) -> int:
        if isinstance(weigh, OneEach):
            return _COUNTED
        if weigh not in self._weighs:
            self._weighs.append(weigh)
        return self._weighs.index(weigh)

    @staticmethod
    def _kinds_of(weigh: Weigh | OneEach) -> int:
        return bits_of(weigh.kinds) if isinstance(weigh, OneEach) else 0
