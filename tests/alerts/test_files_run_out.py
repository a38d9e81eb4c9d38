"""Too many open files are no reason to end: it is told, nothing is lost, and all goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, resource, sqlite3, sys, time
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from fakes.alert_bodies import commit
from fakes.delivering import notifier
from streamer.notify import sender
from streamer.store import database as store_database
from streamer.store.database import open_store

store_database._FILES_WITHIN_S = 0.3
sender._FILES_AGAIN_S = 0.05
database = open_store(sys.argv[1])
running = notifier(database, {"desk": {"file": {"path": sys.argv[2]}}}, {"to": ["desk"]})
held = []
running.start()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
commit(database, *((f"a{n}", 0) for n in range(100)))
running.wake()
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 30, limit[1]))
keeper = sqlite3.connect(sys.argv[1])
keeper.execute("SELECT count(*) FROM meta").fetchall()  # the write-ahead log stays
database.engine.dispose()  # so that each thread has to open its connection anew
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
time.sleep(1.0)
print("failure", running.failure, flush=True)
for each in held:
    os.close(each)
deadline = time.monotonic() + 60
while not running.idle() and time.monotonic() < deadline:
    time.sleep(0.02)
print("stopped", running.stop(5.0), running.failure, flush=True)
"""


def test_alerts_wait_for_a_file_and_are_delivered(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "tape.db"), str(alerts)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["failure None", "stopped True None"], done.stderr
    assert "too many files are open" in done.stderr
    assert len(set(alerts.read_text().splitlines())) == 100
