"""Row e: compiled half-space trees against River's own, score then learn, with every score the same."""

from __future__ import annotations

import pickle
import time

import numpy as np
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees as River

from benchmarks.bare import PARAMS
from benchmarks.bench import Bench
from benchmarks.contest import Taken, take
from benchmarks.figures import Figure, must
from benchmarks.machine import WORK_CORE, pinned
from detectors.models.half_space_trees import HalfSpaceTrees
from detectors.models.model import READY

FEATURES = ("a", "b", "c")
SYMBOLS = 200
_EACH = 500
BATCH = 500
ASKED = 35.0
_REPEATS = 20
"""How often the compiled trees do the whole, so that their time can be taken."""


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Rows of 200 instruments, batches of 500, in turn."""
    del taken
    count = bench.scale.peer_events
    symbols = min(SYMBOLS, count // _EACH)
    chance = np.random.default_rng(7)
    slot = np.minimum(chance.exponential(symbols / 5, count).astype(np.int32), symbols - 1)
    x = chance.beta(2, 5, (count, len(FEATURES)))
    scores: dict[str, NDArray[np.float64]] = {}

    def river() -> float:
        with pinned(WORK_CORE):
            rate, scores["river"] = _river(slot, x)
        return rate

    def compiled() -> float:
        with pinned(WORK_CORE):
            rate, scores["compiled"] = _compiled(slot, x)
        both = ~np.isnan(scores["compiled"])
        must(bool(both.any()), "no instrument became ready")
        same = scores["compiled"][both] == scores["river"][both]
        must(bool(same.all()), f"{int((~same).sum())} scores are not River's")
        must(not scores["river"][~both].any(), "River scored rows that were still warming")
        return rate

    found = take({"River's trees": river, "compiled trees": compiled}, bench.scale.rounds, bench.say)
    return [
        found.ratio("compiled trees", "River's trees", "compiled / River's, batches of 500", least=ASKED),
        found.rate("compiled trees", "compiled: score and learn"),
        found.rate("River's trees", "River's: score and learn"),
    ]


def _river(slot: NDArray[np.int32], x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    made = pickle.dumps(_fresh())
    models = [pickle.loads(made) for _ in range(SYMBOLS)]
    rows = [dict(zip(FEATURES, row, strict=True)) for row in x.tolist()]
    scores = []
    began = time.perf_counter()
    for at, row in zip(slot.tolist(), rows, strict=True):
        model = models[at]
        scores.append(model.score_one(row))
        model.learn_one(row)
    return len(rows) / (time.perf_counter() - began), np.array(scores, np.float64)


def _fresh() -> River:
    """River's trees, built, with nothing learnt: they are built by the first row, which is then forgotten."""
    model = River(**PARAMS)
    model.learn_one(dict.fromkeys(FEATURES, 0.5))
    model.counter = 0
    model._first_window = True
    for nodes in model._tree_nodes:
        for node in nodes:
            node.l_mass = node.r_mass = 0
    return model


def _compiled(slot: NDArray[np.int32], x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The rate over several goes with fresh state; the last one's scores."""
    took = 0.0
    score = np.empty(len(slot))
    _pass(slot[:BATCH], x[:BATCH], score[:BATCH])  # compiled, or read from the cache
    for _ in range(_REPEATS):
        took += _pass(slot, x, score)
    return _REPEATS * len(slot) / took, score


def _pass(slot: NDArray[np.int32], x: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    model = HalfSpaceTrees(FEATURES, **PARAMS)
    model.grow(SYMBOLS)
    n = len(slot)
    target, learn, status = np.full(n, np.nan), np.ones(n, np.bool_), np.empty(n, np.int8)
    began = time.perf_counter()
    for at in range(0, n, BATCH):
        some = slice(at, at + BATCH)
        score[some], status[some] = model.step(slot[some], x[some], target[some], learn[some])
    took = time.perf_counter() - began
    score[status != READY] = np.nan
    return took
