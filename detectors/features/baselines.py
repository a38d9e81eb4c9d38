"""What is usual for an instrument: exponentially weighted mean, variance and z.

Every observation weighs one when it comes and exp(-age / H) later, age by the instrument's own
clock, so that several trades of one millisecond all count. The decay never takes the memory
below 30 observations' worth: after a night of silence the first trades are still compared with
yesterday's, and a seldom traded instrument remembers further back than H.

The weighted mean and variance follow T. Finch, "Incremental calculation of weighted mean and
variance" (University of Cambridge, 2009), section 4.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.columns import ORDER, State
from detectors.features.contract import NS, Rows
from detectors.features.windows import NEVER
from detectors.slots import Column, SlotArrays

Statistic = Literal["mean", "var", "sd", "z"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

ENOUGH = 30
"""Observations before a baseline is known, and the least it remembers."""

ABSURD = 1000.0
"""An observation farther than this many scales from the mean counts as one that is just so far.

The scale is the larger of the standard deviation and the mean's size.
"""

VERSION = 1


@njit(cache=True, nogil=True)
def _baseline_rows(cell, clock, x, feeds, tick, horizon_s, count, weight, mean, m2, last, last_z, out):  # type: ignore[no-untyped-def]
    for row in range(cell.shape[0]):
        c = cell[row]
        known = count[c] >= ENOUGH
        spread = 0.0
        out[0, row] = np.nan
        out[1, row] = np.nan
        if known:
            out[0, row] = mean[c]
            out[1, row] = m2[c] / weight[c]
            spread = math.sqrt(out[1, row])
        out[2, row] = last_z[c]
        if not feeds[row] or not math.isfinite(x[row]):
            continue
        out[2, row] = (x[row] - mean[c]) / spread if spread > 0.0 else np.nan
        if tick[row]:
            continue
        last_z[c] = out[2, row]
        value = x[row]
        if known:
            far = ABSURD * max(spread, abs(mean[c]))
            if far > 0.0:
                value = min(max(value, mean[c] - far), mean[c] + far)
        if last[c] != NEVER and clock[row] > last[c] and weight[c] > ENOUGH:
            kept = max(math.exp(-((clock[row] - last[c]) / NS) / horizon_s), ENOUGH / weight[c])
            weight[c] *= kept
            m2[c] *= kept
        last[c] = clock[row]
        count[c] = min(count[c] + 1, ENOUGH)
        weight[c] += 1.0
        step = value - mean[c]
        mean[c] += step / weight[c]
        m2[c] += step * (value - mean[c])


class Baseline:
    """The baseline of one number over one horizon; all four statistics come of it.

    A row is compared with what came before it, never with itself: `mean`, `var` and `z` are those
    before the row is taken in. They are NaN until 30 observations, `z` also where nothing has ever
    varied. On rows that do not feed the number, `z` is that of the last one that did.

    Parameters
    ----------
    horizon_ns
        H, after which an observation's weight has fallen to 1/e.
    feeds
        The kinds of rows that are observations.
    by_kind
        Keep what orders say apart from what trades say.
    """

    def __init__(self, horizon_ns: int, feeds: frozenset[int], by_kind: bool) -> None:
        self._horizon_s = horizon_ns / NS
        self._feeds = feeds
        self._lanes = 2 if by_kind else 1
        self._arrays = SlotArrays(
            {
                "count": Column(np.int64),
                "weight": Column(np.float64),
                "mean": Column(np.float64),
                "m2": Column(np.float64),
                "last": Column(np.int64, NEVER),
                "last_z": Column(np.float64, np.nan),
            },
            per_slot=self._lanes,
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(self, rows: Rows, x: NDArray[np.float64]) -> dict[Statistic, NDArray[np.float64]]:
        """The statistics as of each row, before it is taken in.

        Parameters
        ----------
        rows
            The batch.
        x
            float64[n], the number; what is not finite is no observation.
        """
        a = self._arrays
        out = np.empty((3, len(rows)))
        _baseline_rows(
            self._cells(rows),
            rows.clock,
            x,
            rows.of(self._feeds),
            rows.tick,
            self._horizon_s,
            a["count"],
            a["weight"],
            a["mean"],
            a["m2"],
            a["last"],
            a["last_z"],
            out,
        )
        return {"mean": out[0], "var": out[1], "sd": np.sqrt(out[1]), "z": out[2]}

    def _cells(self, rows: Rows) -> NDArray[np.int32]:
        if self._lanes == 1:
            return rows.slot
        return np.asarray(rows.slot * 2 + (rows.kind == ORDER), np.int32)

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._arrays.restore(state)
