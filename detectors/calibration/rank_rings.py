"""Rings of the last scores that got so far: ranks, thresholds, and tails where a ring is still short.

Each ring holds the last values that came among the top quarter of the ring before it, so six rings
of 63 values reach from one in ten to one in a million. A rank in the deepest ring reached is all
that is needed; only beyond that is a tail assumed: a generalised Pareto one (J. Pickands,
"Statistical inference using extreme order statistics", 1975).
"""

from __future__ import annotations

from detectors.calibration.hashed_uniform import even
from detectors.kernels import kernel

RINGS = 6
OWN_ENTRIES = 63
POOL_ENTRIES = 127
TAIL = 0.1
"""The share of scores that enter the first ring."""

SHARE = 0.25
"""The share of a ring's scores that go on to the next."""

COUNT, PLACE, FROM, EXCESS, POWER, VISITS = range(6)
"""Of each ring: values held, where the next goes, where the next ring begins and the mean excess
there (both kept at the next ring), the power that ranks are raised to, and visits."""

LEVEL = 6

READY = 16  # values from which a ring says who goes on
_WEIGHT = 10.0  # values that the tail assumed counts for, in an instrument's ring
_POOL_WEIGHT = 20.0  # the same in the pool's
_SHAPE = 0.2  # of that tail: heavier than an exponential one
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
    # Without a branch: on which side of the value an entry lies is what nobody can foretell.
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
    # The threshold of a ring's top quarter, and the mean excess over it.
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
def _renew(ring, of, following, spare):  # type: ignore[no-untyped-def]
    following[FROM], following[EXCESS] = _top_quarter(ring, int(of[COUNT]), spare)


@kernel
def _put(ring, of, value):  # type: ignore[no-untyped-def]
    place = int(of[PLACE])
    ring[place] = value
    of[PLACE] = (place + 1) % ring.shape[0]
    of[COUNT] = min(of[COUNT] + 1.0, ring.shape[0])


@kernel
def pool_chance(z, rings, levels):  # type: ignore[no-untyped-def]
    """The chance of an excess as large as `z`, in mean excesses, among the pool's; nothing is learnt."""
    weight = TAIL
    last = RINGS - 1
    for j in range(RINGS):
        n = int(levels[j, COUNT])
        above, ties, higher, lower = _neighbours(rings[j], n, z)
        if n < POOL_ENTRIES:
            assumed = _tail(z, 1.0) if j == 0 else _tail(z - levels[j, FROM], levels[j, EXCESS])
            return weight * min(1.0, (above + ties + _POOL_WEIGHT * assumed) / (n + _POOL_WEIGHT))
        part = 0.5
        if ties > 0:
            part = 1.0
        elif above > 0 and lower > -_HUGE:
            part = (higher - z) / (higher - lower)
        elif above == 0 and j == last:
            part = _tail(z - levels[j, FROM], levels[j, EXCESS])
        rank = (above + ties + part) / (n + 1.0)
        if rank > SHARE or j == last:
            return weight * rank
        weight *= SHARE
    return weight


@kernel
def pool_learn(z, offset, index, rings, levels, spare):  # type: ignore[no-untyped-def]
    """Put an excess into the pool's rings, as deep as it gets."""
    for j in range(RINGS):
        n = int(levels[j, COUNT])
        above, ties, _, _ = _neighbours(rings[j], n, z)
        rank = (above + even(offset, index, RINGS + j) * (ties + 1.0)) / (n + 1.0)
        _put(rings[j], levels[j], z)
        place = int(levels[j, PLACE])
        if n < READY:
            return
        if j < RINGS - 1 and (place % 32 == 0 or (levels[j + 1, COUNT] == 0.0 and place % 8 == 0)):
            _renew(rings[j], levels[j], levels[j + 1], spare)
        if rank > SHARE:
            return


@kernel
def _rank(ring, of, value, noise, assumed, deepest, excess):  # type: ignore[no-untyped-def]
    # Two shares of the ring: as high or higher (never too small where values are equal), and one
    # that is spread evenly over equals.
    n = int(of[COUNT])
    above, ties, higher, lower = _neighbours(ring, n, value)
    if n < OWN_ENTRIES:
        sure = (above + ties + _WEIGHT * assumed) / (n + _WEIGHT)
        if ties > 0 and above + ties == n:
            sure = 1.0
        spread = sure if ties == 0 else (above + noise * (ties + _WEIGHT * assumed)) / (n + _WEIGHT)
        return min(sure, 1.0), min(spread, 1.0)
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
    value, edge, excess, scale, offset, index, rings, levels, pool_rings, pool_levels, pooled, spare
):
    """Judge a value above the edge by the rings, entering it into those it reaches.

    Returns the chance of one as high, the same spread over equals, and the deepest ring reached.
    """
    z = (value - edge) / scale
    weight = chance = chance_even = TAIL
    settled = False
    for j in range(RINGS):
        of = levels[j]
        assumed = 1.0
        if of[COUNT] < OWN_ENTRIES:
            if pooled:
                begins = 0.0 if j == 0 else (of[FROM] - edge) / scale
                within = pool_chance(begins, pool_rings, pool_levels)
                assumed = min(1.0, pool_chance(z, pool_rings, pool_levels) / within)
            elif j == 0:
                assumed = _tail(value - edge, excess)
            else:
                assumed = _tail(value - of[FROM], of[EXCESS])
        beyond = 0.0
        if j == RINGS - 1 and of[COUNT] == OWN_ENTRIES:
            _, beyond = _top_quarter(rings[j], OWN_ENTRIES, spare)
        noise = even(offset, index, j)
        sure, spread = _rank(rings[j], of, value, noise, assumed, j == RINGS - 1, beyond)
        sure, spread = sure ** of[POWER], spread ** of[POWER]
        chance_even = weight * spread
        if not settled:
            chance = weight * sure
        passed = spread <= SHARE
        known = of[COUNT] >= READY
        _put(rings[j], of, value)
        if known:
            of[VISITS] += 1.0
            gain = max(1.0 / (_GAIN_BEFORE + of[VISITS]), _GAIN)
            moved = of[POWER] - gain * ((1.0 if passed else 0.0) - SHARE)
            of[POWER] = min(_MOST_POWER, max(_LEAST_POWER, moved))
        if not passed or not known:
            return max(chance, chance_even), chance_even, j
        settled = settled or sure > SHARE
        weight *= SHARE
    return max(chance, chance_even), chance_even, RINGS - 1


@kernel
def renew(deepest, rings, levels, spare):  # type: ignore[no-untyped-def]
    """Find anew where short rings begin, once in a while; after a score has been judged."""
    for j in range(min(deepest + 1, RINGS - 1)):
        enough = levels[j, COUNT] >= READY and levels[j + 1, COUNT] < OWN_ENTRIES
        if enough and (int(levels[j, PLACE]) % 4 == 1 or levels[j + 1, COUNT] == 0.0):
            _renew(rings[j], levels[j], levels[j + 1], spare)
