"""Hours of a small market in which something drifts from a known moment on, a quote a second."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from market_bytes import LOG, MS, T0, S, quote, trade
from pipeline_world import plan_of

from streamer.decoding.formats import DecodeContext
from streamer.messages.outcome import Outcome
from streamer.messages.records import Record
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task, Timer

RULES = "\n  big: {when: size > 50, clear: 0s, severity: info}\n"
DETECTORS = "\n  tape: {model: spread_model.Size, on: metric, features: [value]}\n"


def drift_plan(watch: str, more: str = "", rules: str = RULES, detectors: str = DETECTORS) -> Plan:
    return plan_of(rules, f"{detectors}drift: {{watch: [{watch}]{more}}}", flood=5, max_instruments=4)


def metric(at_ns: int, value: float, symbol: str) -> bytes:
    event = {"event_type": "metric", "symbol": symbol, "ts_event": at_ns, "value": value}
    return json.dumps(event).encode()


def hours(
    seconds: int,
    seed: int = 1,
    *,
    spread_from: int = 10**9,
    rate_from: int = 10**9,
    score_from: int = 10**9,
    alerts_from: int = 10**9,
    symbols: Sequence[str] = ("BTC",),
    drifting: Sequence[str] = ("BTC",),
    trades: float = 4.0,
) -> list[Record]:
    """Each thing doubles, or halves (the rate of trades), or begins (alerts), at its second."""
    chance = np.random.default_rng(seed)
    found: list[Record] = []

    def put(at: int, value: bytes) -> None:
        found.append(Record(len(found), value, at // MS * MS))

    for second in range(seconds):
        for symbol in symbols:
            now, moves = T0 + second * S, symbol in drifting
            half = 0.01 * (2 if moves and second >= spread_from else 1) * chance.lognormal(0, 0.3)
            put(now, quote(now, 100 - half, 100 + half, symbol))
            rate = trades / 2 if moves and second >= rate_from else trades
            big = moves and second >= alerts_from and second % 5 == 0
            for at in range(int(chance.poisson(rate))):
                put(now + at * MS, trade(now + at * MS, 100.0, 1.0, symbol))
            if big:
                put(now + 500 * MS, trade(now + 500 * MS, 100.0, 99.0, symbol))
            scale = 3.0 if moves and second >= score_from else 1.0
            put(now + 600 * MS, metric(now + 600 * MS, scale * float(chance.standard_t(3)), symbol))
    return found


def fold(
    plan: Plan, records: Sequence[Record | Timer], size: int = 500, task: Task | None = None
) -> tuple[Task, list[Outcome]]:
    """The records in batches of `size`, timers where they stand."""
    feed = plan.feed("trades")
    assert feed is not None
    task = task or Task(plan, LOG)
    found, waiting = [], list[Record]()
    for step in [*records, None]:
        if waiting and (not isinstance(step, Record) or len(waiting) == size):
            found.append(task.step(feed.format.decode(waiting, DecodeContext("trades", "here"))))
            waiting.clear()
        if isinstance(step, Timer):
            found.append(task.step(step))
        elif step is not None:
            waiting.append(step)
    return task, found
