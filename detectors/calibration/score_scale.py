"""The body of an instrument's scores: their scale, and the edge above which they are judged by ranks.

The first 256 scores settle mean, mean absolute deviation and 90 % quantile; from then on each follows
by stochastic approximation (H. Robbins and S. Monro, 1951) over the last 2000 scores. The pair that
scores are scaled with moves only when it is off by a quarter of a deviation or a factor of 1.2, so
that equal scores stay equal. Scores that lie in [0, 1] are left as they are.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.rank_rings import TAIL
from detectors.kernels import kernel

WARMUP = 256
"""Scores of an instrument before there is a rarity."""

SEEN, MEAN, SPREAD, WIDEST, SCALED, CENTRE, UNIT, EDGE, EXCESS, EXCEEDED = range(10)
"""Scores seen; running mean and mean absolute deviation; logarithm of the widest deviation that is
believed; whether scores are scaled, and by which pair; the edge, mean excess over it and how many."""

BODY = 10

_MEMORY = 2000.0
_WIDER, _NARROWER = 0.25, 0.00025
_OFF_CENTRE, _OFF_SPREAD = 0.25, 1.2
_EXCESS_GAIN = 1 / 500.0
_WILDEST = 30.0  # mean excesses that an excess counts for at most where the mean is learnt
_TINY = 1e-300
_LARGEST = 1e100


@kernel
def bounded(score):  # type: ignore[no-untyped-def]
    """The score, cut where arithmetic on it could overflow."""
    return min(max(score, -_LARGEST), _LARGEST)


@kernel
def settle(first, body):  # type: ignore[no-untyped-def]
    """Take up the first scores; they are sorted in place. Returns where those over the edge begin."""
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
def learn_excess(excess, body):  # type: ignore[no-untyped-def]
    """Follow the mean excess over the edge."""
    believed = min(excess, _WILDEST * body[EXCESS])
    gain = max(1.0 / (body[EXCEEDED] + 20.0), _EXCESS_GAIN)
    body[EXCESS] = max(body[EXCESS] + gain * (believed - body[EXCESS]), _TINY)
    body[EXCEEDED] += 1.0


@kernel
def followed_edge(edge, seen, over, unit_excess):  # type: ignore[no-untyped-def]
    """The edge after the `seen`-th score; `unit_excess` is the mean excess as of before it."""
    gain = max(1.0 / (seen * TAIL + 5.0), 1.0 / (_MEMORY * TAIL))
    return edge + gain * unit_excess * ((1.0 if over else 0.0) - TAIL)


@kernel
def follow_scale(score, body):  # type: ignore[no-untyped-def]
    """Follow mean and spread of scores that are scaled."""
    gain = max(1.0 / body[SEEN], 1.0 / _MEMORY)
    away = score - body[MEAN]
    widest = math.exp(body[WIDEST])
    if abs(away) > widest:
        body[WIDEST] += _WIDER
        away = widest if away > 0.0 else -widest
    else:
        body[WIDEST] -= _NARROWER
    body[MEAN] += gain * away
    body[SPREAD] = max(body[SPREAD] + gain * (abs(away) - body[SPREAD]), _TINY)
    off = abs(body[MEAN] - body[CENTRE]) > _OFF_CENTRE * body[UNIT]
    if off or body[SPREAD] > body[UNIT] * _OFF_SPREAD or body[SPREAD] * _OFF_SPREAD < body[UNIT]:
        body[CENTRE], body[UNIT] = body[MEAN], body[SPREAD]
