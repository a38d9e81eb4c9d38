"""Corrected tail probabilities: knots from 3 in 100 to 1 in 100,000, of the instrument and of the pool."""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.calibrator import SMALLEST_PROBABILITY
from detectors.calibration.controllers import corrected, decay, observe, place_bounds
from detectors.calibration.rank_rings import TAIL
from detectors.kernels import kernel

PROBABILITY_KNOTS = 8
_PROBABILITIES = TAIL * 10.0 ** (-0.5 * np.arange(1, PROBABILITY_KNOTS + 1))
_DEPTHS = -np.log(_PROBABILITIES)
_OWN_GAINS = 0.09 * (_PROBABILITIES / 1e-3) ** -0.25
_POOL_GAIN = 0.02
_FIRST = 2.0  # exceedances that a new controller counts as already seen: its first steps are no larger
_LOWEST, _HIGHEST = -2.0, 4.0
_ANCHOR = -math.log(TAIL)
_DEEPEST = -math.log(SMALLEST_PROBABILITY)


@kernel
def _depth(probability):  # type: ignore[no-untyped-def]
    return _DEEPEST if probability <= SMALLEST_PROBABILITY else -math.log(probability)


@kernel
def decay_probabilities(scores, own_scores, pool_scores, own, pooled):  # type: ignore[no-untyped-def]
    """Decay the corrections by the scores since the last call, of the instrument and of the pool.

    `scores` holds the total number of scores, the instrument's and the pool's.
    """
    for j in range(PROBABILITY_KNOTS):
        knot = _PROBABILITIES[j]
        gain = max(1.0 / (_FIRST + scores[0] * knot), _OWN_GAINS[j])
        own[j] = decay(own[j], gain, knot * own_scores, _LOWEST)
        gain = max(1.0 / (_FIRST + scores[1] * knot), _POOL_GAIN)
        pooled[j] = decay(pooled[j], gain, knot * pool_scores, _LOWEST)


@kernel
def corrected_probabilities(probability, smoothed, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """A tail probability and its smoothed variant, corrected."""
    place_bounds(_ANCHOR, _DEPTHS, own, pooled, bounds)
    depth = corrected(_depth(probability), _ANCHOR, _DEPTHS, bounds)
    depth_smoothed = corrected(_depth(smoothed), _ANCHOR, _DEPTHS, bounds)
    return math.exp(-min(depth, _DEEPEST)), math.exp(-min(depth_smoothed, _DEEPEST))


@kernel
def observe_probability(smoothed, scores, own, pooled):  # type: ignore[no-untyped-def]
    """Raise the corrections at every knot that a smoothed probability does not exceed."""
    for j in range(PROBABILITY_KNOTS):
        knot = _PROBABILITIES[j]
        if smoothed > knot:
            return
        own[j] = observe(own[j], max(1.0 / (_FIRST + scores[0] * knot), _OWN_GAINS[j]), _HIGHEST)
        pooled[j] = observe(pooled[j], max(1.0 / (_FIRST + scores[1] * knot), _POOL_GAIN), _HIGHEST)
