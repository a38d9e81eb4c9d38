"""Row l: how long `tapewatch run` takes from its start to its first decision, kernels compiled or not."""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.configuration import Document, service_document
from benchmarks.contest import Taken
from benchmarks.daemon import daemon
from benchmarks.figures import Figure, must

_WARM_S, _COLD_S = 2.0, 60.0
_GIVE_UP_S = 180.0
_NOTICE = "preparing kernels"
_NOT_COLD = "not run: it takes up to a minute"
_AS_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}  # what Python has compiled it keeps, whatever is set here


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The topic holds events before the start, and any trade raises an alert, so that the first is one."""
    del taken
    topic = bench.sample_topic
    environ = _AS_INSTALLED
    cold = Figure("kernels not compiled", None, "s", most=_COLD_S, note=_NOT_COLD)
    if bench.scale.cold:
        environ = {**_AS_INSTALLED, "NUMBA_CACHE_DIR": str(bench.new_folder())}
        took, said = _first_decision(bench, topic, environ)
        must(_NOTICE in said, f"nothing was said while compiling: {said}")
        bench.say(f"cold: {took:.1f} s")
        cold = Figure("kernels not compiled", took, "s", most=_COLD_S, note="a line says so meanwhile")
    times = [_first_decision(bench, topic, environ)[0] for _ in range(bench.scale.rounds)]
    warm = statistics.median(times)
    return [
        Figure("kernels compiled", warm, "s", most=_WARM_S, spread=(min(times), max(times))),
        cold,
    ]


def _first_decision(bench: Bench, topic: str, environ: dict[str, str]) -> tuple[float, str]:
    """Seconds from starting the process until the store holds a decision, and what was said till then."""
    folder = bench.new_folder()
    config = service_document(folder, bench.broker.bootstrap, topic, change=_any_trade)
    began = time.monotonic()
    with daemon(config, environ) as running:
        running.wait_until(lambda: _decided(folder / "tapewatch.db"), "a decision", _GIVE_UP_S)
        return time.monotonic() - began, running.said()


def _any_trade(found: Document) -> None:
    found["rules"]["any_trade"] = {"when": "size > 0"}


def _decided(store: Path) -> bool:
    if not store.exists():
        return False
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT 1 FROM decisions LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:  # its tables are being made
        return False
    finally:
        connection.close()
