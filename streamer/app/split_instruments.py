"""Tells people of instruments that are in several logs of a running daemon, and what to write about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from alerts.clock import Clock
from streamer.app.shared_instruments import SharedInstruments, shared_instruments
from streamer.messages.batch import Instrument
from streamer.messages.logs import Log
from streamer.messages.records import Partition
from streamer.pipeline.runner import Runner
from streamer.store.database import Database
from streamer.store.log_alerts import instrument_split
from streamer.store.service_alerts import raise_service_alert

LOOK_EVERY_S = 5.0
"""Time between two looks. What is told was found by two of them: the first instruments of a log do not show
whether its topics are keyed alike."""

_log = structlog.get_logger(__name__)


@dataclass
class SplitInstruments:
    """Compares the instruments of the logs that this process folds.

    Parameters
    ----------
    database, clock
        The open store, and wall-clock time.
    raised
        Called after new alerts are in the store.
    counts
        Says how many partitions each topic has.
    """

    database: Database
    clock: Clock
    raised: Callable[[], None]
    counts: Callable[[], Mapping[str, int]]
    _known: dict[Log, int] = field(default_factory=dict, init=False)
    _found: dict[Log, frozenset[Instrument]] = field(default_factory=dict, init=False)
    _last: list[SharedInstruments] = field(default_factory=list, init=False)
    _told: set[tuple[str, ...]] = field(default_factory=set, init=False)
    _next_look_at: float = field(default=0.0, init=False)

    def work(self, runners: Mapping[Partition, Runner]) -> None:
        """Look, where it is time; call it between polls, on the engine's thread."""
        now = time.monotonic()
        if now < self._next_look_at:
            return
        self._next_look_at = now + LOOK_EVERY_S
        if self._look(runners):
            self._last, before = shared_instruments(self._found, self.counts()), self._last
        else:
            before = self._last
        seen = {each.join for each in before}
        due = [each for each in self._last if each.join in seen and each.topics not in self._told]
        for shared in due:
            self._told.add(shared.topics)
            self._tell(shared)
        if due:
            self.raised()

    def _look(self, runners: Mapping[Partition, Runner]) -> bool:
        """Note the instruments of each log; whether there are others than before."""
        tasks = {runner.task.log: runner.task for runner in runners.values()}
        counts = {log: len(task.slots) for log, task in tasks.items()}
        if counts == self._known:
            return False  # one that took the place of another is looked at with the next newcomer
        self._found = {
            log: self._found[log]
            if self._known.get(log) == counts[log]
            else frozenset(task.slots.instruments)
            for log, task in tasks.items()
        }
        self._known = counts
        return True

    def _tell(self, shared: SharedInstruments) -> None:
        _log.warning("instruments are in several logs", problem=str(shared))
        now = self.clock.now()
        with self.database.write() as connection:
            raise_service_alert(
                connection, instrument_split(shared.instruments[0], shared.topics, str(shared), now), now
            )
