"""Tells people of instruments that are in several logs of a running daemon, and what to write about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from alerts.clock import Clock
from streamer.app.shared_instruments import SharedInstruments, place_of, shared_instruments
from streamer.app.shared_seats import Seats
from streamer.messages.records import Partition
from streamer.pipeline.runner import Runner
from streamer.pipeline.task import Task
from streamer.sources.join_settings import JoinSettings
from streamer.store.database import Database
from streamer.store.log_alerts import instrument_split
from streamer.store.service_alerts import raise_service_alert

LOOK_EVERY_S = 5.0
"""Time between two looks. What is told was found by two of them: the first instruments of a log do not show
whether its topics are keyed alike."""

_TWO = 2  # logs; an instrument of a single one is in no other

_log = structlog.get_logger(__name__)


@dataclass
class SplitInstruments:
    """Compares the instruments of the logs that this process folds.

    One that has moved is in both logs, but not at the same time: where a topic gets more partitions, its keys
    go to others. So what counts is whether the times overlap in which it was seen.

    Parameters
    ----------
    database, clock
        The open store, and wall-clock time.
    raised
        Called after new alerts are in the store.
    counts
        Says how many partitions each topic has.
    globs
        Names and patterns of the topics, in the order in which they are to be named.
    """

    database: Database
    clock: Clock
    raised: Callable[[], None]
    counts: Callable[[], Mapping[str, int]]
    globs: Sequence[str] = ()
    _known: list[tuple[int, int, int]] = field(default_factory=list, init=False)
    _several: Seats = field(default_factory=lambda: Seats.of([]), init=False)
    _before: set[JoinSettings] = field(default_factory=set, init=False)
    _told: set[str] = field(default_factory=set, init=False)
    _next_look_at: float = field(default=0.0, init=False)

    def work(self, runners: Mapping[Partition, Runner]) -> None:
        """Look, where it is time; call it between polls, on the engine's thread."""
        now = time.monotonic()
        if now < self._next_look_at:
            return
        self._next_look_at = now + LOOK_EVERY_S
        tasks = [runner.task for runner in runners.values()]
        if len(tasks) < _TWO or self._told.issuperset(topic for task in tasks for topic in task.log.topics):
            self._known, self._several, self._before = [], Seats.of([]), set()
            return
        self._look(tasks)
        shared = self._shared()
        due = [each for each in shared if each.join in self._before]
        self._before = {each.join for each in shared}
        for each in due:
            self._told.update(each.join.topics)
            self._tell(each)
        if due:
            self.raised()

    def _look(self, tasks: Sequence[Task]) -> None:
        """Note the instruments that several logs have, where any has others than before."""
        known = [(id(task), len(task.slots), task.slots.replaced) for task in tasks]
        if known != self._known:
            self._known = known
            self._several = Seats.of(sorted(tasks, key=lambda task: place_of(task.log.topics[0], self.globs)))

    def _shared(self) -> list[SharedInstruments]:
        """Which logs have instruments at the same time, but for those that were told."""
        untold = [not self._told.issuperset(task.log.topics) for task in self._several.tasks]
        found, some_left_out = self._several.together(untold)
        return shared_instruments(found, self.counts(), more=some_left_out) if found else []

    def _tell(self, shared: SharedInstruments) -> None:
        _log.warning("instruments are in several logs", problem=str(shared))
        now = self.clock.now()
        with self.database.write() as connection:
            raise_service_alert(
                connection,
                instrument_split(shared.instruments[0], shared.join.topics, str(shared), now),
                now,
            )
