"""How long work may stand still before the process ends itself: it depends on what is waited for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from detectors.work_watch import watched_by
from streamer.app.signals import STOP_SIGNALS, ServiceSignals
from streamer.app.watchdog import Watchdog
from streamer.pipeline.progress import WorkProgress
from streamer.store.database import open_store
from streamer.store.work_file import WorkFile


@pytest.fixture
def signals() -> Iterator[ServiceSignals]:
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, *STOP_SIGNALS)}
    wakeup = signal.set_wakeup_fd(-1)
    yield ServiceSignals()
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def progress(tmp_path: Path) -> WorkProgress:
    return WorkProgress(WorkFile(tmp_path / "work", 1.5))


@pytest.mark.parametrize(
    ("stuck_after_s", "running_s", "stopping_s", "asking_s"),
    [(60.0, 60.0, 20.0, 300.0), (5.0, 5.0, 5.0, 300.0), (900.0, 900.0, 20.0, 900.0)],
)
def test_the_limit_is_short_once_a_stop_was_asked_for_and_long_while_others_are_asked(
    signals: ServiceSignals,
    progress: WorkProgress,
    stuck_after_s: float,
    running_s: float,
    stopping_s: float,
    asking_s: float,
) -> None:
    watchdog = Watchdog(progress, signals, stuck_after_s, lambda _: None)
    assert watchdog.limit_s == running_s
    signals.stopping.set()
    assert watchdog.limit_s == stopping_s
    with progress.asking():
        with progress.asking():
            pass
        assert watchdog.limit_s == asking_s
    assert watchdog.limit_s == stopping_s


def test_waiting_for_the_store_has_the_long_limit(
    signals: ServiceSignals, progress: WorkProgress, tmp_path: Path
) -> None:
    """Another thread holds the store as a disk that stalls would."""
    watchdog, waits, seen = Watchdog(progress, signals, 60.0, lambda _: None), threading.Event(), []
    signals.stopping.set()
    with closing(open_store(str(tmp_path / "a.db"))) as database:

        def engine() -> None:
            with watched_by(progress):
                waits.set()
                with database.write():
                    seen.append(watchdog.limit_s)

        thread = threading.Thread(target=engine)
        with database.write():
            thread.start()
            assert waits.wait(10)
            deadline = time.monotonic() + 5
            while not progress.asks and time.monotonic() < deadline:
                time.sleep(0.01)
            assert watchdog.limit_s == 300.0
        thread.join(10)
    assert seen == [300.0]
    assert watchdog.limit_s == 20.0
