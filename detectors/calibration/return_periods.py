"""From a chance to a time: how long an instrument goes without an episode of scores this high.

An episode is a run of high scores with no more than `TOGETHER_S` between one and the next (for what
comes more often than every five hours, a tenth of the time). The share of high scores that begin one
is the extremal index (M. R. Leadbetter, "Extremes and local dependence in stationary sequences",
1983), learnt for each ring; scores a second are the instrument's own. What is shown is then held to
what comes, at knots from ten minutes to a week.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.calibrator import LONGEST_S
from detectors.calibration.controllers import came, corrected, expect, place_bounds
from detectors.calibration.rank_rings import RINGS, SHARE, TAIL
from detectors.kernels import kernel

TOGETHER_S = 1800.0
"""High scores no further apart than this belong to one episode."""

LONGEST_GAP_S = 3600.0
"""A longer time without a score counts as this much: nobody can say what was missed in it."""

WAITS = 5
NEVER = np.iinfo(np.int64).min

INDEX, ENTRIES = range(2)
"""Of each ring: its extremal index, and the entries it was learnt from."""

CLUSTER = 2

_NS = 1e9
_TIMES = np.array([600.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0])
_DEPTHS = np.log(_TIMES)
_ANCHOR = math.log(10.0)
_TENTH = 0.1
_OWN_GAIN, _POOL_GAIN, _POOL_FIRST = 0.15, 0.02, 5.0
_LOWEST, _HIGHEST = -1.5, 3.0
_MEMORY = 2000.0
_INDEX_GAIN, _INDEX_FIRST = 0.01, 4.0
_DEEPEST = math.log(LONGEST_S)
_SHORTEST_GAP_S = 1e-9
_LOG_SHARE = math.log(SHARE)


@kernel
def follow_gap(elapsed, scores, gap):  # type: ignore[no-untyped-def]
    """The running mean of seconds between scores, after one more; `scores` came before it."""
    return gap + max(1.0 / scores, 1.0 / _MEMORY) * (elapsed - gap)


@kernel
def place_rates(clusters, rates):  # type: ignore[no-untyped-def]
    """Episodes per score, of scores that reach each ring and the one after the last: `RINGS + 1` rates."""
    index = 0.5
    weight = TAIL
    for j in range(RINGS):
        known = min(clusters[j, ENTRIES], 100.0)
        index = max((known * clusters[j, INDEX] + 2.0 * max(index, 0.3)) / (known + 2.0), 1e-4)
        rates[j] = weight * index
        weight *= SHARE
    rates[RINGS] = rates[RINGS - 1] * SHARE
    # a ring whose entries all run together is one endless episode, which is not a rare one
    for j in range(RINGS - 1, -1, -1):
        rates[j] = max(rates[j], rates[j + 1])


@kernel
def raw_wait(chance, gap, rates):  # type: ignore[no-untyped-def]
    """Seconds between episodes of scores with at most this chance, by rates alone."""
    place = math.log(chance / TAIL) / _LOG_SHARE
    ring = min(RINGS - 1, max(0, int(place)))
    place -= ring
    rate = math.exp((1.0 - place) * math.log(rates[ring]) + place * math.log(rates[ring + 1]))
    return max(gap, _SHORTEST_GAP_S) / rate


@kernel
def learn_clusters(clock, deepest, gap, clusters, reached):  # type: ignore[no-untyped-def]
    """Tell rings `0..deepest` that a score got so far."""
    weight = TAIL
    for j in range(deepest + 1):
        apart = min(TOGETHER_S, _TENTH * gap / weight)
        begins = reached[j] == NEVER or (clock - reached[j]) / _NS > apart
        reached[j] = clock
        clusters[j, ENTRIES] += 1.0
        gain = max(1.0 / (clusters[j, ENTRIES] + _INDEX_FIRST), _INDEX_GAIN)
        clusters[j, INDEX] += gain * ((1.0 if begins else 0.0) - clusters[j, INDEX])
        weight *= SHARE


@kernel
def expect_waits(of_own, of_pool, pool_lived, own, pooled):  # type: ignore[no-untyped-def]
    """Let time pass: seconds of the instrument's, and of all instruments', since the last time."""
    for j in range(WAITS):
        own[j] = expect(own[j], _OWN_GAIN, of_own / _TIMES[j], _LOWEST)
        gain = max(_POOL_GAIN, 1.0 / (_POOL_FIRST + pool_lived / _TIMES[j]))
        pooled[j] = expect(pooled[j], gain, of_pool / _TIMES[j], _LOWEST)


@kernel
def correct_waits(wait, even, longest, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """A wait, and the one spread over equals, as corrected; at most `longest` and `LONGEST_S`."""
    deepest = min(math.log(max(longest, 1.0)), _DEEPEST)
    place_bounds(_ANCHOR, _DEPTHS, own, pooled, bounds)
    depth = corrected(math.log(wait), _ANCHOR, _DEPTHS, bounds)
    depth_even = corrected(math.log(even), _ANCHOR, _DEPTHS, bounds)
    return math.exp(min(depth, deepest)), math.exp(min(depth_even, deepest))


@kernel
def heed_wait(even, clock, pool_lived, spoke, own, pooled):  # type: ignore[no-untyped-def]
    """Raise the corrections at every knot where an episode begins."""
    for j in range(WAITS):
        if even < _TIMES[j]:
            return
        apart = min(TOGETHER_S, _TENTH * _TIMES[j])
        if spoke[j] == NEVER or (clock - spoke[j]) / _NS > apart:
            own[j] = came(own[j], _OWN_GAIN, _HIGHEST)
            gain = max(_POOL_GAIN, 1.0 / (_POOL_FIRST + pool_lived / _TIMES[j]))
            pooled[j] = came(pooled[j], gain, _HIGHEST)
        spoke[j] = clock
