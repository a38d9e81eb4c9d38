"""Row j: how long everything stands still when a new instrument comes."""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.contest import Taken, percentiles
from benchmarks.figures import Figure, must
from benchmarks.full import fold
from benchmarks.machine import WORK_CORE, pinned
from benchmarks.workload import market
from streamer.pipeline.runner import Work

_KNOWN = 200
_EACH = 100
_AROUND = 20


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Every second batch brings one new instrument; its time, less that of its neighbours that bring none.

    The same is taken of batches without a new one: what then remains is the machine's own noise.
    """
    del taken
    wanted = bench.scale.new_symbols
    took, fresh = _batches(bench, wanted)
    must(int(fresh.sum()) == wanted, f"{int(fresh.sum())} of {wanted} new instruments came alone")
    stall, noise = _over_neighbours(took, fresh, True), _over_neighbours(took, fresh, False)
    p50, p99, worst = percentiles(stall, 50, 99, 100)
    return [
        Figure("a new symbol's stall, p99", p99, "ms", most=1.0),
        Figure("a new symbol's stall, median", p50, "ms"),
        Figure(
            "a new symbol's stall, longest",
            worst,
            "ms",
            note=f"of {wanted:,}, up to {_KNOWN + wanted:,} symbols",
        ),
        Figure("the same where none comes, p99", percentiles(noise, 99)[0], "ms", note="the machine's noise"),
    ]


def _batches(bench: Bench, wanted: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    chosen = np.random.default_rng(7).integers(0, _KNOWN, (2 * wanted + 2, _EACH))
    chosen[0], chosen[1] = np.arange(_EACH), np.arange(_EACH, _KNOWN)
    chosen[2::2, _EACH // 2] = np.arange(_KNOWN, _KNOWN + wanted)
    stream = market(chosen.size, _KNOWN + wanted, chosen=chosen.ravel())
    times, known = [time.perf_counter()], [0]

    def watch(work: Work) -> None:
        times.append(time.perf_counter())
        known.append(len(work.task.slots))

    with pinned(WORK_CORE):
        fold(bench.config, bench.plan, [stream.partition], stream.chunks(_EACH), watch=watch)
    # the first batches wait for the engine to be built, and know nobody yet
    return np.diff(times)[2:] * 1e3, np.diff(known)[2:] > 0


def _over_neighbours(took: NDArray[np.float64], fresh: NDArray[np.bool_], which: bool) -> list[float]:
    """The time of batches with, or without, a new instrument, less the median of those around without."""
    found = []
    for at in np.flatnonzero(fresh == which).tolist():
        around = range(max(at - _AROUND, 0), min(at + _AROUND + 1, len(took)))
        found.append(float(took[at]) - statistics.median(took[other] for other in around if not fresh[other]))
    return found
