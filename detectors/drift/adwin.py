"""A drift of the mean: River's ADWIN over values that have been bounded.

ADWIN (Bifet and Gavalda, Learning from time-changing data with adaptive windowing, SDM 2007) cuts a
window of the past wherever the means before and after the cut differ by more than chance allows. Its
bound holds for values in [0, 1]; on heavy tails as they are it cries wolf (2.5 times per 100,000 values
of a Student t with 3 degrees of freedom). So each value is first put on the scale of the series' own
reference (median, median absolute deviation) and cut at `BOUND` of those.
"""

from __future__ import annotations

import math
import pickle
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.drift.monitor import Evidence
from detectors.drift.river_adwin import adwin
from detectors.drift.robust_scale import middle_and_scale
from detectors.event_columns import State
from detectors.slot_arrays import SlotArrays, SlotColumn, StateMismatchError

DELTA = 1e-5
"""The chance of a false cut at any one value that ADWIN's theorem allows; what happens is far below."""

BOUND = 3.0
"""Where a value is cut, in robust standard deviations from the reference's median."""

_LEAST_VALUES, _LEAST_SECONDS = 120, 600


class MeanMonitor:
    """One ADWIN for each series, each from its reference on."""

    name = "mean"

    def __init__(self) -> None:
        self.version = f"mean.1[{DELTA:g},{BOUND:g}] river {version('river')}"
        self._windows: list[Any] = []
        self._arrays = SlotArrays({"middle": SlotColumn(np.float64), "scale": SlotColumn(np.float64)})

    def needs(self, span_s: int) -> int:
        """How many values the reference takes; see `Monitor.needs`."""
        return max(_LEAST_VALUES, math.ceil(_LEAST_SECONDS / span_s))

    def grow(self, n_series: int) -> None:
        """Make room; see `Monitor.grow`."""
        self._arrays.grow(n_series)
        self._windows.extend([None] * (n_series - len(self._windows)))

    def start(self, series: int, reference: NDArray[np.float64], scale_floor: float) -> None:
        """Begin anew; see `Monitor.start`."""
        middle, scale = middle_and_scale(reference, scale_floor)
        self._arrays["middle"][series] = middle
        self._arrays["scale"][series] = scale
        self._windows[series] = window = _new_window()
        for value in reference.tolist():
            window.update(_bounded(value, middle, scale))

    def feed(self, series: int, value: float) -> Evidence | None:
        """Take a value; see `Monitor.feed`."""
        window = self._windows[series]
        middle, scale = float(self._arrays["middle"][series]), float(self._arrays["scale"][series])
        window.update(_bounded(value, middle, scale))
        return Evidence(self.name) if window.drift_detected else None

    def state(self) -> State:
        """An exact copy of the state, each window as a pickle."""
        pickles = [b"" if window is None else pickle.dumps(window) for window in self._windows]
        return {
            **self._arrays.state(),
            "lengths": np.array([len(blob) for blob in pickles], np.int64),
            "pickles": np.frombuffer(b"".join(pickles), np.uint8).copy(),
        }

    def restore(self, state: State) -> None:
        """Go on from a copy.

        Raises
        ------
        KeyError, StateMismatchError
            When the copy is not whole.
        """
        ends = np.cumsum(state["lengths"].astype(np.int64)).tolist()
        blobs = state["pickles"].tobytes()
        if len(ends) != len(state["middle"]) or (ends[-1] if ends else 0) != len(blobs):
            raise StateMismatchError("the windows' pickles are not whole")
        self._arrays.restore({name: state[name] for name in ("middle", "scale")})
        starts = [0, *ends[:-1]]
        adwin()  # else a pickle would load all of its package
        self._windows = [
            pickle.loads(blobs[start:end]) if end > start else None  # noqa: S301  # our own checkpoint
            for start, end in zip(starts, ends, strict=True)
        ]
        self.grow(self._arrays.n_slots)


def _new_window() -> Any:
    return adwin()(delta=DELTA, clock=1)


def _bounded(value: float, middle: float, scale: float) -> float:
    place = (value - middle) / (2 * BOUND * scale)
    return 0.5 + min(max(place, -0.5), 0.5)
