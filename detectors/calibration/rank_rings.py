"""A cascade of rings of recent high scores: ranks, thresholds, and an assumed tail for short rings.

Each ring holds the last values that ranked in the top quarter of the ring before it, so six rings of 63
values reach from one in ten to one in a million. The rank in the deepest ring reached gives the tail
probability; a tail is assumed only beyond the values held, a generalised Pareto one (J. Pickands,
"Statistical inference using extreme order statistics", 1975).
"""

from __future__ import annotations

from detectors.calibration.hashed_uniform import hashed_uniform
from detectors.kernels import kernel

RINGS = 6
OWN_ENTRIES = 63
POOL_ENTRIES = 127
TAIL = 0.1
"""The share of scores that enter the first ring."""

SHARE = 0.25
"""The share of a ring's scores that pass on to the next."""

COUNT, PLACE, THRESHOLD, EXCESS, POWER, RANKED = range(6)
"""Fields of a ring's `levels`: the number of values held; the place of the next one; the threshold above
which values enter this ring, and the mean excess over it; the power that ranks are raised to; and the number
of ranks taken."""

LEVEL_FIELDS = 6

READY = 16  # values a ring needs before scores can pass on to the next
_WEIGHT = 10.0  # values that the assumed tail counts for in an instrument's ring
_POOL_WEIGHT = 20.0  # the same in the pool's
_SHAPE = 0.2  # of that tail: heavier than an exponential
_GAIN, _GAIN_BEFORE = 0.02, 20.0
_LEAST_POWER, _MOST_POWER = 0.5, 2.0
_TINY, _HUGE = 1e-300, 1e300


@kernel
def _tail(excess, mean):  # type: ignore[no-untyped-def]
    if excess <= 0.0:
        return 1.0
    # 5 = 1 / shape, and (1 - shape) makes `mean` the distribution's mean
    return (1.0 + _SHAPE * excess / max(mean * (1.0 - _SHAPE), _TINY)) ** -5.0


@kernel
def _neighbours(ring, n, value):  # type: ignore[no-untyped-def]
    # Branch-free: on which side of the value an entry lies is unpredictable.
    above, ties = 0, 0
    higher, lower = _HUGE, -_HUGE
    for entry in ring[:n]:
        above += entry > value
        ties += entry == value
        over = entry if entry > value else _HUGE
        under = entry if entry < value else -_HUGE
        higher = over if over < higher else higher
        lower = under if under > lower else lower
    return above, ties, higher, lower


@kernel
def _top_quarter(ring, n, spare):  # type: ignore[no-untyped-def]
    # The threshold of a ring's top quarter, and the mean excess over it, by insertion into `spare`.
    k = max(2, int((n + 1) * SHARE))
    for i in range(n):
        if i >= k and ring[i] <= spare[k - 1]:
            continue
        place = min(i, k - 1)
        while place > 0 and spare[place - 1] < ring[i]:
            spare[place] = spare[place - 1]
            place -= 1
        spare[place] = ring[i]
    threshold = spare[k - 1]
    total = 0.0
    for i in range(k):
        total += spare[i] - threshold
    return threshold, total / (k - 1)


@kernel
def _refresh_threshold(ring, level, next_level, spare):  # type: ignore[no-untyped-def]
    next_level[THRESHOLD], next_level[EXCESS] = _top_quarter(ring, int(level[COUNT]), spare)


@kernel
def _append(ring, level, value):  # type: ignore[no-untyped-def]
    place = int(level[PLACE])
    ring[place] = value
    level[PLACE] = (place + 1) % ring.shape[0]
    level[COUNT] = min(level[COUNT] + 1.0, ring.shape[0])


@kernel
def pool_probability(z, rings, levels):  # type: ignore[no-untyped-def]
    """The pool's tail probability of an excess `z`, in units of the mean excess; nothing is learnt."""
    reached_share = TAIL
    last = RINGS - 1
    for j in range(RINGS):
        n = int(levels[j, COUNT])
        above, ties, higher, lower = _neighbours(rings[j], n, z)
        if n < POOL_ENTRIES:
            assumed = _tail(z, 1.0) if j == 0 else _tail(z - levels[j, THRESHOLD], levels[j, EXCESS])
            return reached_share * min(1.0, (above + ties + _POOL_WEIGHT * assumed) / (n + _POOL_WEIGHT))
        part = 0.5
        if ties > 0:
            part = 1.0
        elif above > 0 and lower > -_HUGE:
            part = (higher - z) / (higher - lower)
        elif above == 0 and j == last:
            part = _tail(z - levels[j, THRESHOLD], levels[j, EXCESS])
        rank = (above + ties + part) / (n + 1.0)
        if rank > SHARE or j == last:
            return reached_share * rank
        reached_share *= SHARE
    return reached_share


@kernel
def update_pool(z, instrument, number, rings, levels, spare):  # type: ignore[no-untyped-def]
    """Add an excess to the pool's rings, as deep as it reaches."""
    for j in range(RINGS):
        n = int(levels[j, COUNT])
        above, ties, _, _ = _neighbours(rings[j], n, z)
        rank = (above + hashed_uniform(instrument, number, RINGS + j) * (ties + 1.0)) / (n + 1.0)
        _append(rings[j], levels[j], z)
        place = int(levels[j, PLACE])
        if n < READY:
            return
        if j < RINGS - 1 and (place % 32 == 0 or (levels[j + 1, COUNT] == 0.0 and place % 8 == 0)):
            _refresh_threshold(rings[j], levels[j], levels[j + 1], spare)
        if rank > SHARE:
            return


@kernel
def _rank(ring, level, value, noise, assumed, deepest, excess):  # type: ignore[no-untyped-def]
    # Two shares of the ring: of values as high or higher (which counts all ties, so it is never too small),
    # and a smoothed one, in which `noise` breaks ties, so that it is uniform.
    n = int(level[COUNT])
    above, ties, higher, lower = _neighbours(ring, n, value)
    if n < OWN_ENTRIES:
        inclusive = (above + ties + _WEIGHT * assumed) / (n + _WEIGHT)
        if ties > 0 and above + ties == n:
            inclusive = 1.0
        smooth = inclusive if ties == 0 else (above + noise * (ties + _WEIGHT * assumed)) / (n + _WEIGHT)
        return min(inclusive, 1.0), min(smooth, 1.0)
    if ties > 0:
        return (above + ties + 1.0) / (n + 1.0), (above + noise * (ties + 1.0)) / (n + 1.0)
    part = noise
    if above > 0 and lower > -_HUGE:
        part = (higher - value) / (higher - lower)
    elif above == 0 and deepest:
        part = _tail(value - lower, excess)
    share = (above + part) / (n + 1.0)
    return share, share


@kernel
def descend(  # type: ignore[no-untyped-def]
    value, edge, excess, scale, instrument, number, rings, levels, pool_rings, pool_levels, pooled, spare
):
    """Rank a value above the edge in the rings, and add it to those it reaches.

    Returns its tail probability, the smoothed variant, and the deepest ring reached.
    """
    z = (value - edge) / scale
    reached_share = probability = smoothed = TAIL
    settled = False
    for j in range(RINGS):
        level = levels[j]
        assumed = 1.0
        if level[COUNT] < OWN_ENTRIES:
            if pooled:
                begins = 0.0 if j == 0 else (level[THRESHOLD] - edge) / scale
                within = pool_probability(begins, pool_rings, pool_levels)
                assumed = min(1.0, pool_probability(z, pool_rings, pool_levels) / within)
            elif j == 0:
                assumed = _tail(value - edge, excess)
            else:
                assumed = _tail(value - level[THRESHOLD], level[EXCESS])
        beyond = 0.0
        if j == RINGS - 1 and level[COUNT] == OWN_ENTRIES:
            _, beyond = _top_quarter(rings[j], OWN_ENTRIES, spare)
        noise = hashed_uniform(instrument, number, j)
        inclusive, smooth = _rank(rings[j], level, value, noise, assumed, j == RINGS - 1, beyond)
        inclusive, smooth = inclusive ** level[POWER], smooth ** level[POWER]
        smoothed = reached_share * smooth
        if not settled:
            probability = reached_share * inclusive
        passed = smooth <= SHARE
        known = level[COUNT] >= READY
        _append(rings[j], level, value)
        if known:
            level[RANKED] += 1.0
            gain = max(1.0 / (_GAIN_BEFORE + level[RANKED]), _GAIN)
            moved = level[POWER] - gain * ((1.0 if passed else 0.0) - SHARE)
            level[POWER] = min(_MOST_POWER, max(_LEAST_POWER, moved))
        if not passed or not known:
            return max(probability, smoothed), smoothed, j
        settled = settled or inclusive > SHARE
        reached_share *= SHARE
    return max(probability, smoothed), smoothed, RINGS - 1


@kernel
def refresh_thresholds(deepest, rings, levels, spare):  # type: ignore[no-untyped-def]
    """Recompute the thresholds of rings that are still short, every few values; after a score was judged."""
    for j in range(min(deepest + 1, RINGS - 1)):
        enough = levels[j, COUNT] >= READY and levels[j + 1, COUNT] < OWN_ENTRIES
        if enough and (int(levels[j, PLACE]) % 4 == 1 or levels[j + 1, COUNT] == 0.0):
            _refresh_threshold(rings[j], levels[j], levels[j + 1], spare)
