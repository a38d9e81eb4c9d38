"""Folds events of many instruments over more than an hour, and tells its memory: ``SYMBOLS EVENTS_EACH``.

Events are made as they are asked for, so that next to nothing but the state is in memory.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.configuration import configuration
from benchmarks.full import compiled, fold
from benchmarks.machine import resident_mb
from benchmarks.workload import market
from streamer.messages.records import Chunk, Partition
from streamer.pipeline.runner_context import StepResult

_SPAN_MS = 70 * 60_000
_AT_ONCE = 5_000
_PARTITION = Partition("spot.benchmark", "benchmark", 0)
_LAST = 0.95


def chunks(symbols: int, each: int) -> Iterator[Chunk]:
    """Every instrument once a turn, in another order each time."""
    chance = np.random.default_rng(7)
    per_ms = symbols * each / _SPAN_MS
    for turn in range(each):
        chosen = chance.permutation(symbols)
        for at in range(0, symbols, _AT_ONCE):
            first = turn * symbols + at
            some = market(
                min(_AT_ONCE, symbols - at),
                symbols,
                first=first,
                chosen=chosen[at : at + _AT_ONCE],
                per_ms=per_ms,
            )
            block = some.block(0, len(some))
            block.offset += first
            yield Chunk(_PARTITION, block)


def main(symbols: str, each: str) -> None:
    """Fold them; memory is the least of the last batches, when no checkpoint happens to be under way."""
    config = configuration()
    plan = compiled(config)
    for _ in zip(range(2), chunks(int(symbols), int(each)), strict=False):
        pass
    gc.collect()
    before = resident_mb()
    seen = slots = 0
    least = float("inf")

    def watch(step: StepResult) -> None:
        nonlocal seen, slots, least
        seen += step.records
        slots = len(step.task.slots)
        if seen >= _LAST * int(symbols) * int(each):
            least = min(least, resident_mb())

    folded = fold(config, plan, [_PARTITION], chunks(int(symbols), int(each)), watch=watch)
    found = {"records": folded.records, "slots": slots, "rate": folded.rate}
    print(json.dumps({**found, "before_mb": before, "after_mb": least, "peak_mb": resident_mb(peak=True)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
