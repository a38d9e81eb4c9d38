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
from collections.abc import Set as AbstractSet
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detectors.columns import KIND_NAMES, ORDER, State
from detectors.features.contract import NS, Rows
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.slots import Column, SlotArrays

Statistic = Literal["mean", "var", "sd", "z"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

ENOUGH = 30
"""Observations before a baseline is known, and the least it remembers."""

ABSURD = 1000.0
"""An observation farther than this many scales from the mean counts as one that is just so far.

The scale is the larger of the standard deviation and the mean's size.
"""

VERSION = 2

_COUNT, _LAST = range(2)
_WEIGHT, _MEAN, _M2, _LAST_Z = range(4)
_KINDS = len(KIND_NAMES)
_UNASKED = np.empty(0)


@kernel
def _left_after(before, now, horizon_s):  # type: ignore[no-untyped-def]
    return math.exp(-((now - before) / NS) / horizon_s)


@kernel
def _fade_rows(slot, kind, clock, wanted, horizon_s, last, before, left):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        before[row] = NEVER
        if wanted[row]:
            s, k = slot[row], kind[row]
            if last[s, k] != NEVER and clock[row] > last[s, k]:
                before[row] = last[s, k]
                left[row] = _left_after(last[s, k], clock[row], horizon_s)
            last[s, k] = clock[row]


class Fading:
    """What is left of an observation's weight when the next row of its kind comes, over one horizon.

    Nearly every baseline of that horizon needs the same number on a row, and an exponential costs
    more than the rest of the row. It only saves work: a baseline whose last observation was another
    one reckons for itself, so nothing of this is state.

    Parameters
    ----------
    horizon_ns
        H, after which a weight has fallen to 1/e.
    kinds
        The kinds of rows that matter.
    """

    def __init__(self, horizon_ns: int, kinds: frozenset[int]) -> None:
        self._horizon_s = horizon_ns / NS
        self._kinds = kinds
        self._arrays = SlotArrays({"last": Column(np.int64, NEVER, (_KINDS,))})

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The clock of the row's predecessor, and what is left of its weight.

        Returns
        -------
        before : int64[n]
            `NEVER` where the second number says nothing: no time has passed, or there was none.
        left : float64[n]
        """
        before, left = np.empty(len(rows), np.int64), np.empty(len(rows))
        _fade_rows(
            rows.slot,
            rows.kind,
            rows.clock,
            rows.of(self._kinds),
            self._horizon_s,
            self._arrays["last"],
            before,
            left,
        )
        return before, left


@kernel
def _taken_in(value, known, spread, left, weight, mean, m2):  # type: ignore[no-untyped-def]
    # Numbers in, numbers out: handing arrays to a function costs more than all that is done here.
    if known:
        far = ABSURD * max(spread, abs(mean))
        if far > 0.0:
            value = min(max(value, mean - far), mean + far)
    if left < 1.0 and weight > ENOUGH:
        kept = max(left, ENOUGH / weight)
        weight *= kept
        m2 *= kept
    weight += 1.0
    step = value - mean
    mean += step / weight
    return weight, mean, m2 + step * (value - mean)


@kernel
def _baseline_rows(  # type: ignore[no-untyped-def]
    cell, clock, x, feeds, tick, horizon_s, before, left, counted, at, mean, var, z
):
    for row in range(cell.shape[0]):
        c, value, now = cell[row], x[row], clock[row]
        known = counted[c, _COUNT] >= ENOUGH
        if mean.shape[0]:
            mean[row] = at[c, _MEAN] if known else np.nan
        if var.shape[0]:
            var[row] = at[c, _M2] / at[c, _WEIGHT] if known else np.nan
        if z.shape[0]:
            z[row] = at[c, _LAST_Z] if known else np.nan
        if not feeds[row] or not math.isfinite(value):
            continue
        spread = math.sqrt(at[c, _M2] / at[c, _WEIGHT]) if known else 0.0
        last_z = (value - at[c, _MEAN]) / spread if spread > 0.0 else np.nan
        if z.shape[0]:
            z[row] = last_z
        if tick[row]:
            continue
        last, still = counted[c, _LAST], 1.0
        if now > last:
            still = left[row] if before[row] == last else _left_after(last, now, horizon_s)
        at[c, _WEIGHT], at[c, _MEAN], at[c, _M2] = _taken_in(
            value, known, spread, still, at[c, _WEIGHT], at[c, _MEAN], at[c, _M2]
        )
        at[c, _LAST_Z] = last_z
        counted[c, _LAST] = now
        counted[c, _COUNT] = min(counted[c, _COUNT] + 1, ENOUGH)


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
                "counted": Column(np.int64, 0, (2,)),
                "at": Column(np.float64, 0, (4,)),
            },
            per_slot=self._lanes,
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(
        self,
        rows: Rows,
        x: NDArray[np.float64],
        fading: tuple[NDArray[np.int64], NDArray[np.float64]],
        wanted: AbstractSet[Statistic],
    ) -> dict[Statistic, NDArray[np.float64]]:
        """The statistics as of each row, before it is taken in.

        Parameters
        ----------
        rows
            The batch.
        x
            float64[n], the number; what is not finite is no observation.
        fading
            What `Fading` of the same horizon gave for the batch.
        wanted
            The statistics to give.
        """
        mean = np.empty(len(rows)) if "mean" in wanted else _UNASKED
        var = np.empty(len(rows)) if wanted & {"var", "sd"} else _UNASKED
        z = np.empty(len(rows)) if "z" in wanted else _UNASKED
        _baseline_rows(
            self._cells(rows),
            rows.clock,
            x,
            rows.of(self._feeds),
            rows.tick,
            self._horizon_s,
            *fading,
            self._arrays["counted"],
            self._arrays["at"],
            mean,
            var,
            z,
        )
        every: dict[Statistic, NDArray[np.float64]] = {"mean": mean, "var": var, "z": z}
        if "sd" in wanted:
            every["sd"] = np.sqrt(var)
        return {statistic: every[statistic] for statistic in every if statistic in wanted}

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
