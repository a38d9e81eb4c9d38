"""Events a second: the shipped example from memory to durable alerts, against a bare loop over River.

Both run on one core, in turn, on the same events: Binance trades and some quotes of 200 symbols. The bare
loop decodes, computes three features, and scores and learns with River's half-space trees, the same ten of
height 8.

    python -m benchmarks.throughput [--events 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from streamer.config.load import load
from streamer.notify.clock import SystemClock
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document, compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.warmup import warm_up
from streamer.sources.contract import Assignments, Chunk, Log, Partition, Record
from streamer.store.database import open_store
from streamer.store.ledger import Ledger

EXAMPLE = Path(__file__).parents[1] / "examples" / "binance.yaml"
RESULTS = Path(__file__).parent / "results" / "throughput.json"
SYMBOLS = 200
BATCH = 5_000
_NS_PER_MS = 1_000_000
_START_MS = 1_723_161_255_000
_LOG = Partition("spot.memory", "benchmark", 0)


def events(count: int, seed: int = 7) -> list[Record]:
    """Seeded trades, every eighth record a quote, as Binance writes them."""
    chance = random.Random(seed)
    price = {f"S{number:03d}USDT": 100 * math.exp(chance.gauss(0, 1)) for number in range(SYMBOLS)}
    symbols, now = list(price), _START_MS
    found = []
    for number in range(count):
        symbol = symbols[min(int(chance.expovariate(1 / 40)), SYMBOLS - 1)]
        price[symbol] *= math.exp(chance.gauss(0, 1e-4))
        now += number % 3 == 0
        level = price[symbol]
        if number % 8 == 7:
            value = (
                f'{{"e":"bookTicker","u":{number},"s":"{symbol}","b":"{level * 0.9999:.6f}","B":"3.1",'
                f'"a":"{level * 1.0001:.6f}","A":"2.2","T":{now},"E":{now}}}'
            )
        else:
            size = chance.lognormvariate(0, 1)
            value = (
                f'{{"e":"trade","E":{now},"s":"{symbol}","t":{number},"p":"{level:.6f}",'
                f'"q":"{size:.6f}","T":{now},"m":{"true" if chance.random() < 0.5 else "false"},"M":true}}'
            )
        found.append(Record(number, value.encode(), now * _NS_PER_MS))
    return found


class MemorySource:
    """Records that are in memory already; a `Source`."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._at = 0

    def open(self, assignments: Assignments) -> None:
        assignments.assigned([Log(_LOG, 0, len(self._records), 0)])

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        del timeout_s
        records = self._records[self._at : self._at + BATCH]
        self._at += len(records)
        return [Chunk(_LOG, records)] if records else []

    def at_end(self) -> frozenset[Partition]:
        return frozenset()

    def exhausted(self) -> bool:
        return self._at >= len(self._records)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        del positions

    def close(self) -> None:
        self._records = ()


def full(records: Sequence[Record], plan: Plan) -> float:
    """Events a second of the whole detection, store and checkpoints included."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_store(str(Path(folder) / "tapewatch.db"))
        ledger = Ledger(database, SystemClock())
        checkpoints = Path(folder) / "checkpoints"
        recovery = Recovery(
            plan,
            lambda config_hash: compile_document(ledger.config(config_hash)),
            ledger,
            checkpoints,
            batch_size=BATCH,
            watch=lambda work: None,
        )
        checkpointer = Checkpointer(ledger, checkpoints, 10.0, time.monotonic)
        engine = Engine(
            MemorySource(records), recovery, checkpointer, ticks_every_s=None, clock=time.monotonic
        )
        began = time.perf_counter()
        engine.run(lambda: False)
        took = time.perf_counter() - began
        database.close()
    return len(records) / took


class _Message(msgspec.Struct, gc=False):
    e: str
    s: str
    T: int
    p: str = "0"
    q: str = "0"
    b: str = "0"
    a: str = "0"


def bare(records: Sequence[Record]) -> float:
    """Events a second of a loop over River."""
    from river.anomaly import HalfSpaceTrees

    decode = msgspec.json.Decoder(_Message).decode
    models: dict[str, HalfSpaceTrees] = {}
    for number in range(SYMBOLS):  # River builds its trees with the first event: not part of the loop
        model = models[f"S{number:03d}USDT"] = HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=7)
        model.learn_one({"move": 0.5, "notional": 0.5, "gap": 0.5})
    last: dict[str, tuple[float, int]] = {}
    spread: dict[str, float] = {}
    began = time.perf_counter()
    for record in records:
        event = decode(record.value or b"")
        if event.e != "trade":
            spread[event.s] = float(event.a) - float(event.b)
            continue
        price, at = float(event.p), event.T
        before, then = last.get(event.s, (price, at))
        last[event.s] = (price, at)
        move = math.log(price / before) * 1e4
        notional = math.log1p(price * float(event.q))
        gap = float(at - then)
        x = {
            "move": 0.5 + 0.5 * move / (1 + abs(move)),
            "notional": notional / (1 + notional),
            "gap": gap / (1 + gap),
        }
        model = models[event.s]
        model.score_one(x)
        model.learn_one(x)
    return len(records) / (time.perf_counter() - began)


def measure(count: int, rounds: int) -> dict[str, float]:
    """Medians over rounds of both, taken in turn."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    plan = compile_plan(load(EXAMPLE))
    warm_up(plan, print)
    records = events(count)
    runs: dict[str, Callable[[], float]] = {
        "full": lambda: full(records, plan),
        "bare": lambda: bare(records),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    found = {name: statistics.median(rates) for name, rates in taken.items()}
    return {**found, "ratio": found["full"] / found["bare"]}


def main() -> None:
    """Measure, print a table, and write the figures down."""
    parser = argparse.ArgumentParser(description="Events a second, against a bare loop over River.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = measure(given.events, given.rounds)
    print(f"{'':28}{'events/s':>12}")
    print(f"{'bare loop over River':28}{found['bare']:>12,.0f}")
    print(f"{'examples/binance.yaml, all on':28}{found['full']:>11,.0f}")
    print(f"{'ratio':28}{found['ratio']:>12.1f}")
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "events": given.events}
    RESULTS.write_text(json.dumps({**found, **machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
