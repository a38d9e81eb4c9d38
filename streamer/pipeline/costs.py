"""What a detector costs per event, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import KIND_NAMES, Columns

_INSTRUMENTS = 4
_WARM_UP_ROWS = 50  # compile kernels and fill the first windows
_ROWS = 500
_ROUNDS = 5
_SLOW_S = 0.5  # a model this slow on the warm-up rows is timed on as many rows, once
_SEED = 7


def cost_us(name: str, settings: DetectorSettings, clock: Callable[[], float] = time.perf_counter) -> float:
    """Microseconds that a detector takes to score one event and learn from it.

    A throwaway detector gets a few hundred synthetic rows of a few instruments; the fastest of several
    rounds counts. Features, which detectors and rules share, and rarity are not included.

    Parameters
    ----------
    name, settings
        The detector.
    clock
        Seconds; for tests.

    Raises
    ------
    detectors.models.ModelError
        When the detector cannot be built.
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

    timed(_WARM_UP_ROWS)  # compiles
    repeated = timed(_WARM_UP_ROWS)
    if repeated > _SLOW_S:
        return repeated / _WARM_UP_ROWS * 1e6
    return min(timed(_ROWS) for _ in range(_ROUNDS)) / _ROWS * 1e6


def _rows(detector: Detector, first: int, count: int) -> tuple[Columns, dict[str, NDArray[np.float64]]]:
    random = np.random.default_rng([_SEED, first])
    kind = np.full(count, min(detector.on, default=KIND_NAMES.index("trade")), np.int8)
    slot = (np.arange(first, first + count) % _INSTRUMENTS).astype(np.int32)
    clock = np.arange(first, first + count, dtype=np.int64) * 10_000_000
    fields = {name: random.lognormal(size=count) for name in sorted(detector.fields)}
    features = {name: random.normal(size=count) for name in detector.features}
    return Columns(slot, kind, clock, fields, _INSTRUMENTS), features
