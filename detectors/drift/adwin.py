"""A drift of the mean: River's ADWIN over clipped values.

ADWIN (Bifet and Gavalda, Learning from time-changing data with adaptive windowing, SDM 2007) cuts its
window of past values wherever the means before and after the cut differ by more than chance allows. Its
bound holds for values in [0, 1]; on raw heavy-tailed values it raises false alarms (2.5 per 100,000 values
of a Student t with 3 degrees of freedom). So each value is first scaled by the series' own reference
(median, median absolute deviation) and clipped at `BOUND` of those deviations.
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
from detectors.models.pickle_arena import PickleArena, pickles_in
from detectors.slot_arrays import SlotArrays, SlotColumn, StateMismatchError, is_lending

DELTA = 1e-5
"""ADWIN's bound on the probability of a false cut at any one value; the actual rate is far below."""

BOUND = 3.0
"""Where a value is clipped, in robust standard deviations from the reference's median."""

_LEAST_VALUES, _LEAST_SECONDS = 120, 600


class MeanMonitor:
    """One ADWIN for each series, started with its reference."""

    name = "mean"

    def __init__(self) -> None:
        self.version = f"mean.1[{DELTA:g},{BOUND:g}] river {version('river')}"
        self._windows: list[Any] = []
        self._arena = PickleArena()
        self._arrays = SlotArrays({"middle": SlotColumn(np.float64), "scale": SlotColumn(np.float64)})

    def needs(self, span_s: int) -> int:
        """Values in the reference; see `Monitor.needs`."""
        return max(_LEAST_VALUES, math.ceil(_LEAST_SECONDS / span_s))

    def grow(self, n_series: int) -> None:
        """Make room; see `Monitor.grow`."""
        self._arrays.grow(n_series)
        self._windows.extend([None] * (n_series - len(self._windows)))

    def start(self, series: int, reference: NDArray[np.float64], scale_floor: float) -> None:
        """Start with a new reference; see `Monitor.start`."""
        middle, scale = middle_and_scale(reference, scale_floor)
        self._arrays["middle"][series] = middle
        self._arrays["scale"][series] = scale
        self._windows[series] = window = _new_window()
        self._arena.touch(series)
        for value in reference.tolist():
            window.update(_bounded(value, middle, scale))

    def feed(self, series: int, value: float) -> Evidence | None:
        """Take the next value; see `Monitor.feed`."""
        window = self._windows[series]
        middle, scale = float(self._arrays["middle"][series]), float(self._arrays["scale"][series])
        window.update(_bounded(value, middle, scale))
        self._arena.touch(series)
        return Evidence(self.name) if window.drift_detected else None

    def forget(self, series: int) -> None:
        """Make one series as it was before `start`; see `Monitor.forget`."""
        self._windows[series] = None
        self._arena.touch(series)
        self._arrays.forget(series)

    def state(self) -> State:
        """An exact copy of the state, each window as a pickle.

        What is lent (`detectors.slot_arrays.lending`) pickles only windows that had values since the last
        time, and leaves the other pickles where they were.
        """
        if is_lending():
            self._arena.update(self._windows, pickle.dumps)
            return {**self._arrays.state(), **self._arena.state()}
        pickles = [b"" if window is None else pickle.dumps(window) for window in self._windows]
        return {
            **self._arrays.state(),
            "lengths": np.array([len(pickled) for pickled in pickles], np.int64),
            "pickles": np.frombuffer(b"".join(pickles), np.uint8).copy(),
        }

    def restore(self, state: State) -> None:
        """Continue from a copy.

        Raises
        ------
        KeyError, StateMismatchError
            When the copy is incomplete.
        """
        pickles = pickles_in(state)
        if len(pickles) != len(state["middle"]):
            raise StateMismatchError("the windows' pickles are incomplete")
        self._arrays.restore({name: state[name] for name in ("middle", "scale")})
        adwin()  # imported alone first: unpickling would import the whole package
        self._windows = [
            pickle.loads(blob.tobytes()) if len(blob) else None  # noqa: S301  # our own checkpoint
            for blob in pickles
        ]
        self._arena = PickleArena.of(state)
        self.grow(self._arrays.n_slots)


def _new_window() -> Any:
    return adwin()(delta=DELTA, clock=1)


def _bounded(value: float, middle: float, scale: float) -> float:
    scaled = (value - middle) / (2 * BOUND * scale)
    return 0.5 + min(max(scaled, -0.5), 0.5)
