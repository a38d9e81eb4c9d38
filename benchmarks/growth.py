"""Row k: what more instruments, rules and detectors cost; and what the size of a batch does."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.bench import Bench
from benchmarks.configuration import Document, configuration
from benchmarks.contest import Run, Taken, take
from benchmarks.figures import Figure, must
from benchmarks.full import compiled, fold
from benchmarks.machine import WORK_CORE, pinned
from benchmarks.workload import EVENTS_PER_MS, SYMBOLS, Stream, market
from streamer.messages.records import Chunk
from streamer.pipeline.runner_context import StepResult
from streamer.sources.kafka.kafka_source import MAX_POLL_RECORDS

BATCHES = (100, 500, 2_000, 5_000, 10_000)
_MOST = 2.0
_CHUNKS = 4
_KNOWN_AFTER_MS = 11_000  # of an instrument's time the inputs of the example's model are known
_LEARNT_AFTER = (
    20  # events more the model learns: `detectors.input_guard.ENOUGH` trades, and quotes between them
)
_CONDITIONS = (
    "size > {far} * size_mean_1h and notional > {money}k",
    "abs(return_bps_10s) > {bps}bps and trade_rate_10s > {rate}",
    "tape.score > 0.9{digits} and abs(return_bps_10s) > {bps}bps",
    "log_notional_10s > {log} and trade_rate_10s > {rate}",
)


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Rates at each number, and how much slower the most are than the fewest."""
    del taken
    scale = bench.scale
    runs: dict[str, Run] = {}
    for number in scale.symbols:
        runs[f"{number:,} symbols"] = _of_symbols(bench, number)
    for number in scale.rules:
        runs[f"{number} rules"] = _of(bench, _rules(number))
    for number in scale.detectors:
        runs[f"{number} detectors"] = _of(bench, _detectors(number))
    for number in BATCHES:
        runs[f"batches of {number:,}"] = _of(bench, _batches(number))
    found = take(runs, scale.rounds, bench.say)
    few, many = f"{scale.symbols[0]:,} symbols", f"{scale.symbols[-1]:,} symbols"
    some, most = f"{scale.rules[-2]} rules", f"{scale.rules[-1]} rules"
    return [
        found.ratio(few, many, f"rate at {few} / at {many}", most=_MOST),
        found.ratio(some, most, f"rate at {some} / at {most}", most=_MOST),
        *(found.rate(name, name) for name in runs),
    ]


def _of_symbols(bench: Bench, number: int) -> Run:
    """All instruments have been learnt from before time is taken: what a new one costs is another row's."""
    events = max(bench.scale.growth_events, 2 * number)
    at_first = _KNOWN_AFTER_MS * EVENTS_PER_MS + _LEARNT_AFTER * number
    first = market(at_first, number, chosen=np.arange(at_first) % number)
    stream = market(events, number, first=at_first, topic=first.partition.topic)
    later = Stream(
        first.partition, [*first.values, *stream.values], np.concatenate([first.times, stream.times])
    )
    return _timed(bench, lambda _: None, _chunks(later, events), len(first))


def _of(bench: Bench, change: Callable[[Document], None]) -> Run:
    stream = market(bench.scale.growth_events, SYMBOLS)
    return _timed(bench, change, _chunks(stream, len(stream)), 0)


def _chunks(stream: Stream, timed: int) -> list[Chunk]:
    """Some at least of the records that are timed: the first batch is not counted."""
    return list(stream.chunks(min(MAX_POLL_RECORDS, timed // _CHUNKS)))


def _timed(bench: Bench, change: Callable[[Document], None], chunks: list[Chunk], untimed: int) -> Run:
    """Records a second from the first batch behind `untimed` records to the last, without that first one."""
    config = configuration(change)
    plan = compiled(config)
    records = sum(len(chunk.records) for chunk in chunks)

    def run() -> float:
        seen = counted = 0
        began = ended = 0.0

        def watch(step: StepResult) -> None:
            nonlocal seen, counted, began, ended
            seen += step.records
            ended = time.perf_counter()
            if not began and seen >= untimed:
                began, counted = ended, seen

        with pinned(WORK_CORE):
            fold(config, plan, [chunks[0].partition], chunks, watch=watch)
        must(seen == records, f"{seen} of {records} records were folded")
        return (seen - counted) / (ended - began)

    return run


def _rules(number: int) -> Callable[[Document], None]:
    def change(found: Document) -> None:
        found["rules"] = {f"rule_{at}": _rule(at) for at in range(number)}

    return change


def _rule(at: int) -> Document:
    digits = f"{at % 90 + 10}"
    values = {"far": 50 + at, "money": 500 + at, "bps": 20 + at, "rate": 50 + at, "log": 14 + at % 5}
    return {"when": _CONDITIONS[at % len(_CONDITIONS)].format(digits=digits, **values), "for": "3 of 5"}


def _detectors(number: int) -> Callable[[Document], None]:
    def change(found: Document) -> None:
        tape = found["detectors"]["tape"]
        for at in range(1, number):
            found["detectors"][f"tape_{at}"] = {**tape, "params": {**tape["params"], "seed": 7 + at}}

    return change


def _batches(number: int) -> Callable[[Document], None]:
    def change(found: Document) -> None:
        found["engine"] = {**found.get("engine", {}), "batch_size": number}

    return change
