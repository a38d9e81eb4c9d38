"""`python -m benchmarks.lying_clocks`: what lying times do to clocks and silence, by maxima and by the guard.

An event is judged wrongly if its instrument's clock at it is more than `max_ahead` from what it really is. A
rule on silence looks at every instrument every ten seconds: it is a false silence if it is true of one that
was heard within the last minute, and a missed one if it is false of one that has been silent for two. Maxima
are the rule of fold 3, in which no clock ever went back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.lying_feeds import INSTRUMENTS, LyingFeed, S, Told, feeds
from benchmarks.lying_feeds import A as MAX_AHEAD
from streamer.config.load import load_text
from streamer.messages.batch import Batch, Decoded, Instrument
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.texts import Strings, Texts
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task, Timer

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "lying_clocks.json"
PAGE = ROOT / "docs" / "event-time.md"
_BEGIN, _END = "<!-- clocks: written by make clocks -->", "<!-- end of clocks -->"

_TIMER_EVERY = 10 * S
_QUIET = 60 * S
_CONFIG = """
source:
  kafka: {bootstrap: "127.0.0.1:1"}
  topics: [{match: "feed", format: tapewatch, venue: here}]
rules:
  quiet: {when: silence_s > 60, on: timer, clear: 0s}
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """What went wrong on one feed: events judged wrongly, false silences, missed silences."""

    events: int
    false_silences: int
    missed_silences: int


@dataclass(frozen=True, slots=True)
class Row:
    """One feed by maxima, and by the guard."""

    feed: str
    maxima: Judged
    guard: Judged


class Clocks(Protocol):
    """Something that gives clocks to events, and says at a timer who looks silent."""

    def fold(self, event: Told, number: int) -> int | None:
        """The instrument's clock at an event, None if it is refused."""

    def silent(self, at: int) -> set[int]:
        """The instruments that look silent at a timer, given in real time."""


class Maxima:
    """The rule of fold 3: an instrument's clock is its highest time, a timer is the log's highest and on."""

    def __init__(self) -> None:
        self._clock: dict[int, int] = {}
        self._watermark = self._moved_at = 0

    def fold(self, event: Told, number: int) -> int | None:
        """See `Clocks.fold`."""
        record_time, t = event.record_time, event.t
        if record_time is not None and t > record_time + MAX_AHEAD and t > self._watermark + MAX_AHEAD:
            return None
        if t > self._watermark:
            self._watermark, self._moved_at = t, event.at
        self._clock[event.instrument] = max(self._clock.get(event.instrument, 0), t)
        return self._clock[event.instrument]

    def silent(self, at: int) -> set[int]:
        """See `Clocks.silent`."""
        timer = self._watermark + at - self._moved_at
        return {number for number, clock in self._clock.items() if timer - clock > _QUIET}


class Guarded:
    """A task as the daemon runs it, an event at a time, with a rule on silence."""

    def __init__(self, plan: Plan) -> None:
        self._task = Task(plan, Partition("feed", "", 0))
        self._instruments = tuple(Instrument("here", str(number)) for number in range(INSTRUMENTS))
        self._running = self._moved_at = self._timers = 0

    def fold(self, event: Told, number: int) -> int | None:
        """See `Clocks.fold`."""
        outcome = self._task.step(Decoded(_batch(event, number, self._instruments), (), {}))
        if self._task.guard.running != self._running:
            self._running, self._moved_at = self._task.guard.running, event.at
        if outcome.dead:
            return None
        slot = self._task.slots.instruments.index(self._instruments[event.instrument])
        return int(self._task.clocks[slot])

    def silent(self, at: int) -> set[int]:
        """See `Clocks.silent`."""
        self._timers += 1
        self._task.step(Timer(self._timers, self._running + at - self._moved_at))
        return {int(self._task.slots.instruments[slot].symbol) for slot in self._task.open[0]}


def judge(feed: LyingFeed, clocks: Clocks) -> Judged:
    """Run a feed, with a timer every ten seconds, two minutes beyond its end."""
    wrong = false = missed = 0
    heard: dict[int, int] = {}
    number = 0
    for timer, events in _between_timers(feed.events):
        for event in events:
            clock = clocks.fold(event, number)
            number += 1
            heard[event.instrument] = event.at
            if event.clock is not None and (clock is None or abs(clock - event.clock) > MAX_AHEAD):
                wrong += 1
        silent = clocks.silent(timer)
        false += sum(timer - heard[each] <= _QUIET for each in silent)
        missed += sum(timer - at > 2 * _QUIET for each, at in heard.items() if each not in silent)
    return Judged(wrong, false, missed)


def rows(which: Sequence[LyingFeed]) -> Iterator[Row]:
    """Run feeds by both rules."""
    plan = compile_plan(load_text(_CONFIG))
    for feed in which:
        yield Row(feed.name, judge(feed, Maxima()), judge(feed, Guarded(plan)))


def table(found: Sequence[Row]) -> str:
    """The rows as Markdown.

    >>> print(table([Row("honest", Judged(0, 0, 0), Judged(0, 0, 0))]).splitlines()[-1])
    | honest | 0 | 0 | 0 | 0 | 0 | 0 |
    """
    lines = [
        "| feed | judged wrongly: maxima | now | false silences: maxima | now | missed: maxima | now |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        by_column = zip(asdict(row.maxima).values(), asdict(row.guard).values(), strict=True)
        cells = [f"{count:,}" for pair in by_column for count in pair]
        lines.append(f"| {row.feed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run all feeds, print the table, and write it, into the documentation, too."""
    found = list(rows(list(feeds())))
    print(table(found))
    before, rest = PAGE.read_text().split(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n{table(found)}\n{_END}{rest.split(_END)[1]}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
    return 0


def _between_timers(events: Sequence[Told]) -> Iterator[tuple[int, list[Told]]]:
    """The events before each timer, and the timer; then timers alone for two minutes and a bit."""
    last = 0
    for number, some in groupby(events, lambda event: event.at // _TIMER_EVERY):
        last = (number + 1) * _TIMER_EVERY
        yield last, list(some)
    for more in range(1, 2 * _QUIET // _TIMER_EVERY + 3):
        yield last + more * _TIMER_EVERY, []


def _batch(event: Told, number: int, instruments: Sequence[Instrument]) -> Batch:
    return Batch(
        instruments=instruments,
        instrument=np.array([event.instrument], np.int32),
        kind=np.zeros(1, np.int8),
        ts=np.array([event.t], np.int64),
        record_ts=np.array([NO_TIME if event.record_time is None else event.record_time], np.int64),
        source=np.zeros(1, np.int16),
        offset=np.array([number], np.int64),
        index=np.zeros(1, np.int16),
        numbers={"price": np.ones(1), "size": np.ones(1)},
        texts=Texts(Strings(), {}),
    )


if __name__ == "__main__":
    sys.exit(main())
