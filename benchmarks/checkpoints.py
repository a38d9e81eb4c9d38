"""Row m: how long checkpoints hold up the hot path, and how long an alert waits for its commit meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.bench import Bench
from benchmarks.configuration import Document, configuration
from benchmarks.contest import Taken, percentiles
from benchmarks.figures import Figure, must
from benchmarks.full import compiled, fold
from benchmarks.stopwatch import recorded
from benchmarks.workload import market
from streamer.messages.records import Chunk, Partition
from streamer.pipeline.checkpoint_chain import TaskChain
from streamer.pipeline.checkpointing import Checkpointer
from streamer.store.ledger import Ledger

_EACH = 1_000
_PARTITION = Partition("spot.benchmark", "benchmark", 0)
_PAUSE_MS = {1_000: 20.0, 10_000: 100.0}
_COMMIT_MS = 10.0
_AFTERWARDS = 50
"""Chunks that are still folded when the checkpoint is complete."""


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """At either number of instruments: the longest pause, and p99 of commits that fell into a checkpoint."""
    del taken
    found: list[Figure] = []
    for symbols in bench.scale.pauses:
        pauses: list[float] = []
        waits: list[float] = []
        sizes: list[int] = []
        for _ in range(bench.scale.rounds):
            _one(bench, symbols, pauses, waits, sizes)
        size = f"{len(sizes)} checkpoints of {max(sizes) / 1e6:,.0f} MB"
        found += [
            Figure(
                f"{symbols:,} symbols: longest pause",
                max(pauses),
                "ms",
                most=_PAUSE_MS.get(symbols),
                note=size,
            ),
            Figure(
                f"{symbols:,} symbols: an alert's wait for its commit meanwhile, p99",
                percentiles(waits, 99)[0] if waits else None,
                "ms",
                most=_COMMIT_MS,
                note=f"{len(waits):,} commits" if waits else "not run: none fell into a checkpoint",
            ),
        ]
    return found


def _one(bench: Bench, symbols: int, pauses: list[float], waits: list[float], sizes: list[int]) -> None:
    """A run until one checkpoint has been taken in it; its times in ms."""
    config = configuration(_marked)
    plan = compiled(config)
    with (
        recorded(Checkpointer, "work") as works,
        recorded(TaskChain, "write") as writes,
        recorded(Ledger, "commit") as commits,
    ):
        done: list[int] = []
        chunks = _until(lambda: bool(done), symbols, bench.scale.pause_s)
        folded = fold(config, plan, [_PARTITION], chunks, checkpointed=lambda each: done.append(each.size))
    must(bool(folded.alerts), "no alert was committed")
    must(len(done) > 1, "no checkpoint was completed before the end")
    begun, ended = writes[0]
    sizes.append(done[0])
    pauses += [1e3 * (end - began) for began, end in works]
    # those of nothing visible, as a checkpoint makes first of all, are over before it is written
    waits += [1e3 * (end - began) for began, end in commits if begun <= end and began <= ended]


def _until(done: Callable[[], bool], symbols: int, at_most_s: float) -> Iterator[Chunk]:
    """Events made as they are asked for: all instruments first, then any, until a while after `done`."""
    give_up = time.perf_counter() + at_most_s
    chance = np.random.default_rng(7)
    first, left = 0, _AFTERWARDS
    while left and time.perf_counter() < give_up:
        chosen = np.arange(symbols) if first == 0 else chance.integers(0, symbols, _EACH)
        made = market(len(chosen), symbols, first=first, chosen=chosen)
        block = made.block(0, len(made))
        block.offset += first
        yield Chunk(_PARTITION, block)
        first += len(made)
        left -= done()


def _marked(found: Document) -> None:
    """A rule that one trade in 700 meets, so that most batches have something to commit."""
    found["rules"]["marked"] = {"when": "size > 20", "clear": "1s"}
