"""Checkpoints, a stop and a start with very many instruments: ``SYMBOLS EVENTS_EACH SECONDS RATE``.

All instruments come with some events each, as fast as they are folded; then a feed of so many events a second
goes on for some seconds, and the service is stopped and started again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.configuration import Document, configuration
from benchmarks.full import MemorySource, compiled
from benchmarks.machine import resident_mb
from benchmarks.stopwatch import recorded
from benchmarks.workload import market
from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Extent, Partition
from streamer.notify.clock import SystemClock
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document
from streamer.pipeline.engine import Engine
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner_context import RunnerContext
from streamer.store.database import open_store
from streamer.store.ledger import Ledger

_AT_ONCE = 20_000
_PARTITION = Partition("spot.benchmark", "benchmark", 0)
_NS = 1_000_000_000


def chunks(symbols: int, each: int, seconds: float, rate: int) -> Iterator[Chunk]:
    """All instruments a few times in any order, then some seconds of a feed in which few have most events."""
    chance = np.random.default_rng(7)
    first = 0
    for _ in range(each):
        order = chance.permutation(symbols)
        for at in range(0, symbols, _AT_ONCE):
            chosen = order[at : at + _AT_ONCE]
            yield _chunk(len(chosen), symbols, first, chosen)
            first += len(chosen)
    count = max(rate // 10, 1)
    made = [_chunk(count, symbols, first + number * count, None) for number in range(int(10 * seconds))]
    began = time.monotonic()
    for number, chunk in enumerate(made):
        time.sleep(max(began + number / 10 - time.monotonic(), 0))
        yield chunk


def _chunk(count: int, symbols: int, first: int, chosen: np.ndarray | None) -> Chunk:
    block = market(count, symbols, first=first, chosen=chosen).block(0, count)
    block.offset += first
    return Chunk(_PARTITION, block)


def _many(found: Document) -> None:
    found.setdefault("engine", {})["max_instruments"] = 1_000_000
    found["checkpoint"] = {"every": "10s"}


def main(symbols: str, each: str, seconds: str, rate: str) -> None:
    """Run it, and print what was seen."""
    config = configuration(_many)
    plan = compiled(config)
    completed: list[tuple[float, float]] = []
    with TemporaryDirectory(prefix="tapewatch-bench-") as name:
        folder = Path(name)
        database = open_store(str(folder / "tapewatch.db"))
        ledger = Ledger(database, SystemClock())

        def recovery() -> Recovery:
            context = RunnerContext(
                ledger,
                lambda config_hash: compile_document(ledger.config(config_hash)),
                config.settings.engine.batch_size,
                lambda _: None,
            )
            return Recovery(plan, context, folder / "checkpoints")

        every_s = config.settings.checkpoint.every_ns / _NS
        checkpointer = Checkpointer(
            ledger,
            folder / "checkpoints",
            every_s,
            time.monotonic,
            lambda done: completed.append((done.size / 1e6, done.took_s)),
        )
        source = MemorySource([_PARTITION], chunks(int(symbols), int(each), float(seconds), int(rate)))
        engine = Engine(source, recovery(), checkpointer, timer_every_s=None, clock=time.monotonic)
        with recorded(Checkpointer, "work") as works, recorded(Checkpointer, "take_now") as stops:
            engine.run(lambda: False)
        slots = len(engine.runners[_PARTITION].task.slots)
        peak, on_disk = resident_mb(peak=True), sum(each.stat().st_size for each in folder.rglob("*.ckpt"))
        del engine, source
        began = time.perf_counter()
        recovery().recover([LogExtent.of(Extent(_PARTITION, 0, 2**62, 0))])
        recovered = time.perf_counter() - began
        database.close()
    pauses = sorted((end - start for start, end in works), reverse=True)[:5]
    found = {
        "instruments": slots,
        "checkpoints (MB, s)": [(round(size, 1), round(took, 2)) for size, took in completed],
        "longest pauses (ms)": [round(1e3 * pause) for pause in pauses],
        "stop (s)": round(stops[-1][1] - stops[-1][0], 2),
        "recovery (s)": round(recovered, 2),
        "files (MB)": round(on_disk / 1e6),
        "peak (MB)": round(peak),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
