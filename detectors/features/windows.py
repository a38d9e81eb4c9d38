"""Sums over sliding windows, kept as rings of buckets.

A window W is cut into 20 buckets of the instrument's clock. A row sees the bucket it falls into
and the 20 before it, so what is called W covers between W and W * (1 + 1/20). The bucket that is
filling is kept beside the ring, with the sum of those before it, so that most rows touch nothing
else; a mask says how many buckets ago there was something, so that an instrument which is seldom
heard of does not look at buckets in which nothing was, and nothing has to be advanced meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.columns import State
from detectors.features.contract import Rows
from detectors.kernels import kernel
from detectors.slots import Column, SlotArrays

BUCKETS = 20
"""Buckets in a window: it covers at most a twentieth more than its name says."""

RING = BUCKETS + 1
NEVER = np.iinfo(np.int64).min

Weigh = Callable[[Rows], NDArray[np.float64]]
"""What each row adds to a sum: float64[n], NaN where it adds nothing."""

VERSION = 2
"""Of every feature that rests on these sums."""

_SINCE, _FILLING, _MASK = range(3)  # clock of the first row, number of the bucket that is filling
_CLOSED, _OPEN, _RING = range(3)  # the sum before that bucket, its own, and where the ring begins
_NOW = 1 << BUCKETS  # in the mask, bit BUCKETS is the bucket that is filling and bit 0 the oldest
_DE_BRUIJN = 0x077CB531
_PLACES = np.array([(_DE_BRUIJN << place & 0xFFFFFFFF) >> 27 for place in range(32)]).argsort()


@kernel
def lowest_bit(mask):  # type: ignore[no-untyped-def]
    """The place of the lowest bit that is set, of 32 (C. Leiserson, H. Prokop and K. Randall, 1998)."""
    return _PLACES[((mask & -mask) * _DE_BRUIJN & 0xFFFFFFFF) >> 27]


@kernel
def _before(s, now, at, sums):  # type: ignore[no-untyped-def]
    # The sum of the 20 buckets before `now`, oldest first; nothing is moved.
    passed = now - at[s, _FILLING]
    total = 0.0
    if passed > BUCKETS:
        return total
    mask = at[s, _MASK] >> passed
    position = (now + 1) % RING  # that of the oldest; the next ones follow
    while mask & (_NOW - 1):
        place = lowest_bit(mask)
        if place == BUCKETS - passed:
            return total + sums[s, _OPEN]
        at_place = position + place
        total += sums[s, _RING + (at_place if at_place < RING else at_place - RING)]
        mask &= mask - 1
    return total


@kernel
def _open(s, now, at, sums):  # type: ignore[no-untyped-def]
    # Put the bucket that was filling into the ring, and begin a new one.
    sums[s, _CLOSED] = _before(s, now, at, sums)
    sums[s, _RING + at[s, _FILLING] % RING] = sums[s, _OPEN]
    passed = now - at[s, _FILLING]
    at[s, _MASK] = at[s, _MASK] >> passed if passed <= BUCKETS else 0
    at[s, _FILLING] = now
    sums[s, _OPEN] = 0.0


@kernel
def _sum_rows(slot, clock, bucket, weight, tick, window_ns, at, sums, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, now = slot[row], bucket[row]
        known = at[s, _SINCE] != NEVER and clock[row] - at[s, _SINCE] >= window_ns
        out[row] = np.nan
        if tick[row]:
            if known:
                out[row] = _before(s, now, at, sums)
                if at[s, _FILLING] == now:
                    out[row] += sums[s, _OPEN]
            continue
        if at[s, _FILLING] != now:
            if at[s, _SINCE] == NEVER:
                at[s, _SINCE], at[s, _FILLING], at[s, _MASK] = clock[row], now, 0
            else:
                _open(s, now, at, sums)
        if weight[row] == weight[row]:
            sums[s, _OPEN] += weight[row]
            at[s, _MASK] |= _NOW
        if known:
            out[row] = sums[s, _CLOSED] + sums[s, _OPEN]


class WindowSum:
    """The sum of a weight over the last W of each instrument's own clock.

    NaN until the instrument has been seen for all of W: what a window holds is not known before.

    Parameters
    ----------
    window_ns
        W, a whole number of seconds.
    weigh
        What each row adds.
    """

    def __init__(self, window_ns: int, weigh: Weigh) -> None:
        self._bucket_ns = window_ns // BUCKETS
        self._weigh = weigh
        self._arrays = SlotArrays(
            {
                "at": Column(np.int64, NEVER, (3,)),
                "sums": Column(np.float64, 0, (2 + RING,)),
            }
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        """The sum as of each row, this row included."""
        out = np.empty(len(rows))
        a = self._arrays
        _sum_rows(
            rows.slot,
            rows.clock,
            rows.bucket(self._bucket_ns),
            self._weigh(rows),
            rows.tick,
            BUCKETS * self._bucket_ns,
            a["at"],
            a["sums"],
            out,
        )
        return out

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._arrays.restore(state)
