"""A drift of the distribution: the population stability index of the latest values against a reference.

The reference is binned at its deciles. With p and q the shares of the reference and of the latest values in
each bin, PSI = sum of (q - p) ln(q / p). If nothing has changed and values are independent, it is distributed
as (1/N + 1/M) times a chi-squared variable with one degree of freedom less than bins (Yurdakul and Naranjo,
Statistical properties of the population stability index, Journal of Risk Model Validation 14(4), 2020). A
drift is a PSI above both `MAJOR`, the usual threshold of a major shift, and the value that a test without
any change exceeds with probability `FALSE_ALARM`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.drift.monitor import MOST_VALUES, Evidence
from detectors.event_columns import State
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

REFERENCE, WINDOW, EVERY = MOST_VALUES, 300, 30
"""Values in the reference, values in the window of the latest, and values between two tests."""

MAJOR = 0.25
"""The least index that counts as a drift."""

FALSE_ALARM = 1e-6
"""Probability that one test of independent values exceeds the threshold although nothing has changed."""

_BINS = 10
_FALSE_ALARM_Z = 4.753424  # the normal deviate exceeded with probability FALSE_ALARM
_HALF = 0.5  # added to each count, so that an empty bin has a finite logarithm


@kernel
def _index(values, edges, n_edges, reference):  # type: ignore[no-untyped-def]
    counts = np.full(n_edges + 1, _HALF)
    for i in range(values.shape[0]):
        b = 0
        while b < n_edges and values[i] > edges[b]:
            b += 1
        counts[b] += 1.0
    total, total_reference = 0.0, 0.0
    for b in range(n_edges + 1):
        total += counts[b]
        total_reference += reference[b] + _HALF
    psi = 0.0
    for b in range(n_edges + 1):
        q = counts[b] / total
        p = (reference[b] + _HALF) / total_reference
        psi += (q - p) * math.log(q / p)
    return psi


class DistributionMonitor:
    """Deciles of each series' reference, and its latest values in a ring."""

    name = "distribution"
    version = f"distribution.1[{REFERENCE},{WINDOW},{EVERY},{MAJOR:g},{FALSE_ALARM:g}]"

    def __init__(self) -> None:
        self._arrays = SlotArrays(
            {
                "edges": SlotColumn(np.float64, np.nan, (_BINS - 1,)),
                "counts": SlotColumn(np.float64, 0, (_BINS,)),
                "n_edges": SlotColumn(np.int64),
                "recent": SlotColumn(np.float64, np.nan, (WINDOW,)),
                "seen": SlotColumn(np.int64),
            }
        )

    def needs(self, span_s: int) -> int:
        """Values in the reference; see `Monitor.needs`."""
        return REFERENCE

    def grow(self, n_series: int) -> None:
        """Make room; see `Monitor.grow`."""
        self._arrays.grow(n_series)

    def start(self, series: int, reference: NDArray[np.float64], scale_floor: float) -> None:
        """Start with a new reference; see `Monitor.start`."""
        # edges are values of the reference, so that tied values all fall into one bin
        ordered = np.sort(reference)
        deciles = ordered[np.arange(1, _BINS) * len(ordered) // _BINS]
        edges = np.unique(deciles)
        arrays = self._arrays
        arrays["edges"][series] = np.nan
        arrays["edges"][series, : len(edges)] = edges
        arrays["n_edges"][series] = len(edges)
        arrays["counts"][series] = np.bincount(np.searchsorted(edges, reference), minlength=_BINS)
        arrays["recent"][series] = np.nan
        arrays["seen"][series] = 0

    def feed(self, series: int, value: float) -> Evidence | None:
        """Take the next value; see `Monitor.feed`."""
        arrays = self._arrays
        seen = int(arrays["seen"][series])
        arrays["recent"][series, seen % WINDOW] = value
        arrays["seen"][series] = seen + 1
        if seen + 1 < WINDOW or (seen + 1) % EVERY:
            return None
        n_edges = int(arrays["n_edges"][series])
        psi = float(
            _index(arrays["recent"][series], arrays["edges"][series], n_edges, arrays["counts"][series])
        )
        threshold = max(MAJOR, false_alarm_threshold(n_edges))
        return Evidence(self.name, psi, threshold) if psi > threshold else None

    def forget(self, series: int) -> None:
        """Make one series as it was before `start`; see `Monitor.forget`."""
        self._arrays.forget(series)

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._arrays.restore(state)


def false_alarm_threshold(degrees: int) -> float:
    """The index that one test of independent values exceeds with probability `FALSE_ALARM`.

    Uses the Wilson-Hilferty approximation of the chi-squared distribution, which this deep in the tail lies
    above the exact quantile: by 3 % for 9 degrees of freedom, by 15 % for 1.

    Parameters
    ----------
    degrees
        Degrees of freedom: bins less one, at least 1.

    Examples
    --------
    >>> round(false_alarm_threshold(9), 3)
    0.23
    """
    spread = 2 / (9 * degrees)
    chi_squared = degrees * (1 - spread + _FALSE_ALARM_Z * math.sqrt(spread)) ** 3
    return chi_squared * (1 / REFERENCE + 1 / WINDOW)
