"""Reports while the daemon runs: to the service manager every few seconds, to people once a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from streamer.app.service_manager import ServiceManager
from streamer.notify.attempt import plain_traceback
from streamer.notify.heartbeat import Counts
from streamer.serve.observer import Observer

log = structlog.get_logger(__name__)

EVERY_S = 60.0
"""Time between two lines."""

_TELL_EVERY_S = 5.0
_LOOK_S = 1.0

Say = Callable[[Counts, Counts, float], None]
"""Prints a line: the totals now, those at the last line, and the seconds in between."""


class StandingReport:
    """Reports from a thread of its own, so that a step that hangs keeps nobody from hearing of it.

    Parameters
    ----------
    observer
        Knows how the service stands.
    manager
        Who is told every few seconds; a third of its watchdog's time, if that is shorter. It gets a sign of
        life only while nothing is stuck.
    say
        Prints a line for people.
    """

    def __init__(self, observer: Observer, manager: ServiceManager, say: Say) -> None:
        self._observer = observer
        self._manager = manager
        self._say = say
        self._stopping = threading.Event()
        watchdog_s = manager.watchdog_s
        self._tell_every_s = _TELL_EVERY_S if watchdog_s is None else min(watchdog_s / 3, _TELL_EVERY_S)
        self._tell_at = 0.0

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report meanwhile."""
        thread = threading.Thread(target=self._run, name="report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(_LOOK_S)

    def _run(self) -> None:
        before, said_at = self._observer.counts(), time.monotonic()
        while not self._stopping.wait(min(_LOOK_S, self._tell_every_s)):
            now = time.monotonic()
            try:
                self._tell(now)
                if now - said_at >= EVERY_S:
                    counts = self._observer.counts()
                    self._say(counts, before, now - said_at)
                    before, said_at = counts, now
            except Exception:  # noqa: BLE001 - whoever reports must not be what ends
                log.error("report failed", traceback=plain_traceback())  # noqa: TRY400

    def _tell(self, now: float) -> None:
        if now < self._tell_at:
            return
        self._tell_at = now + self._tell_every_s
        health = self._observer.health.look()
        if self._manager.listens:
            counts = self._observer.counts()
            self._manager.status(standing(counts), alive=not health.stuck)


def standing(counts: Counts) -> str:
    """How the service stands, as a line.

    Examples
    --------
    >>> standing(Counts(12_345, 3, delivered=2, behind=40))
    'at work: 12,345 records, 3 alerts, 2 delivered, 40 behind'
    >>> standing(Counts(source="not answering", causes=("the broker has not answered for 1.2m",)))
    'NOT WELL: the broker has not answered for 1.2m: 0 records, 0 alerts, 0 delivered, backlog unknown'
    """
    state = f"NOT WELL: {'; '.join(counts.causes)}" if counts.causes else "at work"
    if not counts.causes and counts.source != "reading":
        state = f"waiting, source {counts.source}"
    return f"{state}: {figures(counts, Counts())}"


def figures(now: Counts, before: Counts) -> str:
    """Records, alerts and deliveries since `before`, and how far behind reading is now."""
    behind = "backlog unknown" if now.behind is None else f"{now.behind:,} behind"
    return (
        f"{now.records - before.records:,} records, {now.alerts - before.alerts:,} alerts, "
        f"{now.delivered - before.delivered:,} delivered, {behind}"
    )


def minute_line(now: Counts, before: Counts, seconds: float) -> str:
    """What happened since the last line, and whether all is well.

    Examples
    --------
    >>> minute_line(Counts(52_345, 3, delivered=2, behind=0), Counts(12_345, 1, delivered=1, behind=9), 60.0)
    'in the last 60 s: 40,000 records, 2 alerts, 1 delivered, 0 behind'
    """
    line = f"in the last {seconds:.0f} s: {figures(now, before)}"
    if now.causes:
        return f"{line}; NOT WELL: {'; '.join(now.causes)}"
    return line if now.source == "reading" else f"{line}; source {now.source}"
