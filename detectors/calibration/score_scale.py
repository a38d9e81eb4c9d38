"""The scale of an instrument's scores, and the edge above which they are judged by rank.

The first 256 scores give a mean, a mean absolute deviation and a 90 % quantile, the edge; from then on
stochastic approximation (H. Robbins and S. Monro, 1951) updates each over about the last 2000 scores. The
centre and unit that scores are scaled by move only when they are off by a quarter of a deviation or a
factor of 1.2, so that equal scores stay equal. Scores in [0, 1] are not scaled.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.rank_rings import TAIL
from detectors.kernels import kernel

WARMUP = 256
"""Scores of an instrument before its first rarity."""

SEEN, MEAN, SPREAD, WIDEST, SCALED, CENTRE, UNIT, EDGE, EXCESS, EXCEEDED = range(10)
"""Fields of an instrument's `body`: scores seen; their running mean and mean absolute deviation; log of the
deviation at which scores are clipped; whether scores are scaled, and by which centre and unit; the edge, the
mean excess over it, and the number of excesses."""

BODY_FIELDS = 10

_MEMORY_SCORES = 2000.0
_WIDER, _NARROWER = 0.25, 0.00025  # steps of the clip's logarithm: about one score in 1000 is clipped
_OFF_CENTRE, _OFF_SPREAD = 0.25, 1.2
_EXCESS_GAIN = 1 / 500.0
_LARGEST_EXCESS = 30.0  # mean excesses: the mean learns larger ones as this much
_TINY = 1e-300
_LARGEST = 1e100


@kernel
def bounded(score):  # type: ignore[no-untyped-def]
    """The score, clipped where arithmetic on it could overflow."""
    return min(max(score, -_LARGEST), _LARGEST)


@kernel
def settle(first, body):  # type: ignore[no-untyped-def]
    """Initialise from the first scores, sorted in place; returns the index of the first over the edge."""
    first.sort()
    mean = first.mean()
    spread = np.abs(first - mean).mean()
    if spread <= 0.0:
        spread = 1e-9 + 1e-6 * abs(mean)
    lowest, highest = first[0], first[WARMUP - 1]
    body[MEAN], body[SPREAD] = mean, spread
    body[WIDEST] = math.log(max(highest - mean, mean - lowest, spread))
    body[SCALED] = 0.0 if lowest >= 0.0 and highest <= 1.0 else 1.0
    body[CENTRE], body[UNIT] = (mean, spread) if body[SCALED] > 0.0 else (0.0, 1.0)
    begin = int(WARMUP * (1.0 - TAIL))
    for i in range(WARMUP):
        first[i] = (first[i] - body[CENTRE]) / body[UNIT]
    body[EDGE] = first[begin]
    body[EXCESS] = max(first[begin:].mean() - first[begin], 1e-9)
    return begin


@kernel
def update_excess(excess, body):  # type: ignore[no-untyped-def]
    """Update the mean excess over the edge."""
    clipped = min(excess, _LARGEST_EXCESS * body[EXCESS])
    gain = max(1.0 / (body[EXCEEDED] + 20.0), _EXCESS_GAIN)
    body[EXCESS] = max(body[EXCESS] + gain * (clipped - body[EXCESS]), _TINY)
    body[EXCEEDED] += 1.0


@kernel
def updated_edge(edge, seen, over, unit_excess):  # type: ignore[no-untyped-def]
    """The edge after the `seen`-th score; `unit_excess` is the mean excess before it."""
    gain = max(1.0 / (seen * TAIL + 5.0), 1.0 / (_MEMORY_SCORES * TAIL))
    return edge + gain * unit_excess * ((1.0 if over else 0.0) - TAIL)


@kernel
def update_scale(score, body):  # type: ignore[no-untyped-def]
    """Update mean and spread of scores that are scaled."""
    gain = max(1.0 / body[SEEN], 1.0 / _MEMORY_SCORES)
    deviation = score - body[MEAN]
    widest = math.exp(body[WIDEST])
    if abs(deviation) > widest:
        body[WIDEST] += _WIDER
        deviation = widest if deviation > 0.0 else -widest
    else:
        body[WIDEST] -= _NARROWER
    body[MEAN] += gain * deviation
    body[SPREAD] = max(body[SPREAD] + gain * (abs(deviation) - body[SPREAD]), _TINY)
    off_centre = abs(body[MEAN] - body[CENTRE]) > _OFF_CENTRE * body[UNIT]
    if off_centre or body[SPREAD] > body[UNIT] * _OFF_SPREAD or body[SPREAD] * _OFF_SPREAD < body[UNIT]:
        body[CENTRE], body[UNIT] = body[MEAN], body[SPREAD]
