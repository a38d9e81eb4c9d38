"""Row h: from a producer's `send` to the webhook's arrival, through a real broker and the real daemon."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bench import Bench
from benchmarks.configuration import Document, service_document
from benchmarks.contest import Taken, percentiles
from benchmarks.daemon import daemon
from benchmarks.figures import Figure, must
from benchmarks.process import run_worker
from benchmarks.webhooks import webhooks
from benchmarks.workers.producer import MARK

ALERTS_PER_S = 20
ASKED_MS = 50.0
_UP_S = 60.0
_RATE_MISSED = 0.95


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Nothing is pinned: producer, broker, daemon and the server of the webhook share the cores."""
    del taken
    found = _run(bench)
    p50, p99, p999, worst = percentiles(found.ms, 50, 99, 99.9, 100)
    told = f"{len(found.ms):,} alerts in {bench.scale.latency_s} s, {found.rate:,.0f} events/s"
    return [
        Figure("send to webhook, p99", p99, "ms", most=ASKED_MS, note=told),
        Figure("send to webhook, p50", p50, "ms"),
        Figure("send to webhook, p99.9", p999, "ms"),
        Figure("send to webhook, longest", worst, "ms"),
        Figure("of it from send until its commit begins, p50", percentiles(found.committing, 50)[0], "ms"),
        Figure("of it from send until its commit begins, p99", percentiles(found.committing, 99)[0], "ms"),
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    ms: list[float]
    committing: list[float]
    rate: float


def _run(bench: Bench) -> _Found:
    scale, broker = bench.scale, bench.broker
    seconds, every = scale.latency_s + scale.warm_s, scale.rate // ALERTS_PER_S
    topic, folder = broker.topic("spot.latency"), bench.new_folder()
    times = folder / "sent.npy"
    bench.say(f"sending {scale.rate:,} events a second for {seconds} s")
    with webhooks() as server:
        receiver = {"webhook": {"url": server.url, "secret": {"env": "BENCHMARK_SECRET"}}, "cap": "off"}
        config = service_document(folder, broker.bootstrap, topic, receiver, _marked)
        with daemon(config) as running:
            running.wait_until(lambda: "running" in running.said(), "the daemon's start", _UP_S)
            sent = run_worker(
                "producer", broker.bootstrap, topic, scale.rate, seconds, every, times, core=None
            )
            count = -(-scale.rate * seconds // every)
            running.wait_until(lambda: len(_fired(server.received)) >= count, "every alert", _UP_S)
            running.stop()
        must(sent["last_offset"] == sent["sent"] - 1, "offsets are not the order in which events were sent")
        must(sent["rate"] >= _RATE_MISSED * scale.rate, f"only {sent['rate']:,.0f} events/s could be sent")
        fired = _fired(server.received)
        must(len(fired) == count, f"{len(fired)} of {count} alerts came")
        must(len(server.received) == len({_key(body) for _, body in server.received}), "an alert came twice")
    at = np.load(times)
    warm = scale.rate * scale.warm_s
    counted = [each for each in fired if each.offset >= warm]
    created = _created(folder / "tapewatch.db")
    return _Found(
        [(each.ns - int(at[each.offset])) / 1e6 for each in counted],
        [created[each.id] * 1e3 - int(at[each.offset]) / 1e6 for each in counted],
        sent["rate"],
    )


def _created(store: Path) -> dict[str, float]:
    """When the commit of each alert began, in s since 1970."""
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute("SELECT alert_id, created_at FROM outbox WHERE number = 0"))


def _marked(found: Document) -> None:
    found["rules"]["marked"] = {"when": f"size == {MARK}", "clear": "1s", "severity": "critical"}


@dataclass(frozen=True, slots=True)
class _Fired:
    ns: int
    offset: int
    id: str


def _fired(received: list[tuple[int, bytes]]) -> list[_Fired]:
    """When alerts of marked events came in, and the offset of each one's event."""
    found = []
    for ns, body in list(received):
        alert = json.loads(body)
        if alert["rule"] == "marked" and alert["transition"] == "fired":
            found.append(_Fired(ns, int(alert["source"]["offset"]), alert["id"]))
    return found


def _key(body: bytes) -> tuple[str, int]:
    alert = json.loads(body)
    return alert["id"], alert["number"]
