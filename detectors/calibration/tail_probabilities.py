"""Chances held to what comes: knots from 3 in 100 to 1 in 100,000, an instrument's and the pool's."""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.calibrator import SMALLEST_CHANCE
from detectors.calibration.controllers import came, corrected, expect, place_bounds
from detectors.calibration.rank_rings import TAIL
from detectors.kernels import kernel

KNOTS = 8
_CHANCES = TAIL * 10.0 ** (-0.5 * np.arange(1, KNOTS + 1))
_DEPTHS = -np.log(_CHANCES)
_OWN_GAINS = 0.09 * (_CHANCES / 1e-3) ** -0.25
_POOL_GAIN = 0.02
_FIRST = 2.0  # exceedances that a new controller behaves as if it had seen
_LOWEST, _HIGHEST = -2.0, 4.0
_ANCHOR = -math.log(TAIL)
_DEEPEST = -math.log(SMALLEST_CHANCE)


@kernel
def _depth(chance):  # type: ignore[no-untyped-def]
    return _DEEPEST if chance <= SMALLEST_CHANCE else -math.log(chance)


@kernel
def expect_chances(scores, of_own, of_pool, own, pooled):  # type: ignore[no-untyped-def]
    """Let scores pass: as many of the instrument's, and of the pool's, as came since the last time.

    `scores` holds for each of the two how many there are in all, and how many were reckoned with.
    """
    for j in range(KNOTS):
        share = _CHANCES[j]
        gain = max(1.0 / (_FIRST + scores[0] * share), _OWN_GAINS[j])
        own[j] = expect(own[j], gain, share * of_own, _LOWEST)
        gain = max(1.0 / (_FIRST + scores[1] * share), _POOL_GAIN)
        pooled[j] = expect(pooled[j], gain, share * of_pool, _LOWEST)


@kernel
def correct_chances(chance, even, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """A chance, and the one spread over equals, as corrected."""
    place_bounds(_ANCHOR, _DEPTHS, own, pooled, bounds)
    depth = corrected(_depth(chance), _ANCHOR, _DEPTHS, bounds)
    depth_even = corrected(_depth(even), _ANCHOR, _DEPTHS, bounds)
    return math.exp(-min(depth, _DEEPEST)), math.exp(-min(depth_even, _DEEPEST))


@kernel
def heed_chance(even, scores, own, pooled):  # type: ignore[no-untyped-def]
    """Raise the corrections at every knot that a chance lies beyond."""
    for j in range(KNOTS):
        share = _CHANCES[j]
        if even > share:
            return
        own[j] = came(own[j], max(1.0 / (_FIRST + scores[0] * share), _OWN_GAINS[j]), _HIGHEST)
        pooled[j] = came(pooled[j], max(1.0 / (_FIRST + scores[1] * share), _POOL_GAIN), _HIGHEST)
