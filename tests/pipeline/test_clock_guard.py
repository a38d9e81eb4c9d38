"""The clocks of a log: maxima on an honest feed, equal to the model on any, and set back where wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from clock_model import Model
from clocked_feeds import NO_UNITS, A, Event, batch_of, cuts, names, wild_feed
from hypothesis import given, settings
from hypothesis import strategies as st
from market_bytes import T0, S

from streamer.messages.records import NO_TIME
from streamer.pipeline.clock_guard import NO_SLOT, ClockGuard
from streamer.pipeline.clock_kernels import AHEAD
from streamer.pipeline.instrument_slots import Slots

Seen = tuple[int, int, list[tuple[int, int]], list[tuple[int, int]], int]
"""Of an event: its slot, its clock, steps back of the log and of the instrument, the log's time after it."""


class Guarded:
    """A guard that takes events in any batches, and goes on from a copy now and then."""

    def __init__(self, instruments: int, limit: int = 1_000) -> None:
        self.guard, self.slots = ClockGuard(A), Slots(limit)
        self.names = names(instruments)

    def fold(self, events: Sequence[Event]) -> list[Seen | None]:
        rows = self.guard.fold(batch_of(events, self.names), self.slots, NO_UNITS, 0)
        seen: list[Seen | None] = []
        for row in range(len(events)):
            if rows.verdict[row] == AHEAD:
                seen.append(None)
                continue
            steps = [step for step in rows.steps if step.row == row]
            log, own = (
                [(step.before, step.to) for step in steps if (step.slot == NO_SLOT) is of_log]
                for of_log in (True, False)
            )
            seen.append((int(rows.slot[row]), int(rows.clock[row]), log, own, int(rows.now[row])))
        return seen

    def put_away(self) -> None:
        document, state = json.loads(json.dumps(self.guard.document())), self.guard.state()
        state = {name: array.copy() for name, array in state.items()}
        self.guard = ClockGuard(A)
        self.guard.restore(document, state)


def by_the_model(
    events: Sequence[Event], timers: dict[int, int]
) -> tuple[list[Seen | None], Model, list[dict[int, int]]]:
    """What the model says; `timers` are those after so many events, as ns past the running time."""
    model, slots = Model(A), dict[int, int]()
    seen: list[Seen | None] = []
    clocks = []
    for at, event in enumerate(events):
        before, t = model.watermark, event.t
        ahead = event.record_time is not None and t > event.record_time + A
        if ahead and (before is None or t > before + A):
            seen.append(None)
        else:
            slot = slots.setdefault(event.instrument, len(slots))
            clock, _, step = model.fold(slot, event.record, t, event.record_time)
            assert model.watermark is not None
            back = before is not None and model.watermark < before
            log = [(before, model.watermark)] if before is not None and back else []
            now = model.watermark + max(model.last_timer - model.running, 0)
            seen.append((slot, clock, log, [step] if step else [], now))
        if at in timers and model.watermark is not None:
            clocks.append(model.timer(model.running + timers[at]))
    return seen, model, clocks


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    instruments=st.sampled_from([1, 2, 5, 20]),
    count=st.sampled_from([60, 400, 1_500]),
    sizes=st.lists(st.sampled_from([1, 2, 7, 50, 500]), min_size=1, max_size=4),
    timers=st.dictionaries(st.integers(0, 400), st.integers(0, 300 * S), max_size=4),
    put_away=st.booleans(),
)
def test_the_kernel_equals_the_model_on_any_feed_in_any_batches_over_checkpoints(
    seed: int, instruments: int, count: int, sizes: list[int], timers: dict[int, int], put_away: bool
) -> None:
    events = wild_feed(seed, instruments, count)
    ends = [
        at
        for at, event in enumerate(events)
        if at + 1 == len(events) or events[at + 1].record != event.record
    ]
    timers = {ends[at % len(ends)]: passed for at, passed in timers.items()}
    expected, model, clocks = by_the_model(events, timers)
    guarded, seen, told = Guarded(instruments), list[Seen | None](), list[dict[int, int]]()
    first = 0
    for end in [*(at + 1 for at in sorted(timers)), len(events)]:
        for part in cuts(events[first:end], sizes):
            seen += guarded.fold(part)
            if put_away:
                guarded.put_away()
        first = end
        if end - 1 in timers and guarded.guard.watermark != NO_TIME:
            running = guarded.guard.running + timers[end - 1]
            told.append(dict(enumerate(guarded.guard.timer(running, len(guarded.slots)).tolist())))
    assert seen == expected
    assert told[: len(clocks)] == clocks
    assert guarded.guard.watermark == (NO_TIME if model.watermark is None else model.watermark)
    assert model.watermark is None or guarded.guard.running == model.running


def maxima(events: Sequence[Event]) -> list[tuple[int, int]]:
    """Clock and watermark by the rule of fold 3."""
    clocks: dict[int, int] = {}
    watermark, found = int(NO_TIME), []
    for event in events:
        clocks[event.instrument] = max(clocks.get(event.instrument, int(NO_TIME)), event.t)
        watermark = max(watermark, event.t)
        found.append((clocks[event.instrument], watermark))
    return found


HONEST = {
    "five-minute bars of twenty instruments, with nights and week-ends": [
        Event(number, day * 2_000 + bar * 20 + number, T0 + day * 86_400 * S + bar * 300 * S)
        for day in (0, 1, 2, 5, 6)
        for bar in range(100)
        for number in range(20)
    ],
    "a crowd delayed by 55 s behind a leader": [
        Event(0 if at % 20 == 0 else at % 20, at, T0 + at * S // 4 - (0 if at % 20 == 0 else 55 * S))
        for at in range(8_000)
    ],
    "disorder of up to a minute": [
        Event(at % 5, at, T0 + at * S // 3 - (at * 7_919 % 60) * S) for at in range(8_000)
    ],
    "an instrument that comes once a day, and one that is always there": [
        Event(int(at % 2_880 == 0), at, T0 + at * 30 * S) for at in range(9_000)
    ],
    "an hour that the log waited for, then at once": [
        Event(at % 3, at, T0 + at * S // 5 + (3_600 * S if at > 4_000 else 0)) for at in range(8_000)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_feed_has_the_clocks_that_it_always_had(name: str) -> None:
    events = HONEST[name]
    guarded, seen = Guarded(20), list[tuple[int, int]]()
    for part in cuts(events, [500]):
        for found in guarded.fold(part):
            assert found is not None
            assert found[2:4] == ([], [])
            seen.append((found[1], found[4]))
    assert seen == maxima(events)


def lie(hours: float, at: int = 100) -> list[Event]:
    """Ten instruments, five events a second; the event number `at` is dated so much ahead."""
    events = [Event(number % 10, number, T0 + number * S // 5) for number in range(2_000)]
    events[at] = events[at]._replace(t=events[at].t + int(hours * 3_600) * S)
    return events


@pytest.mark.parametrize("hours", [0.05, 1, 24, 24 * 365 * 12])
def test_one_event_from_the_future_costs_its_log_a_handful_of_records(hours: float) -> None:
    guarded, events = Guarded(10), lie(hours)
    expected = maxima([each for at, each in enumerate(events) if at != 100])
    wrong = [
        at
        for at, found in enumerate(guarded.fold(events))
        if found is not None and found[1] != expected[at - (at > 100)][0]
    ]
    assert 100 in wrong
    assert set(wrong) <= {100}, "nobody else's clock was touched, and its own next event put it right"
    counts = guarded.guard.counts
    assert (counts["instrument_steps_back"], counts["log_steps_back"]) == (1, 1)
    assert counts["far_off"] == (6 if hours > 24 * 365 else 0), "the lie, and the five that refute it"


def test_a_log_that_goes_back_an_hour_is_followed_after_a_minute() -> None:
    """The end of daylight saving, with times without a zone."""
    there = [Event(at % 10, at, T0 + at * S) for at in range(3_600)]
    back = [Event(at % 10, 3_600 + at, T0 + at * S) for at in range(3_600)]
    guarded = Guarded(10)
    guarded.fold(there)
    found = guarded.fold(back)
    late = [at for at, seen in enumerate(found) if seen is not None and seen[1] > back[at].t]
    assert len(late) < 80
    assert guarded.guard.watermark == back[-1].t
    assert guarded.guard.counts["log_steps_back"] == 1


def test_a_backfill_is_late_and_moves_nothing_where_records_have_times() -> None:
    live = [Event(at % 5, 2 * at, T0 + at * S, T0 + at * S) for at in range(2_000)]
    fill = [Event(at % 5, 2 * at + 1, T0 - 86_400 * S + at * S, T0 + at * S) for at in range(2_000)]
    both = sorted(live + fill, key=lambda event: event.record)
    guarded = Guarded(5)
    guarded.fold(both)
    assert guarded.guard.watermark == live[-1].t
    assert guarded.guard.counts == {"instrument_steps_back": 0, "log_steps_back": 0, "far_off": 0}


def test_no_number_of_liars_makes_anyone_look_silent_and_a_liar_that_falls_silent_does() -> None:
    guarded = Guarded(10)
    guarded.fold([Event(number % 10, number, T0 + number * S // 10) for number in range(600)])
    for second in range(60, 180):
        honest = [Event(number, 10 * second + number, T0 + second * S) for number in range(3)]
        liars = [Event(number, 10 * second + number, T0 + (3_600 + second) * S) for number in range(3, 9)]
        guarded.fold(honest + liars)
    running = guarded.guard.running
    silent = (guarded.guard.timer(running + 1 * S, 10) - guarded.guard.clocks(10)) / S
    assert silent[:9].max() < 3
    assert 118 < silent[9] < 123


def test_an_instrument_beyond_the_limit_moves_the_watermark_and_has_no_clock() -> None:
    guarded = Guarded(3, limit=2)
    events = [Event(number, number, T0 + number * S) for number in range(3)]
    rows = guarded.guard.fold(batch_of(events, guarded.names), guarded.slots, NO_UNITS, 0)
    assert rows.refused == 1
    assert guarded.guard.watermark == T0 + 2 * S
    assert guarded.guard.clocks(3).tolist()[:2] == [T0, T0 + 1 * S]


def test_what_is_too_far_ahead_of_its_record_is_refused_and_moves_nothing() -> None:
    guarded = Guarded(9)
    rows = [(0, T0), (61, T0), (60, T0), (61, T0)]
    events = [Event(at, at, T0 + ahead * S, record) for at, (ahead, record) in enumerate(rows)]
    seen = guarded.fold(events)
    assert [each is None for each in seen] == [False, True, False, False], "the last is within reach"
    assert guarded.guard.watermark == T0 + 61 * S
    assert len(guarded.slots) == 3
    first = Guarded(1).fold([Event(0, 0, T0 + 61 * S, T0), Event(0, 1, T0, T0)])
    assert [each is None for each in first] == [True, False], "the very first has only its record"


def test_time_that_passed_is_counted_as_before_and_taken_back_with_the_watermark() -> None:
    def passed(events: Sequence[Event], sizes: Sequence[int]) -> int:
        guarded = Guarded(20)
        for part in cuts(events, sizes):
            guarded.fold(part)
        return guarded.guard.passed_ns

    for events in HONEST.values():
        marks = [watermark for _, watermark in maxima(events)]
        expected = int(np.minimum(np.diff(marks), 3_600 * S).sum())
        assert passed(events, [500]) == passed(events, [1, 7]) == expected
    for hours in (0.05, 1.0, 24.0):
        honest, lied = passed(lie(0), [50]), passed(lie(hours), [50])
        assert passed(lie(hours), [7]) == lied
        assert abs(lied - honest) < 5 * S


def test_a_state_of_fold_3_goes_on_and_a_clock_that_stood_ahead_is_refuted() -> None:
    ahead, clocks = T0 + 3_600 * S, np.array([T0, T0 - 5 * S, T0 + 3_600 * S])
    guarded = Guarded(3)
    for number in range(3):
        guarded.slots.table(batch_of([Event(number, 0, T0)], guarded.names))
        guarded.slots.add(batch_of([Event(number, 0, T0)], guarded.names), number)
    guarded.guard.restore_maxima(ahead, T0 + 3_700 * S, clocks, late=7)
    assert (guarded.guard.watermark, guarded.guard.late) == (ahead, 7)
    assert guarded.guard.timer(ahead + 30 * S, 3).tolist() == [ahead + 30 * S] * 3, "as it was"
    events = [Event(number % 3, number, T0 + number * S) for number in range(30)]
    guarded.fold(events)
    assert guarded.guard.watermark == T0 + 29 * S
    assert guarded.guard.clocks(3).tolist() == [T0 + 27 * S, T0 + 28 * S, T0 + 29 * S]
