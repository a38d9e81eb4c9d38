"""Return periods: how long an instrument goes, on average, without an occasion of scores this high.

An occasion is a run of high scores at most `TOGETHER_S` apart (or a tenth of their return period, if that
is below five hours). The share of high scores that begin one is the extremal index (M. R. Leadbetter,
"Extremes and local dependence in stationary sequences", 1983), learnt for each ring; scores per second are
the instrument's own. Controllers then correct the return period by how often such occasions were observed,
at knots from ten minutes to a week.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.calibration.calibrator import LONGEST_S
from detectors.calibration.controllers import corrected, decay, observe, place_bounds
from detectors.calibration.rank_rings import RINGS, SHARE, TAIL
from detectors.kernels import kernel
from detectors.time_units import NS_PER_SECOND

TOGETHER_S = 1800.0
"""High scores no further apart than this belong to one occasion."""

LONGEST_GAP_S = 3600.0
"""A longer silence counts as this much: nothing is known of the time beyond it."""

PERIOD_KNOTS = 5
NEVER = np.iinfo(np.int64).min

INDEX, ENTRIES = range(2)
"""Fields of a ring's `clusters`: its extremal index, and the number of entries it was learnt from."""

CLUSTER_FIELDS = 2

_NS = float(NS_PER_SECOND)
_KNOTS_S = np.array([600.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0])
_DEPTHS = np.log(_KNOTS_S)
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
def updated_gap(elapsed, scores, gap):  # type: ignore[no-untyped-def]
    """The running mean of seconds between scores, updated by one; `scores` came before it."""
    return gap + max(1.0 / scores, 1.0 / _MEMORY) * (elapsed - gap)


@kernel
def largest_part(elapsed, scores, part):  # type: ignore[no-untyped-def]
    """What one wait contributes to the running mean of `updated_gap`, of the wait that contributes most."""
    gain = max(1.0 / scores, 1.0 / _MEMORY)
    return max(part - gain * part, gain * elapsed)


@kernel
def counted_part(elapsed, scores, part):  # type: ignore[no-untyped-def]
    """How much of the running mean goes when `elapsed` of it is taken back; `part` as in `largest_part`."""
    return min(part, max(1.0 / scores, 1.0 / _MEMORY) * elapsed)


@kernel
def occasion_rates(clusters, rates):  # type: ignore[no-untyped-def]
    """Fill in `RINGS + 1` rates: occasions per score that reaches each ring, or would pass the last one."""
    index = 0.5
    weight = TAIL
    for j in range(RINGS):
        known = min(clusters[j, ENTRIES], 100.0)
        index = max((known * clusters[j, INDEX] + 2.0 * max(index, 0.3)) / (known + 2.0), 1e-4)
        rates[j] = weight * index
        weight *= SHARE
    rates[RINGS] = rates[RINGS - 1] * SHARE
    # where all entries of a ring run together they are one endless occasion, which is not rare
    for j in range(RINGS - 1, -1, -1):
        rates[j] = max(rates[j], rates[j + 1])


@kernel
def raw_return_period(probability, gap, rates):  # type: ignore[no-untyped-def]
    """Seconds between occasions of scores at most this probable, before correction."""
    place = math.log(probability / TAIL) / _LOG_SHARE
    ring = min(RINGS - 1, max(0, int(place)))
    place -= ring
    rate = math.exp((1.0 - place) * math.log(rates[ring]) + place * math.log(rates[ring + 1]))
    return max(gap, _SHORTEST_GAP_S) / rate


@kernel
def update_clusters(clock, deepest, gap, clusters, last_reached):  # type: ignore[no-untyped-def]
    """Update the extremal index of rings `0..deepest`, which a score has reached."""
    weight = TAIL
    for j in range(deepest + 1):
        longest_gap = min(TOGETHER_S, _TENTH * gap / weight)
        begins = last_reached[j] == NEVER or (clock - last_reached[j]) / _NS > longest_gap
        last_reached[j] = clock
        clusters[j, ENTRIES] += 1.0
        gain = max(1.0 / (clusters[j, ENTRIES] + _INDEX_FIRST), _INDEX_GAIN)
        clusters[j, INDEX] += gain * ((1.0 if begins else 0.0) - clusters[j, INDEX])
        weight *= SHARE


@kernel
def decay_periods(own_seconds, pool_seconds, pool_ready_s, own, pooled):  # type: ignore[no-untyped-def]
    """Decay the corrections by the seconds since the last call, of the instrument and of all instruments."""
    for j in range(PERIOD_KNOTS):
        own[j] = decay(own[j], _OWN_GAIN, own_seconds / _KNOTS_S[j], _LOWEST)
        gain = max(_POOL_GAIN, 1.0 / (_POOL_FIRST + pool_ready_s / _KNOTS_S[j]))
        pooled[j] = decay(pooled[j], gain, pool_seconds / _KNOTS_S[j], _LOWEST)


@kernel
def corrected_periods(period, smoothed, longest, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """A return period and its smoothed variant, corrected; at most `longest` and `LONGEST_S`."""
    deepest = min(math.log(max(longest, 1.0)), _DEEPEST)
    place_bounds(_ANCHOR, _DEPTHS, own, pooled, bounds)
    depth = corrected(math.log(period), _ANCHOR, _DEPTHS, bounds)
    depth_smoothed = corrected(math.log(smoothed), _ANCHOR, _DEPTHS, bounds)
    return math.exp(min(depth, deepest)), math.exp(min(depth_smoothed, deepest))


@kernel
def observe_period(smoothed, clock, pool_ready_s, last_occasion, own, pooled):  # type: ignore[no-untyped-def]
    """Raise the corrections at every knot where an occasion begins."""
    for j in range(PERIOD_KNOTS):
        if smoothed < _KNOTS_S[j]:
            return
        longest_gap = min(TOGETHER_S, _TENTH * _KNOTS_S[j])
        if last_occasion[j] == NEVER or (clock - last_occasion[j]) / _NS > longest_gap:
            own[j] = observe(own[j], _OWN_GAIN, _HIGHEST)
            gain = max(_POOL_GAIN, 1.0 / (_POOL_FIRST + pool_ready_s / _KNOTS_S[j]))
            pooled[j] = observe(pooled[j], gain, _HIGHEST)
        last_occasion[j] = clock
