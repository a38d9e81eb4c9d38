"""`python -m benchmarks.drain`: how fast a backlog goes to one slow receiver, and what a post costs.

A store is filled with pending deliveries, each of an episode of its own, and sent to a server in a process
of its own that answers each post after some time. Rate and CPU time are taken over the first posts, so that
they tell what one costs while all the others wait.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import structlog

from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.stages.chain import StageChain
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.receiver_set import ReceiverSet
from streamer.notify.sender_context import SenderContext
from streamer.store.database import Database, open_store

_FIRST = 200  # posts before the measurement: connections, caches, threads
_LOOK_S = 0.005
_NAME, _SECRET = "desk", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
_BODY_BYTES = 700  # as an alert has
_OUTBOX = """
    INSERT INTO outbox (
        n, alert_id, number, origin, transition, rule, severity, ts_event_ns, body, config_hash, created_at,
        routed
    )
    WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < ?)
    SELECT i, printf('%032x', i), 0, 'service', 'fired', 'log_gap', 'warning', 0, ?, '', 0, 1 FROM k
"""
_DELIVERIES = """
    INSERT INTO deliveries (outbox_n, alert_id, number, receiver, state, attempts, next_at, in_doubt)
    SELECT n, alert_id, 0, ?, 'pending', 0, 0, 0 FROM outbox
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """What was measured over some posts.

    Parameters
    ----------
    pending
        How many were pending at the start.
    rate
        Posts a second.
    cpu_ms
        CPU time of the sending process, in ms a post.
    """

    pending: int
    rate: float
    cpu_ms: float


def measure(pending: int, posts: int, answer_s: float, parallel: int | None, folder: Path) -> Drained:
    """Drain a backlog for a while.

    Parameters
    ----------
    pending
        How many deliveries wait.
    posts
        Over how many of them it is measured.
    answer_s
        How long the server takes to answer each, in seconds.
    parallel
        As in the receiver's settings, None for the default.
    folder
        Where the store is made.
    """
    database = open_store(str(folder / f"{pending}.db"))
    _fill(database, pending)
    with _server(answer_s) as (port, received):
        settings = ReceiverSettings.model_validate(
            {
                "webhook": {"url": f"http://127.0.0.1:{port}/", "secret": {"env": "BENCHMARK_SECRET"}},
                "cap": "off",
                "parallel": parallel,
            }
        )
        receiver = build_receiver(_NAME, settings, lambda _: _SECRET, SystemClock())
        known = ReceiverSet((_NAME,), {_NAME: receiver}, StageChain(()), parallel={_NAME: settings.at_once})
        running = Notifier(known, SenderContext(database, SystemClock()))
        running.start()
        first = min(_FIRST, pending // 4)
        _wait_for(received, first)
        began, cpu, before = time.monotonic(), time.process_time(), received.value
        _wait_for(received, min(first + posts, pending))
        took, cpu, count = time.monotonic() - began, time.process_time() - cpu, received.value - before
        running.stop(0.0)
    database.close()
    return Drained(pending, count / took, 1_000 * cpu / count)


def _wait_for(received: Synchronized[int], count: int) -> None:
    while received.value < count:
        time.sleep(_LOOK_S)


def _fill(database: Database, pending: int) -> None:
    """Rows of one alert each, written as a commit and its routing would."""
    body = json.dumps({"rule": "log_gap", "severity": "warning", "text": "x" * _BODY_BYTES}).encode()
    with database.write() as connection:
        connection.exec_driver_sql(_OUTBOX, (pending, body))
        connection.exec_driver_sql(_DELIVERIES, (_NAME,))


class _Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer_s: float
    received: Synchronized[int]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.answer_s)
        with self.received.get_lock():
            self.received.value += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: it would be a line each."""


def _serve(answer_s: float, port: Synchronized[int], received: Synchronized[int]) -> None:
    _Slow.answer_s, _Slow.received = answer_s, received
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        port.value = server.server_address[1]
        server.serve_forever()


@contextmanager
def _server(answer_s: float) -> Iterator[tuple[int, Synchronized[int]]]:
    context = multiprocessing.get_context("spawn")
    port, received = context.Value("i", 0), context.Value("i", 0)
    process = context.Process(target=_serve, args=(answer_s, port, received), daemon=True)
    process.start()
    try:
        while not port.value:
            time.sleep(_LOOK_S)
        yield port.value, received
    finally:
        process.kill()
        process.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, a line each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=__doc__)
    parser.add_argument("--pending", type=int, nargs="+", default=[1_000, 100_000], help="backlogs to drain")
    parser.add_argument("--posts", type=int, default=800, help="posts that are measured")
    parser.add_argument("--answer-ms", type=float, default=20.0, help="time that the server takes for a post")
    parser.add_argument("--parallel", type=int, help="posts on their way at once")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    given = parser.parse_args(arguments)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for pending in given.pending:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(pending, given.posts, given.answer_ms / 1_000, given.parallel, Path(folder))
        if given.json:
            print(json.dumps({"pending": pending, "rate": found.rate, "cpu_ms": found.cpu_ms}))
        else:
            print(f"{pending:>9,} pending: {found.rate:,.0f} posts/s, {found.cpu_ms:.2f} ms CPU a post")


if __name__ == "__main__":
    main()
