"""The cascade calibrator: from the rank of a score among those before it to "once in so long".

A score above its instrument's 90 % quantile goes down a cascade of rings, each of the last scores that
got so far; its rank where it stops gives its chance, corrected by controllers, and from chance, rate
and clustering comes the time. Instruments of a task share a pool, which speaks for those whose own
rings are young. Every score is judged before it is learnt.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.calibrator import LONGEST_OF_WATCHED, Rarity
from detectors.calibration.rank_rings import (
    COUNT,
    LEVEL,
    OWN_ENTRIES,
    PLACE,
    POOL_ENTRIES,
    POWER,
    RINGS,
    TAIL,
    descend,
    pool_learn,
    renew,
)
from detectors.calibration.return_periods import (
    CLUSTER,
    INDEX,
    LONGEST_GAP_S,
    NEVER,
    WAITS,
    correct_waits,
    expect_waits,
    follow_gap,
    heed_wait,
    learn_clusters,
    place_rates,
    raw_wait,
)
from detectors.calibration.score_scale import (
    BODY,
    CENTRE,
    EDGE,
    EXCEEDED,
    EXCESS,
    SCALED,
    SEEN,
    UNIT,
    WARMUP,
    bounded,
    follow_scale,
    followed_edge,
    learn_excess,
    settle,
)
from detectors.calibration.tail_probabilities import KNOTS, correct_chances, expect_chances, heed_chance
from detectors.event_columns import State, plain
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

_GAP, _LIVED, _CHANCES_AT, _WAITS_AT = range(4)
_P_SCORES, _P_CHANCES_AT, _P_LIVED, _P_WAITS_AT, _P_EXCESS, _P_EXCESSES, _P_WATCHED = range(7)
_RATES, _POOL = 4, 7
_OWN = ("body", "rings", "levels", "knots", "rates", "clusters", "waits", "reached", "spoke", "last")
_POOLED = ("body", "rings", "levels", "knots", "waits")
_FEEDS_FROM = 5.0  # exceedances after which an instrument's mean excess is fit for the pool
_POOL_SPEAKS = 30.0  # scores in the pool's third ring from which it speaks for others
_OWN_SAYS, _FIRST_SAYS, _POOL_SAYS = 1.0, 25.0, 50.0
_NS = 1e9


@kernel
def _begin(first, body, rings, levels, clusters, spare):  # type: ignore[no-untyped-def]
    begin = settle(first, body)
    levels[:] = 0.0
    levels[:, POWER] = 1.0
    clusters[:, INDEX] = 0.5
    known = WARMUP - begin
    for i in range(known):
        rings[0, i] = first[begin + i]
    levels[0, COUNT], levels[0, PLACE] = known, known
    renew(0, rings, levels, spare)


@kernel
def _pooled_scale(excess, exceeded, pool):  # type: ignore[no-untyped-def]
    own = exceeded * _OWN_SAYS + _FIRST_SAYS
    return math.exp((own * math.log(excess) + _POOL_SAYS * pool[_P_EXCESS]) / (own + _POOL_SAYS))


@kernel
def _judge(  # type: ignore[no-untyped-def]
    value, clock, offset, index,
    body, rings, levels, knots, rates, clusters, waits, reached, spoke,
    pool, pool_rings, pool_levels, pool_knots, pool_waits, bounds, spare,
):  # fmt: skip
    # What a score above the edge means; all that is learnt of it but scale and edge.
    edge, excess = body[EDGE], body[EXCESS]
    pooled = pool_levels[2, COUNT] > _POOL_SPEAKS
    scale = excess
    if pool_levels[0, COUNT] > 0.0:
        scale = _pooled_scale(excess, body[EXCEEDED], pool)
    chance, even, deepest = descend(
        value, edge, excess, scale, offset, index, rings, levels, pool_rings, pool_levels, pooled, spare
    )
    common = chance >= TAIL
    scores = (body[SEEN] - WARMUP + 1.0, pool[_P_SCORES])
    own_passed, pool_passed = scores[0] - rates[_CHANCES_AT], scores[1] - pool[_P_CHANCES_AT]
    expect_chances(scores, own_passed, pool_passed, knots, pool_knots)
    rates[_CHANCES_AT], pool[_P_CHANCES_AT] = scores
    chance, even = correct_chances(chance, even, knots, pool_knots, bounds)
    heed_chance(even, scores, knots, pool_knots)

    own_passed, pool_passed = rates[_LIVED] - rates[_WAITS_AT], pool[_P_LIVED] - pool[_P_WAITS_AT]
    expect_waits(own_passed, pool_passed, pool[_P_LIVED], waits, pool_waits)
    rates[_WAITS_AT], pool[_P_WAITS_AT] = rates[_LIVED], pool[_P_LIVED]
    gap = rates[_GAP]
    place_rates(clusters, spare)
    wait = raw_wait(chance, gap, spare)
    wait_even = raw_wait(even, gap, spare) if even != chance else wait
    longest = LONGEST_OF_WATCHED * pool[_P_WATCHED]
    wait, wait_even = correct_waits(wait, wait_even, longest, waits, pool_waits, bounds)
    heed_wait(wait_even, clock, pool[_P_LIVED], spoke, waits, pool_waits)

    learn_clusters(clock, deepest, gap, clusters, reached)
    renew(deepest, rings, levels, spare)
    if body[EXCEEDED] >= _FEEDS_FROM:
        pool[_P_EXCESS] += max(1.0 / (pool[_P_EXCESSES] + 1.0), 1e-4) * (math.log(excess) - pool[_P_EXCESS])
        pool[_P_EXCESSES] += 1.0
        pool_learn((value - edge) / scale, offset, index, pool_rings, pool_levels, spare)
    learn_excess(value - edge, body)
    # as high as everything that ever came above the edge: the edge itself is an everyday score
    return (1.0, 0.0) if common else (chance, wait)


@kernel
def _step_rows(  # type: ignore[no-untyped-def]
    slot, clock, offset, index, score,
    body, rings, levels, knots, rates, clusters, waits, reached, spoke, last,
    pool, pool_rings, pool_levels, pool_knots, pool_waits,
    chance, seconds,
):  # fmt: skip
    bounds, spare = np.empty(KNOTS), np.empty(POOL_ENTRIES)
    for row in range(slot.shape[0]):
        s = slot[row]
        chance[row], seconds[row] = np.nan, np.nan
        if not math.isfinite(score[row]):
            continue
        value = bounded(score[row])
        seen = body[s, SEEN]
        if seen > 0.0:
            elapsed = min((clock[row] - last[s]) / _NS, LONGEST_GAP_S)
            rates[s, _GAP] = follow_gap(elapsed, seen, rates[s, _GAP])
            pool[0, _P_WATCHED] += elapsed
            if seen >= WARMUP:
                rates[s, _LIVED] += elapsed
                pool[0, _P_LIVED] += elapsed
        last[s] = clock[row]
        if seen < WARMUP:
            # the rings are empty so far: their room holds the first scores
            first = rings[s].reshape(RINGS * OWN_ENTRIES)
            first[int(seen)] = value
            body[s, SEEN] += 1.0
            if seen == WARMUP - 1:
                _begin(first[:WARMUP], body[s], rings[s], levels[s], clusters[s], spare)
            continue
        pool[0, _P_SCORES] += 1.0
        scaled = (value - body[s, CENTRE]) / body[s, UNIT]
        excess = body[s, EXCESS]
        over = scaled > body[s, EDGE]
        chance[row], seconds[row] = 1.0, 0.0
        if over:
            chance[row], seconds[row] = _judge(
                scaled, clock[row], offset[row], index[row],
                body[s], rings[s], levels[s], knots[s], rates[s], clusters[s], waits[s], reached[s], spoke[s],
                pool[0], pool_rings[0], pool_levels[0], pool_knots[0], pool_waits[0], bounds, spare,
            )  # fmt: skip
        body[s, SEEN] += 1.0
        body[s, EDGE] = followed_edge(body[s, EDGE], body[s, SEEN], over, excess)
        if body[s, SCALED] != 0.0:
            follow_scale(value, body[s])


class Cascade:
    """Rarities for the scores of one detector, for every slot of a task.

    An instrument takes 3.7 KB, the pool 6.4 KB. Warming for an instrument's first 256 scores.

    Examples
    --------
    >>> cascade = Cascade()
    >>> cascade.grow(1)
    >>> n = 4000
    >>> seconds = np.arange(n, dtype=np.int64) * 1_000_000_000
    >>> score = np.random.default_rng(1).standard_normal(n)
    >>> score[-1] = 50.0
    >>> slot, index = np.zeros(n, np.int32), np.zeros(n, np.int16)
    >>> found = cascade.step(slot, seconds, np.arange(n), index, score)
    >>> int(np.isnan(found.seconds).sum())
    256
    >>> bool(found.seconds[-1] > 86_400)
    True
    """

    spec = "cascade.1"

    def __init__(self) -> None:
        self._own = SlotArrays(
            {
                "body": SlotColumn(np.float64, 0, (BODY,)),
                "rings": SlotColumn(np.float64, 0, (RINGS, OWN_ENTRIES)),
                "levels": SlotColumn(np.float64, 0, (RINGS, LEVEL)),
                "knots": SlotColumn(np.float64, 0, (KNOTS,)),
                "rates": SlotColumn(np.float64, 0, (_RATES,)),
                "clusters": SlotColumn(np.float64, 0, (RINGS, CLUSTER)),
                "waits": SlotColumn(np.float64, 0, (WAITS,)),
                "reached": SlotColumn(np.int64, NEVER, (RINGS,)),
                "spoke": SlotColumn(np.int64, NEVER, (WAITS,)),
                "last": SlotColumn(np.int64, NEVER),
            }
        )
        self._pool = SlotArrays(
            {
                "body": SlotColumn(np.float64, 0, (_POOL,)),
                "rings": SlotColumn(np.float64, 0, (RINGS, POOL_ENTRIES)),
                "levels": SlotColumn(np.float64, 0, (RINGS, LEVEL)),
                "knots": SlotColumn(np.float64, 0, (KNOTS,)),
                "waits": SlotColumn(np.float64, 0, (WAITS,)),
            }
        )
        self._pool.grow(1)

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._own.grow(n_slots)

    def step(
        self,
        slot: NDArray[np.int32],
        clock: NDArray[np.int64],
        offset: NDArray[np.int64],
        index: NDArray[np.int16],
        score: NDArray[np.float64],
    ) -> Rarity:
        """Judge each score, then learn it; see `Calibrator.step`."""
        own, pool = self._own, self._pool
        chance, seconds = np.empty(len(score)), np.empty(len(score))
        _step_rows(
            plain(slot, np.int32),
            plain(clock, np.int64),
            plain(offset, np.int64),
            index.astype(np.int64),
            plain(score, np.float64),
            *(own[name] for name in _OWN),
            *(pool[name] for name in _POOLED),
            chance,
            seconds,
        )
        return Rarity(chance, seconds)

    def ready(self) -> int:
        """How many slots have rarities."""
        seen = self._own["body"][: self._own.n_slots, SEEN]
        return int(np.count_nonzero(seen >= WARMUP))

    def watched_s(self) -> float:
        """Seconds in which slots had rarities, added up over them."""
        return float(self._pool["body"][0, _P_LIVED])

    def state(self) -> State:
        """An exact copy of the state."""
        own = {f"own/{name}": array for name, array in self._own.state().items()}
        return {**own, **{f"pool/{name}": array for name, array in self._pool.state().items()}}

    def restore(self, state: State) -> None:
        """Go on from a copy.

        Raises
        ------
        StateMismatchError
            When it is not one of a cascade's.
        """
        self._own.restore(_under("own/", state))
        self._pool.restore(_under("pool/", state))


def _under(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
