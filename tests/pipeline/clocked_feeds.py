"""Feeds as the clocks see them: which instrument, which record, what time, and the record's time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from market_bytes import T0, S

from streamer.messages.batch import Batch, Instrument
from streamer.messages.records import NO_TIME
from streamer.messages.texts import Strings, Texts

A = 60 * S
"""The default of `max_ahead`."""

NO_UNITS = np.full(7, -1, np.int8)


class Event(NamedTuple):
    """An event of instrument number `instrument`; `record_time` is None where its record has none."""

    instrument: int
    record: int
    t: int
    record_time: int | None = None


def batch_of(events: Sequence[Event], instruments: Sequence[Instrument]) -> Batch:
    """The events as decoding hands them over."""
    n = len(events)
    return Batch(
        instruments=instruments,
        instrument=np.array([each.instrument for each in events], np.int32),
        kind=np.zeros(n, np.int8),
        ts=np.array([each.t for each in events], np.int64),
        record_ts=np.array(
            [NO_TIME if each.record_time is None else each.record_time for each in events], np.int64
        ),
        source=np.zeros(n, np.int16),
        offset=np.array([each.record for each in events], np.int64),
        index=np.zeros(n, np.int16),
        numbers={},
        texts=Texts(Strings(), {}),
    )


def names(count: int) -> tuple[Instrument, ...]:
    return tuple(Instrument("here", f"S{number}") for number in range(count))


def cuts(events: Sequence[Event], sizes: Sequence[int]) -> Iterator[Sequence[Event]]:
    """The events in batches of these sizes in turn; the events of one record stay together."""
    at = turn = 0
    while at < len(events):
        end = min(at + sizes[turn % len(sizes)], len(events))
        while end < len(events) and events[end].record == events[end - 1].record:
            end += 1
        yield events[at:end]
        at, turn = end, turn + 1


def wild_feed(seed: int, instruments: int, count: int) -> list[Event]:
    """A feed with everything that can go wrong with its times, and long stretches in which nothing does."""
    chance = random.Random(seed)
    now, record = T0, 0
    lag = [
        chance.choice([0, 0, 0, -chance.randint(0, 3 * A), -chance.randint(0, 100 * A)])
        for _ in range(instruments)
    ]
    timed, calm = chance.random(), chance.choice([0.9, 0.97, 0.999])
    events = []
    for _ in range(count):
        usual = [0, 0, S // 10, S, 5 * S]
        jumps = [-600 * A, -60 * A, -2 * A, -20 * S, 90 * S, 3 * A, 60 * A, 600 * A]
        now += chance.choice(usual if chance.random() < calm else jumps)
        number = chance.randrange(instruments)
        if chance.random() < 0.01:
            lag[number] = chance.choice([0, 60 * A, -60 * A, 2 * A, -2 * A])
        t = now + lag[number] - chance.randint(0, 30 * S)
        if chance.random() < 1 - calm:
            t += chance.choice([1, -1]) * chance.randint(0, 200 * A)
        record += chance.random() < 0.8
        record_time = None if timed < 0.3 else now if timed < 0.6 else t if chance.random() < 0.8 else None
        events.append(Event(number, record, t, record_time))
    return events
