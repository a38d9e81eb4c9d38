"""Sums over sliding windows, kept as rings of buckets.

A window W is cut into 20 buckets of the instrument's clock. A row sees the bucket it falls into
and the 20 before it, so what is called W covers between W and W * (1 + 1/20). Every bucket
carries the number of its stretch of time: one left over from an earlier turn of the ring is
known by it, and nothing has to be advanced while nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.columns import State
from detectors.features.contract import Rows
from detectors.slots import Column, SlotArrays

BUCKETS = 20
"""Buckets in a window: it covers at most a twentieth more than its name says."""

RING = BUCKETS + 1
NEVER = np.iinfo(np.int64).min

Weigh = Callable[[Rows], NDArray[np.float64]]
"""What each row adds to a sum: float64[n], fresh, NaN where it adds nothing."""


@njit(cache=True, nogil=True)
def _closed(ids, sums, now):  # type: ignore[no-untyped-def]
    total = 0.0
    position = (now - BUCKETS) % RING
    for age in range(BUCKETS, 0, -1):
        if ids[position] == now - age:
            total += sums[position]
        position += 1
        if position == RING:
            position = 0
    return total


@njit(cache=True, nogil=True)
def _sum_rows(slot, clock, weight, tick, bucket_ns, ids, sums, since, closed_id, closed_sum, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        now = clock[row] // bucket_ns
        position = now % RING
        if not tick[row]:
            if since[s] == NEVER:
                since[s] = clock[row]
            if closed_id[s] != now:
                closed_id[s] = now
                closed_sum[s] = _closed(ids[s], sums[s], now)
            if weight[row] == weight[row]:
                if ids[s, position] != now:
                    ids[s, position] = now
                    sums[s, position] = 0.0
                sums[s, position] += weight[row]
        if since[s] == NEVER or clock[row] - since[s] < BUCKETS * bucket_ns:
            out[row] = np.nan
            continue
        total = closed_sum[s] if closed_id[s] == now else _closed(ids[s], sums[s], now)
        out[row] = total + sums[s, position] if ids[s, position] == now else total


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
                "ids": Column(np.int64, NEVER, (RING,)),
                "sums": Column(np.float64, 0, (RING,)),
                "since": Column(np.int64, NEVER),
                "closed_id": Column(np.int64, NEVER),
                "closed_sum": Column(np.float64),
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
            self._weigh(rows),
            rows.tick,
            self._bucket_ns,
            a["ids"],
            a["sums"],
            a["since"],
            a["closed_id"],
            a["closed_sum"],
            out,
        )
        return out

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._arrays.restore(state)
