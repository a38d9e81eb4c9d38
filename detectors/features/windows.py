"""Sums over sliding windows, kept as rings of buckets.

A window W is cut into 20 buckets of the instrument's clock. A row sees the bucket it falls into
and the 20 before it, so what is called W covers between W and W * (1 + 1/20). Every bucket
carries the number of its stretch of time: one left over from an earlier turn of the ring is
known by it, and nothing has to be advanced while nothing happens. The bucket that is filling is
kept beside the ring, with the sum of those before it, so that most rows touch nothing else.
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
"""What each row adds to a sum: float64[n], NaN where it adds nothing."""

VERSION = 2
"""Of every feature that rests on these sums."""

_CLOSED, _OPEN = range(2)


@njit(cache=True, nogil=True)
def _closed(s, now, ids, sums):  # type: ignore[no-untyped-def]
    total = 0.0
    position = (now - BUCKETS) % RING
    for age in range(BUCKETS, 0, -1):
        if ids[s, position] == now - age:
            total += sums[s, position]
        position += 1
        if position == RING:
            position = 0
    return total


@njit(cache=True, nogil=True)
def _put_away(s, open_id, at, ids, sums):  # type: ignore[no-untyped-def]
    position = open_id[s] % RING
    ids[s, position] = open_id[s]
    sums[s, position] = at[s, _OPEN]


@njit(cache=True, nogil=True)
def _looked_at(s, now, open_id, at, ids, sums):  # type: ignore[no-untyped-def]
    # The sum as of `now`. Putting the bucket that is filling into the ring changes no sum, and is done
    # again when it closes; but a tick leaves no trace, so what was there comes back.
    if open_id[s] == now:
        return at[s, _CLOSED] + at[s, _OPEN]
    if open_id[s] == NEVER:
        return 0.0
    position = open_id[s] % RING
    kept_id, kept_sum = ids[s, position], sums[s, position]
    _put_away(s, open_id, at, ids, sums)
    total = _closed(s, now, ids, sums)
    ids[s, position], sums[s, position] = kept_id, kept_sum
    return total


@njit(cache=True, nogil=True)
def _sum_rows(slot, clock, bucket, weight, tick, window_ns, since, open_id, at, ids, sums, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s, now = slot[row], bucket[row]
        if tick[row]:
            known = since[s] != NEVER and clock[row] - since[s] >= window_ns
            out[row] = _looked_at(s, now, open_id, at, ids, sums) if known else np.nan
            continue
        if open_id[s] != now:
            if open_id[s] == NEVER:
                since[s] = clock[row]
            else:
                _put_away(s, open_id, at, ids, sums)
            open_id[s] = now
            at[s, _CLOSED] = _closed(s, now, ids, sums)
            at[s, _OPEN] = 0.0
        if weight[row] == weight[row]:
            at[s, _OPEN] += weight[row]
        out[row] = at[s, _CLOSED] + at[s, _OPEN] if clock[row] - since[s] >= window_ns else np.nan


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
                "open_id": Column(np.int64, NEVER),
                "at": Column(np.float64, 0, (2,)),
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
            a["since"],
            a["open_id"],
            a["at"],
            a["ids"],
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
