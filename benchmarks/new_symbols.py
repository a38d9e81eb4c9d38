"""Row j: how long everything stands still when a new instrument comes."""

from __future__ import annotations

import gc
import statistics
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.contest import Taken, percentiles
from benchmarks.figures import Figure, must
from benchmarks.full import fold
from benchmarks.machine import WORK_CORE, pinned
from benchmarks.workload import Stream, market
from streamer.pipeline.runner_context import StepResult

_KNOWN = 200
_EACH = 100
_AROUND = 20

_Which = NDArray[np.bool_]


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Every second batch brings one new instrument; its time, less that of its neighbours that bring none.

    The same is taken of batches without a new one: what then remains is the machine's own noise. A batch's
    time is the median of the rounds, which all fold the same: what the machine does by chance does not come
    twice at the same batch, what the product does comes always.
    """
    del taken
    wanted = bench.scale.new_symbols
    stream = _stream(wanted)
    rounds = [_times(bench, stream) for _ in range(bench.scale.rounds)]
    fresh, raised = rounds[0][1], rounds[0][2]
    must(int(fresh.sum()) == wanted, f"{int(fresh.sum())} of {wanted} new instruments came alone")
    took = np.median([times for times, _, _ in rounds], axis=0)
    stall = _over_neighbours(took, fresh & ~raised, fresh | raised)
    noise = _over_neighbours(took, ~fresh & ~raised, fresh | raised)
    p50, p99, worst = percentiles(stall, 50, 99, 100)
    return [
        Figure("a new symbol's stall, p99", p99, "ms", most=1.0),
        Figure("a new symbol's stall, median", p50, "ms"),
        Figure(
            "a new symbol's stall, longest",
            worst,
            "ms",
            note=f"of {len(stall):,}, up to {_KNOWN + wanted:,} symbols",
        ),
        Figure("the same where none comes, p99", percentiles(noise, 99)[0], "ms", note="the machine's noise"),
    ]


def _stream(wanted: int) -> Stream:
    chosen = np.random.default_rng(7).integers(0, _KNOWN, (2 * wanted + 2, _EACH))
    chosen[0], chosen[1] = np.arange(_EACH), np.arange(_EACH, _KNOWN)
    chosen[2::2, _EACH // 2] = np.arange(_KNOWN, _KNOWN + wanted)
    return market(chosen.size, _KNOWN + wanted, chosen=chosen.ravel())


def _times(bench: Bench, stream: Stream) -> tuple[NDArray[np.float64], _Which, _Which]:
    """Each batch's ms; which bring a new instrument; which raise something: its commit is no part of this."""
    times, known, raised = [time.perf_counter()], [0], [False]

    def watch(step: StepResult) -> None:
        times.append(time.perf_counter())
        known.append(len(step.task.slots))
        raised.append(step.outcome.visible)

    gc.collect()
    with pinned(WORK_CORE):
        fold(bench.config, bench.plan, [stream.partition], stream.chunks(_EACH), watch=watch)
    # the first batches wait for the engine to be built, and know nobody yet
    return np.diff(times)[2:] * 1e3, np.diff(known)[2:] > 0, np.array(raised)[3:]


def _over_neighbours(took: NDArray[np.float64], which: _Which, other: _Which) -> list[float]:
    """The time of some batches, each less the median of those around it that are not `other`."""
    found = []
    for at in np.flatnonzero(which).tolist():
        around = range(max(at - _AROUND, 0), min(at + _AROUND + 1, len(took)))
        found.append(float(took[at]) - statistics.median(took[near] for near in around if not other[near]))
    return found
