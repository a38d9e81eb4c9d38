"""What a detector costs an event, measured here and now."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import KIND_NAMES, Columns

_INSTRUMENTS = 4
_FIRST = 50  # rows that compile kernels and fill the first windows
_ROWS = 500
_ROUNDS = 5
_LONG_S = 0.5  # a model that takes so long for the first rows is timed by no more than those again
_SEED = 7


def cost_us(name: str, settings: DetectorSettings, clock: Callable[[], float] = time.perf_counter) -> float:
    """Microseconds that a detector takes to score one event and learn from it.

    A throw-away detector is given some hundred synthetic rows of a few instruments, and the quickest of
    several rounds counts. Features, which detectors and rules share, and rarity are not in it.

    Parameters
    ----------
    name, settings
        The detector.
    clock
        Seconds, for measuring.

    Raises
    ------
    detectors.models.ModelError
        When it cannot be made.
    """
    detector = Detector(name, settings)
    detector.grow(_INSTRUMENTS)
    at = 0

    def timed(rows: int) -> float:
        nonlocal at
        columns, features = _rows(detector, at, rows)
        at += rows
        began = clock()
        detector.step(columns, features)
        return clock() - began

    timed(_FIRST)  # compiles
    again = timed(_FIRST)
    if again > _LONG_S:
        return again / _FIRST * 1e6
    return min(timed(_ROWS) for _ in range(_ROUNDS)) / _ROWS * 1e6


def _rows(detector: Detector, first: int, count: int) -> tuple[Columns, dict[str, NDArray[np.float64]]]:
    chance = np.random.default_rng([_SEED, first])
    kind = np.full(count, min(detector.on, default=KIND_NAMES.index("trade")), np.int8)
    slot = (np.arange(first, first + count) % _INSTRUMENTS).astype(np.int32)
    clock = np.arange(first, first + count, dtype=np.int64) * 10_000_000
    fields = {name: chance.lognormal(size=count) for name in sorted(detector.fields)}
    features = {name: chance.normal(size=count) for name in detector.features}
    return Columns(slot, kind, clock, fields, _INSTRUMENTS), features
