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
from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import ORDER, TIMER
from detectors.features.feature_rows import NS, FeatureRows, bits_of, is_of
from detectors.features.series_banks import Bank, Part
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.series_arrays import Lanes
from detectors.slot_arrays import SlotColumn

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
_LANE, _BY_KIND, _FEEDS, _X, _HORIZON = range(5)  # of a baseline, and then where its statistics go
_AS_MEAN, _AS_VAR, _AS_SD, _AS_Z = range(5, 9)
_NOT_ASKED = -1


@kernel
def _left_after(before, now, horizon_s):  # type: ignore[no-untyped-def]
    return math.exp(-((now - before) / NS) / horizon_s)


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
def _baseline_rows(slot, kind, clock, x, baselines, horizon_s, counted, at, out):  # type: ignore[no-untyped-def]
    # Nearly all baselines of one horizon had their last observation in the same row, and an exponential
    # costs more than the rest of a row: `left` holds what was left of the last one that was asked for.
    n_horizons = horizon_s.shape[0]
    since, left = np.empty(n_horizons, np.int64), np.empty(n_horizons)
    for row in range(slot.shape[0]):
        s, now, of_kind = np.uint64(slot[row]), clock[row], np.int64(kind[row])
        for each in range(n_horizons):
            since[each] = NEVER
        for b in range(baselines.shape[0]):
            c = np.uint64(baselines[b, _LANE] + (baselines[b, _BY_KIND] & (of_kind == ORDER)))
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
            last, still = counted[s, c, _LAST], 1.0
            if now > last and weight > ENOUGH:
                h = np.uint64(baselines[b, _HORIZON])
                if since[h] != last:
                    since[h], left[h] = last, _left_after(last, now, horizon_s[h])
                still = left[h]
            at[s, c, _WEIGHT], at[s, c, _MEAN], at[s, c, _M2] = _taken_in(
                value, known, spread, still, weight, mean, m2
            )
            at[s, c, _LAST_Z] = z
            counted[s, c, _LAST] = now
            counted[s, c, _COUNT] = min(counted[s, c, _COUNT] + 1, ENOUGH)


class Baseline(Part):
    """The baseline of one number over one horizon; all four statistics come of it.

    A row is compared with what came before it, never with itself: `mean`, `var` and `z` are those
    before the row is taken in. They are NaN until 30 observations, `z` also where nothing has ever
    varied. On rows that do not feed the number, `z` is that of the last one that did.
    """

    def __init__(self, bank: Baselines, number: int, lanes: Lanes) -> None:
        super().__init__(bank, lanes)
        self._bank = bank
        self._number = number
        self._places: dict[Statistic, int] = {}

    def ask(self, statistic: Statistic) -> None:
        """Have a statistic computed on every row."""
        if statistic not in self._places:
            self._places[statistic] = self._bank.asked(self._number, statistic)

    def value(self, statistic: Statistic) -> NDArray[np.float64]:
        """A statistic that was asked for, as of each row of the batch that was stepped last, float64[n]."""
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
        """float64[statistics asked for, n], of the batch that was stepped last."""
        self._table = np.empty((0, _AS_MEAN + len(STATISTICS)), np.int64)
        self._horizons_s: list[float] = []
        self._n_asked = 0

    def add(self, horizon_ns: int, feeds: frozenset[int], x: int, *, by_kind: bool) -> Baseline:
        """Another baseline.

        Parameters
        ----------
        horizon_ns
            H, after which an observation's weight has fallen to 1/e.
        feeds
            The kinds of rows that are observations.
        x
            Which of the columns that `step` gets holds its number.
        by_kind
            Keep what orders say apart from what trades say.
        """
        lanes, horizon_s = self._add(2 if by_kind else 1), horizon_ns / NS
        if horizon_s not in self._horizons_s:
            self._horizons_s.append(horizon_s)
        number = len(self._table)
        of = [lanes.first, by_kind, bits_of(feeds), x, self._horizons_s.index(horizon_s)]
        row = np.array([[*of, *[_NOT_ASKED] * len(STATISTICS)]], np.int64)
        self._table = np.concatenate([self._table, row])
        return Baseline(self, number, lanes)

    def asked(self, number: int, statistic: Statistic) -> int:
        """Have a baseline's statistic computed; its place in `values`."""
        place, self._n_asked = self._n_asked, self._n_asked + 1
        self._table[number, _AS_MEAN + STATISTICS.index(statistic)] = place
        return place

    def step(self, rows: FeatureRows, x: NDArray[np.float64]) -> None:
        """Compute `values`: the statistics as of each row, before it is taken in.

        Parameters
        ----------
        rows
            The batch.
        x
            float64[columns, n], the numbers; what is not finite is no observation.
        """
        self.values = np.empty((self._n_asked, len(rows)))
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
