"""The cascade calibrator: from the rank of a score among earlier ones to its return period.

A score above its instrument's 90 % quantile descends a cascade of rings, each holding the last scores that
reached it. Its rank in the deepest ring reached gives its tail probability, which controllers correct;
probability, score rate and clustering give the return period. The instruments of a task share a pool,
which stands in for those whose own rings are still short. Every score is judged before it is learnt.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.calibrator import LONGEST_OF_WATCHED, Rarity
from detectors.calibration.rank_rings import (
    COUNT,
    LEVEL_FIELDS,
    OWN_ENTRIES,
    PLACE,
    POOL_ENTRIES,
    POWER,
    RINGS,
    TAIL,
    descend,
    refresh_thresholds,
    update_pool,
)
from detectors.calibration.return_periods import (
    CLUSTER_FIELDS,
    INDEX,
    LONGEST_GAP_S,
    NEVER,
    PERIOD_KNOTS,
    corrected_periods,
    counted_part,
    decay_periods,
    largest_part,
    observe_period,
    occasion_rates,
    raw_return_period,
    update_clusters,
    updated_gap,
)
from detectors.calibration.score_scale import (
    BODY_FIELDS,
    CENTRE,
    EDGE,
    EXCEEDED,
    EXCESS,
    SCALED,
    SEEN,
    UNIT,
    WARMUP,
    bounded,
    settle,
    update_excess,
    update_scale,
    updated_edge,
)
from detectors.calibration.tail_probabilities import (
    PROBABILITY_KNOTS,
    corrected_probabilities,
    decay_probabilities,
    observe_probability,
)
from detectors.event_columns import State, plain
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn
from detectors.time_units import NS_PER_SECOND

_GAP, _READY_S, _PROBABILITIES_AT, _PERIODS_AT, _GAP_PART = range(5)
_P_SCORES, _P_PROBABILITIES_AT, _P_READY_S, _P_PERIODS_AT, _P_EXCESS, _P_EXCESSES, _P_WATCHED = range(7)
_RATES, _POOL = 5, 7
# as checkpoints name them: "knots" and "waits" are the corrections of probabilities and return periods, and
# "spoke" holds the last occasions
_OWN = ("body", "rings", "levels", "knots", "rates", "clusters", "waits", "reached", "spoke", "last")
_POOLED = ("body", "rings", "levels", "knots", "waits")
_FEEDS_FROM = 5.0  # exceedances after which an instrument's mean excess is learnt by the pool
_POOL_READY = 30.0  # scores in the pool's third ring beyond which it stands in for short rings
_EXCESS_WEIGHT, _FIRST_WEIGHT, _POOL_WEIGHT = 1.0, 25.0, 50.0  # of one excess, of warm-up, of the pool
_NS = float(NS_PER_SECOND)


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
    refresh_thresholds(0, rings, levels, spare)


@kernel
def _pooled_scale(excess, exceeded, pool):  # type: ignore[no-untyped-def]
    own = exceeded * _EXCESS_WEIGHT + _FIRST_WEIGHT
    return math.exp((own * math.log(excess) + _POOL_WEIGHT * pool[_P_EXCESS]) / (own + _POOL_WEIGHT))


@kernel
def _judge(  # type: ignore[no-untyped-def]
    value, clock, instrument, number,
    body, rings, levels, prob_shifts, rates, clusters, period_shifts, reached, occasions,
    pool, pool_rings, pool_levels, pool_prob_shifts, pool_period_shifts, bounds, spare,
):  # fmt: skip
    # Judge a score above the edge, and learn it except for scale and edge.
    edge, excess = body[EDGE], body[EXCESS]
    pooled = pool_levels[2, COUNT] > _POOL_READY
    scale = excess
    if pool_levels[0, COUNT] > 0.0:
        scale = _pooled_scale(excess, body[EXCEEDED], pool)
    probability, smoothed, deepest = descend(
        value, edge, excess, scale, instrument, number, rings, levels, pool_rings, pool_levels, pooled, spare
    )
    common = probability >= TAIL
    scores = (body[SEEN] - WARMUP + 1.0, pool[_P_SCORES])
    own_passed, pool_passed = scores[0] - rates[_PROBABILITIES_AT], scores[1] - pool[_P_PROBABILITIES_AT]
    decay_probabilities(scores, own_passed, pool_passed, prob_shifts, pool_prob_shifts)
    rates[_PROBABILITIES_AT], pool[_P_PROBABILITIES_AT] = scores
    probability, smoothed = corrected_probabilities(
        probability, smoothed, prob_shifts, pool_prob_shifts, bounds
    )
    observe_probability(smoothed, scores, prob_shifts, pool_prob_shifts)

    # time that was taken back has passed already: corrections decay again once as much has passed since
    own_passed = max(rates[_READY_S] - rates[_PERIODS_AT], 0.0)
    pool_passed = max(pool[_P_READY_S] - pool[_P_PERIODS_AT], 0.0)
    decay_periods(own_passed, pool_passed, pool[_P_READY_S], period_shifts, pool_period_shifts)
    rates[_PERIODS_AT] = max(rates[_READY_S], rates[_PERIODS_AT])
    pool[_P_PERIODS_AT] = max(pool[_P_READY_S], pool[_P_PERIODS_AT])
    gap = rates[_GAP]
    occasion_rates(clusters, spare)
    period = raw_return_period(probability, gap, spare)
    period_smoothed = raw_return_period(smoothed, gap, spare) if smoothed != probability else period
    longest = LONGEST_OF_WATCHED * pool[_P_WATCHED]
    period, period_smoothed = corrected_periods(
        period, period_smoothed, longest, period_shifts, pool_period_shifts, bounds
    )
    observe_period(period_smoothed, clock, pool[_P_READY_S], occasions, period_shifts, pool_period_shifts)

    update_clusters(clock, deepest, gap, clusters, reached)
    refresh_thresholds(deepest, rings, levels, spare)
    if body[EXCEEDED] >= _FEEDS_FROM:
        pool[_P_EXCESS] += max(1.0 / (pool[_P_EXCESSES] + 1.0), 1e-4) * (math.log(excess) - pool[_P_EXCESS])
        pool[_P_EXCESSES] += 1.0
        update_pool((value - edge) / scale, instrument, number, pool_rings, pool_levels, spare)
    update_excess(value - edge, body)
    # a score tied with everything above the edge is as common as the edge itself
    return (1.0, 0.0) if common else (probability, period)


@kernel
def _step_rows(  # type: ignore[no-untyped-def]
    slot, clock, instrument, score,
    body, rings, levels, prob_shifts, rates, clusters, period_shifts, reached, occasions, last,
    pool, pool_rings, pool_levels, pool_prob_shifts, pool_period_shifts,
    probability, seconds,
):  # fmt: skip
    bounds, spare = np.empty(PROBABILITY_KNOTS), np.empty(POOL_ENTRIES)
    for row in range(slot.shape[0]):
        s = slot[row]
        probability[row], seconds[row] = np.nan, np.nan
        if not math.isfinite(score[row]):
            continue
        value = bounded(score[row])
        seen = body[s, SEEN]
        if seen > 0.0:
            elapsed = min((clock[row] - last[s]) / _NS, LONGEST_GAP_S)
            rates[s, _GAP] = updated_gap(elapsed, seen, rates[s, _GAP])
            rates[s, _GAP_PART] = largest_part(elapsed, seen, rates[s, _GAP_PART])
            pool[0, _P_WATCHED] += elapsed
            if seen >= WARMUP:
                rates[s, _READY_S] += elapsed
                pool[0, _P_READY_S] += elapsed
        last[s] = clock[row]
        if seen < WARMUP:
            # during warm-up the rings are empty, so their memory holds the first scores
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
        probability[row], seconds[row] = 1.0, 0.0
        if over:
            probability[row], seconds[row] = _judge(
                scaled, clock[row], instrument[row], int(seen),
                body[s], rings[s], levels[s], prob_shifts[s], rates[s], clusters[s], period_shifts[s],
                reached[s], occasions[s],
                pool[0], pool_rings[0], pool_levels[0], pool_prob_shifts[0], pool_period_shifts[0],
                bounds, spare,
            )  # fmt: skip
        body[s, SEEN] += 1.0
        body[s, EDGE] = updated_edge(body[s, EDGE], body[s, SEEN], over, excess)
        if body[s, SCALED] != 0.0:
            update_scale(value, body[s])


@kernel
def _take_back(elapsed, seen, rates, pool):  # type: ignore[no-untyped-def]
    # What was counted between scores, of which there are `seen`; the instrument may have been new, and so no
    # more than it can have counted. The mean gap is plain while there are few scores, hence its product.
    if seen > 1.0:
        elapsed = min(elapsed, max(rates[_GAP] * (seen - 1.0), rates[_READY_S]))
        pool[_P_WATCHED] = max(pool[_P_WATCHED] - elapsed, 0.0)
        part = counted_part(elapsed, seen - 1.0, rates[_GAP_PART])
        rates[_GAP] -= part
        rates[_GAP_PART] -= part
        ready = min(elapsed, rates[_READY_S])
        rates[_READY_S] -= ready
        pool[_P_READY_S] = max(pool[_P_READY_S] - ready, 0.0)


class Cascade:
    """Rarities for the scores of one detector, for every slot of a task.

    An instrument takes 3.7 KB, the pool 6.4 KB. An instrument warms up for its first 256 scores.

    Examples
    --------
    >>> cascade = Cascade()
    >>> cascade.grow(1)
    >>> n = 4000
    >>> seconds = np.arange(n, dtype=np.int64) * 1_000_000_000
    >>> score = np.random.default_rng(1).standard_normal(n)
    >>> score[-1] = 50.0
    >>> slot, instrument = np.zeros(n, np.int32), np.zeros(n, np.int64)
    >>> rarity = cascade.step(slot, seconds, instrument, score)
    >>> int(np.isnan(rarity.seconds).sum())
    256
    >>> bool(rarity.seconds[-1] > 86_400)
    True
    """

    spec = "cascade.1"

    def __init__(self) -> None:
        self._own = SlotArrays(
            {
                "body": SlotColumn(np.float64, 0, (BODY_FIELDS,)),
                "rings": SlotColumn(np.float64, 0, (RINGS, OWN_ENTRIES)),
                "levels": SlotColumn(np.float64, 0, (RINGS, LEVEL_FIELDS)),
                "knots": SlotColumn(np.float64, 0, (PROBABILITY_KNOTS,)),
                "rates": SlotColumn(np.float64, 0, (_RATES,)),
                "clusters": SlotColumn(np.float64, 0, (RINGS, CLUSTER_FIELDS)),
                "waits": SlotColumn(np.float64, 0, (PERIOD_KNOTS,)),
                "reached": SlotColumn(np.int64, NEVER, (RINGS,)),
                "spoke": SlotColumn(np.int64, NEVER, (PERIOD_KNOTS,)),
                "last": SlotColumn(np.int64, NEVER),
            }
        )
        self._pool = SlotArrays(
            {
                "body": SlotColumn(np.float64, 0, (_POOL,)),
                "rings": SlotColumn(np.float64, 0, (RINGS, POOL_ENTRIES)),
                "levels": SlotColumn(np.float64, 0, (RINGS, LEVEL_FIELDS)),
                "knots": SlotColumn(np.float64, 0, (PROBABILITY_KNOTS,)),
                "waits": SlotColumn(np.float64, 0, (PERIOD_KNOTS,)),
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
        instrument: NDArray[np.int64],
        score: NDArray[np.float64],
    ) -> Rarity:
        """Judge each score, then learn it; see `Calibrator.step`."""
        own, pool = self._own, self._pool
        probability, seconds = np.empty(len(score)), np.empty(len(score))
        _step_rows(
            plain(slot, np.int32),
            plain(clock, np.int64),
            plain(instrument, np.int64),
            plain(score, np.float64),
            *(own[name] for name in _OWN),
            *(pool[name] for name in _POOLED),
            probability,
            seconds,
        )
        return Rarity(probability, seconds)

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns; see `Calibrator.rebase`.

        Scores up to `to` and after it belong to one occasion if they lie close together.
        """
        own = self._own
        last = int(own["last"][slot])
        if last > to or last == NEVER:  # from which nothing is taken back, but it is compiled before any lie
            elapsed = min(max(last - to, 0) / _NS, LONGEST_GAP_S)
            _take_back(elapsed, own["body"][slot, SEEN], own["rates"][slot], self._pool["body"][0])
            own["last"][slot] = min(last, to)
        for name in ("reached", "spoke"):
            times = own[name][slot]
            np.minimum(times, to, out=times)

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first score; the pool keeps what it had of it."""
        self._own.forget(slot)

    def ready(self) -> int:
        """How many slots have left warm-up."""
        seen = self._own["body"][: self._own.n_slots, SEEN]
        return int(np.count_nonzero(seen >= WARMUP))

    def watched_s(self) -> float:
        """Seconds during which slots had rarities, summed over slots; see `Calibrator.watched_s`."""
        return float(self._pool["body"][0, _P_READY_S])

    def state(self) -> State:
        """An exact copy of the state."""
        own = {f"own/{name}": array for name, array in self._own.state().items()}
        return {**own, **{f"pool/{name}": array for name, array in self._pool.state().items()}}

    def restore(self, state: State) -> None:
        """Continue from a copy, or from one of a version that had no `rebase`.

        Raises
        ------
        StateMismatchError
            When it is not the state of a cascade.
        """
        own = _under("own/", state)
        if "rates" in own and own["rates"].shape[1:] == (_GAP_PART,):
            own["rates"] = np.pad(own["rates"], ((0, 0), (0, 1)))
        self._own.restore(own)
        self._pool.restore(_under("pool/", state))


def _under(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
