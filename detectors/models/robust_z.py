"""A robust z-score: the distance of an input from its running median, in units of its running spread.

The first 64 values give an exact median and median absolute deviation (MAD); after that both are updated by
stochastic approximation (H. Robbins and S. Monro, "A stochastic approximation method", 1951), with the gain
that is optimal for a normal variable, never below 1/memory. The spread is 1.4826 MAD, as in B. Iglewicz and
D. Hoaglin, "How to detect and handle outliers" (1993), but at least a quarter of the spread that the median
of the nonzero distances gives, so that an input which is mostly constant does not make every other value
infinitely strange.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.detector_settings import DetectorSettings
from detectors.event_columns import State
from detectors.kernels import kernel
from detectors.medians import insert, middle
from detectors.models.model import READY, WARMING
from detectors.models.params import IntegerParam, integer_params
from detectors.slot_arrays import SlotArrays, SlotColumn

WARMUP = 64
"""Values of each input before the first score."""

HIGHEST = 1e6
"""Upper limit of a score: the first change of a constant input would be infinitely strange."""

PARAMS = {"memory": IntegerParam(1000, WARMUP, 1_000_000)}
"""`memory`: events over which median and spread adapt."""

_MEDIAN_GAIN = 1.858  # 1 / (2 f(median)) of a normal variable, in MADs
_MAD_GAIN = 1.166  # the same for the MAD itself
_SIGMA_PER_MAD = 1.4826
_FLOOR = 0.25
_FEW = 16  # nonzero distances to collect before anything is updated by them
_QUIET = 4.0  # steps: closer values do not move the median, so it rests beside a constant input
_LARGEST = 1e300
_MEDIAN, _MAD, _UNIT, _COLLECTED = range(4)


@kernel
def _collect(distance, first, at):  # type: ignore[no-untyped-def]
    collected = int(at[_COLLECTED])
    if distance > 0.0:
        insert(first, collected, distance)
        at[_COLLECTED] += 1.0
        at[_UNIT] = middle(first, collected + 1)


@kernel
def _settle(first, at):  # type: ignore[no-untyped-def]
    at[_MEDIAN] = middle(first, WARMUP)
    distances = np.zeros(WARMUP)
    for i in range(WARMUP):
        insert(distances, i, min(abs(first[i] - at[_MEDIAN]), _LARGEST))
    at[_MAD] = middle(distances, WARMUP)
    for i in range(WARMUP):
        _collect(distances[i], first, at)


@kernel
def _update(value, gain, first, at):  # type: ignore[no-untyped-def]
    distance = min(abs(value - at[_MEDIAN]), _LARGEST)
    if at[_COLLECTED] < _FEW:
        _collect(distance, first, at)
        return
    step = gain * at[_UNIT]
    if distance > _QUIET * step:
        at[_MEDIAN] += _MEDIAN_GAIN * step if value > at[_MEDIAN] else -_MEDIAN_GAIN * step
        at[_UNIT] += _MAD_GAIN * step if distance > at[_UNIT] else -_MAD_GAIN * step
    if distance > at[_MAD]:
        at[_MAD] += _MAD_GAIN * step
    elif distance < at[_MAD]:
        at[_MAD] = max(0.0, at[_MAD] - _MAD_GAIN * step)


@kernel
def _distance(value, at):  # type: ignore[no-untyped-def]
    distance = min(abs(value - at[_MEDIAN]), _LARGEST)
    spread = _SIGMA_PER_MAD * max(at[_MAD], _FLOOR * at[_UNIT])
    if distance == 0.0:
        return 0.0
    if spread == 0.0:
        return HIGHEST
    return min(distance / spread, HIGHEST)


@kernel
def _step_rows(slot, x, learn, memory, count, first, at, score, status):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        ready = True
        highest = np.nan
        for j in range(x.shape[1]):
            value = x[row, j]
            known = count[s, j] >= WARMUP
            ready = ready and known
            if not math.isfinite(value):
                continue
            if known:
                z = _distance(value, at[s, j])
                if not highest >= z:
                    highest = z
            if not learn[row]:
                continue
            if count[s, j] < memory:
                count[s, j] += 1
            if known:
                _update(value, 1.0 / count[s, j], first[s, j], at[s, j])
            else:
                insert(first[s, j], count[s, j] - 1, value)
                if count[s, j] == WARMUP:
                    _settle(first[s, j], at[s, j])
        score[row] = highest if ready else np.nan
        status[row] = READY if ready else WARMING


class RobustZ:
    """The largest robust z of several inputs, for every slot.

    Scores lie in [0, 1e6]. A missing input (NaN) is ignored; a row without any input has no score. A slot is
    warming until each input has been seen 64 times.

    Parameters
    ----------
    n_inputs
        How many inputs a row has.
    memory
        Events over which it adapts.
    """

    version = "RobustZ.1"

    def __init__(self, n_inputs: int, memory: int = 1000) -> None:
        self._memory = memory
        self._arrays = SlotArrays(
            {
                "count": SlotColumn(np.int64, 0, (n_inputs,)),
                "first": SlotColumn(np.float64, 0, (n_inputs, WARMUP)),
                "at": SlotColumn(np.float64, 0, (n_inputs, 4)),
            }
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(
        self,
        slot: NDArray[np.int32],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        learn: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Score each row, then learn it; see `Model.step`."""
        score, status = np.empty(len(slot)), np.empty(len(slot), np.int8)
        a = self._arrays
        _step_rows(slot, x, learn, self._memory, a["count"], a["first"], a["at"], score, status)
        return score, status

    def rebase(self, slot: int, to: int) -> None:
        """Nothing: medians and spreads have no times."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row."""
        self._arrays.forget(slot)

    def quarantined(self) -> Mapping[int, str]:
        """Always empty: this model cannot fail."""
        return {}

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._arrays.restore(state)


def build(settings: DetectorSettings) -> RobustZ:
    """Build a robust z-score as configured.

    Raises
    ------
    ModelError
        For an unknown parameter or one out of its range.
    """
    return RobustZ(len(settings.features), **integer_params(settings, PARAMS))
