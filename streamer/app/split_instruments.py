"""Tells people of instruments that are in several logs of a running daemon, and what to write about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from alerts.clock import Clock
from streamer.app.shared_instruments import SharedInstruments, place_of, shared_instruments
from streamer.messages.batch import Instrument
from streamer.messages.logs import Log
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
    _known: dict[Log, tuple[int, int]] = field(default_factory=dict, init=False)
    _several: dict[Instrument, list[_Seat]] = field(default_factory=dict, init=False)
    _before: set[JoinSettings] = field(default_factory=set, init=False)
    _told: set[str] = field(default_factory=set, init=False)
    _next_look_at: float = field(default=0.0, init=False)

    def work(self, runners: Mapping[Partition, Runner]) -> None:
        """Look, where it is time; call it between polls, on the engine's thread."""
        now = time.monotonic()
        if now < self._next_look_at:
            return
        self._next_look_at = now + LOOK_EVERY_S
        self._look([runner.task for runner in runners.values()])
        shared = shared_instruments(self._seen_together(), self.counts()) if self._several else []
        due = [each for each in shared if each.join in self._before]
        self._before = {each.join for each in shared}
        for each in due:
            self._told.update(each.join.topics)
            self._tell(each)
        if due:
            self.raised()

    def _look(self, tasks: Sequence[Task]) -> None:
        """Note the instruments that several logs have, where any has others than before."""
        known = {task.log: (id(task), len(task.slots)) for task in tasks}
        if known != self._known:
            self._known = known
            seats: dict[Instrument, list[_Seat]] = {}
            for task in sorted(tasks, key=lambda task: place_of(task.log.topics[0], self.globs)):
                for slot, instrument in enumerate(task.slots.instruments):
                    seats.setdefault(instrument, []).append(_Seat(task, slot))
            self._several = {instrument: found for instrument, found in seats.items() if len(found) > 1}

    def _seen_together(self) -> dict[Log, list[Instrument]]:
        """By log, the instruments that another one had at the same time, but for those that were told."""
        found: dict[Log, list[Instrument]] = {}
        for instrument, several in self._several.items():
            seats = [seat for seat in several if seat.task.slots.instruments[seat.slot] == instrument]
            if self._told.issuperset(topic for seat in seats for topic in seat.task.log.topics):
                continue
            spans = [seat.span for seat in seats]
            for seat, (since, last) in zip(seats, spans, strict=True):
                if sum(since <= other_last and other_since <= last for other_since, other_last in spans) > 1:
                    found.setdefault(seat.task.log, []).append(instrument)
        return found

    def _tell(self, shared: SharedInstruments) -> None:
        _log.warning("instruments are in several logs", problem=str(shared))
        now = self.clock.now()
        with self.database.write() as connection:
            raise_service_alert(
                connection,
                instrument_split(shared.instruments[0], shared.join.topics, str(shared), now),
                now,
            )


class _Seat(NamedTuple):
    """An instrument's place in a log."""

    task: Task
    slot: int

    @property
    def span(self) -> tuple[int, int]:
        """The watermark of the log when it was seen first, and last, ns."""
        since, last = self.task.guard.seen(len(self.task.slots))
        return int(since[self.slot]), int(last[self.slot])
