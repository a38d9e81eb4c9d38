"""Baselines of an instrument: exponentially weighted mean, variance and z-score.

An observation has weight 1 when it arrives and exp(-age / H) later, its age measured by the instrument's own
clock, so that several trades in one millisecond all count. Decay never takes the total weight below 30
observations: after a night of silence the first trades are still compared with yesterday's, and a rarely
traded instrument remembers further back than H.

The weighted mean and variance follow T. Finch, "Incremental calculation of weighted mean and
variance" (University of Cambridge, 2009), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import ORDER, TIMER
from detectors.features.feature_rows import FeatureRows, bits_of, is_of
from detectors.features.series_banks import Bank, Part
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.series_arrays import SeriesSpan
from detectors.slot_arrays import SlotColumn
from detectors.time_units import NS_PER_SECOND

Statistic = Literal["mean", "var", "sd", "z"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

ENOUGH = 30
"""Observations before a baseline is known, and the least total weight that decay leaves."""

ABSURD = 1000.0
"""Scales from the mean at which an observation is clipped.

The scale is the larger of the standard deviation and the mean's absolute value.
"""

VERSION = 2

_COUNT, _LAST = range(2)
_WEIGHT, _MEAN, _M2, _LAST_Z = range(4)
_SERIES, _BY_KIND, _FEEDS, _X, _HORIZON = range(5)  # a baseline's columns in the table; then its output rows
_AS_MEAN, _AS_VAR, _AS_SD, _AS_Z = range(5, 9)
_NOT_REQUESTED = -1


@kernel
def _decay(before, now, horizon_s):  # type: ignore[no-untyped-def]
    return math.exp(-((now - before) / NS_PER_SECOND) / horizon_s)


@kernel
def _updated(value, known, spread, decay, weight, mean, m2):  # type: ignore[no-untyped-def]
    # Takes and returns scalars: passing arrays costs more than the computation.
    if known:
        limit = ABSURD * max(spread, abs(mean))
        if limit > 0.0:
            value = min(max(value, mean - limit), mean + limit)
    if decay < 1.0 and weight > ENOUGH:
        factor = max(decay, ENOUGH / weight)
        weight *= factor
        m2 *= factor
    weight += 1.0
    step = value - mean
    mean += step / weight
    return weight, mean, m2 + step * (value - mean)


@kernel
def _baseline_rows(slot, kind, clock, x, baselines, horizon_s, counted, at, out):  # type: ignore[no-untyped-def]
    # An exponential costs more than the rest of a row, and nearly all baselines of one horizon had their last
    # observation in the same row: `decay` caches the last one computed for each horizon, at time `since`.
    n_horizons = horizon_s.shape[0]
    since, decay = np.empty(n_horizons, np.int64), np.empty(n_horizons)
    for row in range(slot.shape[0]):
        s, now, of_kind = np.uint64(slot[row]), clock[row], np.int64(kind[row])
        for horizon in range(n_horizons):
            since[horizon] = NEVER
        for b in range(baselines.shape[0]):
            c = np.uint64(baselines[b, _SERIES] + (baselines[b, _BY_KIND] & (of_kind == ORDER)))
            known = counted[s, c, _COUNT] >= ENOUGH
            weight, mean, m2 = at[s, c, _WEIGHT], at[s, c, _MEAN], at[s, c, _M2]
            if baselines[b, _AS_MEAN] >= 0:
                out[np.uint64(baselines[b, _AS_MEAN]), row] = mean if known else np.nan
            if baselines[b, _AS_VAR] >= 0:
                out[np.uint64(baselines[b, _AS_VAR]), row] = m2 / weight if known else np.nan
            if baselines[b, _AS_SD] >= 0:
                out[np.uint64(baselines[b, _AS_SD]), row] = math.sqrt(m2 / weight) if known else np.nan
            if baselines[b, _AS_Z] >= 0:
                out[np.uint64(baselines[b, _AS_Z]), row] = at[s, c, _LAST_Z] if known else np.nan
            if not is_of(of_kind, baselines[b, _FEEDS]):
                continue
            value = x[np.uint64(baselines[b, _X]), row]
            if not math.isfinite(value):
                continue
            spread = math.sqrt(m2 / weight) if known else 0.0
            z = (value - mean) / spread if spread > 0.0 else np.nan
            if baselines[b, _AS_Z] >= 0:
                out[np.uint64(baselines[b, _AS_Z]), row] = z
            if of_kind == TIMER:
                continue
            last, remaining = counted[s, c, _LAST], 1.0
            if now > last and weight > ENOUGH:
                h = np.uint64(baselines[b, _HORIZON])
                if since[h] != last:
                    since[h], decay[h] = last, _decay(last, now, horizon_s[h])
                remaining = decay[h]
            at[s, c, _WEIGHT], at[s, c, _MEAN], at[s, c, _M2] = _updated(
                value, known, spread, remaining, weight, mean, m2
            )
            at[s, c, _LAST_Z] = z
            counted[s, c, _LAST] = now
            counted[s, c, _COUNT] = min(counted[s, c, _COUNT] + 1, ENOUGH)


class Baseline(Part):
    """The baseline of one number over one horizon, with all four statistics.

    A row is compared with earlier rows, never with itself: `mean`, `var` and `z` are computed before the row
    is learnt. They are NaN before 30 observations, `z` also while the variance is zero. On rows that are not
    observations, `z` is that of the last observation.
    """

    def __init__(self, bank: Baselines, number: int, span: SeriesSpan) -> None:
        super().__init__(bank, span)
        self._bank = bank
        self._number = number
        self._places: dict[Statistic, int] = {}

    def request(self, statistic: Statistic) -> None:
        """Request a statistic, to be computed on every row."""
        if statistic not in self._places:
            self._places[statistic] = self._bank.request(self._number, statistic)

    def value(self, statistic: Statistic) -> NDArray[np.float64]:
        """A requested statistic at each row of the last batch stepped, float64[n]."""
        return np.asarray(self._bank.values[self._places[statistic]])


class Baselines(Bank):
    """All baselines of a feature set."""

    layout: ClassVar[Mapping[str, SlotColumn]] = {
        "counted": SlotColumn(np.int64, 0, (2,)),
        "at": SlotColumn(np.float64, 0, (4,)),
    }

    def __init__(self) -> None:
        super().__init__()
        self.values: NDArray[np.float64] = np.empty((0, 0))
        """float64[requested statistics, n], of the last batch stepped."""
        self._table = np.empty((0, _AS_MEAN + len(STATISTICS)), np.int64)
        self._horizons_s: list[float] = []
        self._n_requested = 0

    def add(self, horizon_ns: int, feeds: frozenset[int], x: int, *, by_kind: bool) -> Baseline:
        """Add a baseline.

        Parameters
        ----------
        horizon_ns
            H, after which an observation's weight has fallen to 1/e.
        feeds
            The kinds of rows that are observations.
        x
            Index of its number among the columns that `step` takes.
        by_kind
            Keep separate baselines for orders and for all other kinds.
        """
        span, horizon_s = self._add(2 if by_kind else 1), horizon_ns / NS_PER_SECOND
        if horizon_s not in self._horizons_s:
            self._horizons_s.append(horizon_s)
        number = len(self._table)
        of = [span.first, by_kind, bits_of(feeds), x, self._horizons_s.index(horizon_s)]
        row = np.array([[*of, *[_NOT_REQUESTED] * len(STATISTICS)]], np.int64)
        self._table = np.concatenate([self._table, row])
        return Baseline(self, number, span)

    def request(self, number: int, statistic: Statistic) -> int:
        """Request a baseline's statistic; returns its row in `values`."""
        place, self._n_requested = self._n_requested, self._n_requested + 1
        self._table[number, _AS_MEAN + STATISTICS.index(statistic)] = place
        return place

    def step(self, rows: FeatureRows, x: NDArray[np.float64]) -> None:
        """Compute `values`: the statistics at each row, before it is learnt.

        Parameters
        ----------
        rows
            The batch.
        x
            float64[columns, n], the numbers; those that are not finite are no observations.
        """
        self.values = np.empty((self._n_requested, len(rows)))
        if not len(self._table):
            return
        _baseline_rows(
            rows.slot,
            rows.kind,
            rows.clock,
            x,
            self._table,
            np.array(self._horizons_s),
            self.arrays["counted"],
            self.arrays["at"],
            self.values,
        )

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns: last observations are no later, and what was learnt stays."""
        last = self.arrays["counted"][slot, :, _LAST]
        np.minimum(last, to, out=last)
