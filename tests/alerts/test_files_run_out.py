"""Too many open files are no reason to end: it is told, nothing is lost, and all goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, resource, sqlite3, sys, threading, time
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
if sys.argv[3:] == ["stop"]:
    print("stopped", running.stop(1.0), running.failure, flush=True)
    deadline = time.monotonic() + 30
    while any(each.name.startswith(("sender-", "deliver-")) for each in threading.enumerate()):
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.02)
    print("ended", flush=True)
    os._exit(0)
for each in held:
    os.close(each)
deadline = time.monotonic() + 60
while not running.idle() and time.monotonic() < deadline:
    time.sleep(0.02)
print("stopped", running.stop(5.0), running.failure, flush=True)
"""

RELOAD = """
import os, resource, sqlite3, sys, threading, time
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from fakes.alert_bodies import commit
from fakes.delivering import QUICK, receiver_set
from streamer.notify import sender
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.sender_context import SenderContext
from streamer.store import database as store_database
from streamer.store.database import open_store

store_database._FILES_WITHIN_S = 0.2
sender._FILES_AGAIN_S = 0.05
answer, asked, got = threading.Event(), threading.Event(), []

class Slow:
    def deliver(self, delivery, note):
        asked.set()
        answer.wait(60)

class Quick:
    def deliver(self, delivery, note):
        got.append((delivery.alert_id, delivery.number))

database = open_store(sys.argv[1])
running = Notifier(receiver_set({"desk": Slow()}), SenderContext(database, SystemClock(), QUICK))
running.start()
commit(database, ("a1", 0))
running.wake()
assert asked.wait(60)
keeper = sqlite3.connect(sys.argv[1])
keeper.execute("SELECT count(*) FROM meta").fetchall()  # the write-ahead log stays
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 5, limit[1]))
database.engine.dispose()
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
running.turn_to(receiver_set({"desk": Quick()}))
answer.set()
time.sleep(0.5)
print("failure", running.failure, flush=True)
for each in held:
    os.close(each)
commit(database, ("a1", 1))
running.wake()
deadline = time.monotonic() + 60
while not running.idle() and time.monotonic() < deadline:
    time.sleep(0.02)
print("stopped", running.stop(5.0), running.failure, got, flush=True)
"""


def run(*arguments: str, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_alerts_wait_for_a_file_and_are_delivered(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    done = run(str(tmp_path / "tape.db"), str(alerts))
    assert done.stdout.splitlines() == ["failure None", "stopped True None"], done.stderr
    assert "too many files are open" in done.stderr
    assert len(set(alerts.read_text().splitlines())) == 100


def test_a_stop_does_not_wait_for_a_file(tmp_path: Path) -> None:
    done = run(str(tmp_path / "tape.db"), str(tmp_path / "alerts.jsonl"), "stop")
    assert done.stdout.splitlines() == ["failure None", "stopped False None", "ended"], done.stderr


def test_a_delivery_in_the_midst_of_a_reload_is_booked_once_there_are_files(tmp_path: Path) -> None:
    done = run(str(tmp_path / "tape.db"), script=RELOAD)
    assert done.stdout.splitlines() == ["failure None", "stopped True None [('a1', 1)]"], done.stderr
