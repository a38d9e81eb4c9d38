"""The state machine of `episodes`, compiled, and the columns that it keeps for each instrument."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.durations import NS_PER_SECOND
from alerts.kernels import kernel
from alerts.language.measure import UNMEASURED
from alerts.language.symbols import KIND_NAMES

FIRED, UPDATED, RESOLVED = 0, 1, 2

NEAR_MISS_EVERY_NS = 10 * NS_PER_SECOND
"""Interval of an instrument's near misses: a hovering condition is worth a line, not one per event."""

CLOSED = -1
"""The number of an instrument's last transition where there is no episode."""

NEVER = np.iinfo(np.int64).min

_TIMER = KIND_NAMES.index("tick")
_MOST_DOUBLINGS = 16  # the longest interval is reached long before

LAYOUT: dict[str, tuple[type[np.generic], float]] = {
    "history": (np.uint64, 0),  # the last n evaluations, the latest in the lowest bit
    "hits": (np.int32, 0),  # number of set bits
    "since": (np.int64, NEVER),  # clock at the first of an unbroken run of true evaluations
    "held_at": (np.int64, NEVER),  # clock at the last true evaluation
    "told_at": (np.int64, NEVER),  # clock at the last transition
    "level": (np.int8, 0),  # severity: the highest of an open episode, else that of the last true evaluation
    "number": (np.int32, CLOSED),  # number of the last transition
    "missed_at": (np.int64, NEVER),  # clock at the last reported near miss
    "fired_at": (np.int64, NEVER),  # clock at which an episode fired
    "resolved_at": (np.int64, NEVER),  # clock at which an episode resolved that may come back
    "highest": (np.int8, 0),  # severity of that episode
    "updates": (np.int32, 0),  # updates told because it was time, not by a rise or a reopening
    "reopened": (np.int32, 0),  # how often the episode has come back
    "which": (np.int8, UNMEASURED),  # the episode's measure
    "first": (np.float64, math.nan),  # its value where the episode fired
    "peak": (np.float64, math.nan),  # the worst
    "peak_ts": (np.int64, NEVER),  # event time of that row
    "last": (np.float64, math.nan),  # at the last true evaluation
    "worst": (np.float64, math.nan),  # badness of the peak
    "told_worst": (np.float64, math.nan),  # the worst of those rows that were told
    "due_which": (np.int8, UNMEASURED),  # of the last true evaluation while no episode is open: its measure,
    "due_value": (np.float64, math.nan),  # value,
    "due_badness": (np.float64, math.nan),  # how bad that is,
    "due_ts": (np.int64, NEVER),  # and event time
}
"""The columns of the state: type, and value of a slot before its first row."""

TIMES = tuple(name for name, (dtype, _) in LAYOUT.items() if dtype is np.int64)
"""Columns that are times, none of which stays later than what a clock is set back to."""


class Rows(NamedTuple):
    """What the state machine reads: n rows."""

    slot: NDArray[np.int32]
    clock: NDArray[np.int64]
    ts: NDArray[np.int64]
    kind: NDArray[np.int8]
    evaluated: NDArray[np.bool_]
    holds: NDArray[np.bool_]
    severity: NDArray[np.int8]
    value: NDArray[np.float64]
    badness: NDArray[np.float64]
    which: NDArray[np.int8]


class Timing(NamedTuple):
    """The rule: m of n, or a duration; when it clears, may come back, and is told again (ns)."""

    m: int
    oldest: np.uint64
    window: np.uint64
    duration: int
    clear: int
    flap: int
    first_update: int
    most_update: int


class State(NamedTuple):
    """The columns of `LAYOUT`, in its order."""

    history: NDArray[np.uint64]
    hits: NDArray[np.int32]
    since: NDArray[np.int64]
    held_at: NDArray[np.int64]
    told_at: NDArray[np.int64]
    level: NDArray[np.int8]
    number: NDArray[np.int32]
    missed_at: NDArray[np.int64]
    fired_at: NDArray[np.int64]
    resolved_at: NDArray[np.int64]
    highest: NDArray[np.int8]
    updates: NDArray[np.int32]
    reopened: NDArray[np.int32]
    which: NDArray[np.int8]
    first: NDArray[np.float64]
    peak: NDArray[np.float64]
    peak_ts: NDArray[np.int64]
    last: NDArray[np.float64]
    worst: NDArray[np.float64]
    told_worst: NDArray[np.float64]
    due_which: NDArray[np.int8]
    due_value: NDArray[np.float64]
    due_badness: NDArray[np.float64]
    due_ts: NDArray[np.int64]


class Told(NamedTuple):
    """Room for the transitions of n rows, and for near misses; `more` holds measure, reopenings, news."""

    row: NDArray[np.intp]
    step: NDArray[np.int8]
    level: NDArray[np.int8]
    number: NDArray[np.int32]
    peak_ts: NDArray[np.int64]
    values: NDArray[np.float64]  # first, peak, last
    more: NDArray[np.int32]
    missed: NDArray[np.intp]

    @classmethod
    def room(cls, n: int) -> Told:
        """Room for n rows."""
        return cls(
            np.empty(n, np.intp),
            np.empty(n, np.int8),
            np.empty(n, np.int8),
            np.empty(n, np.int32),
            np.empty(n, np.int64),
            np.empty((n, 3)),
            np.empty((n, 3), np.int32),
            np.empty(n, np.intp),
        )


@kernel
def walk(rows: Rows, timing: Timing, state: State, told: Told) -> tuple[int, int, int]:
    """Go through rows in order; returns how many transitions, near misses, and more busy instruments."""
    one = np.uint64(1)
    count = 0
    misses = 0
    more_busy = 0
    for i in range(len(rows.slot)):
        slot, now = rows.slot[i], rows.clock[i]
        evaluated = rows.evaluated[i]
        true = evaluated and rows.holds[i]
        step = -1
        rises = False
        reopens = False
        was_open = state.number[slot] != CLOSED and state.resolved_at[slot] == NEVER
        more_busy -= was_open or state.history[slot] != 0 or state.since[slot] != NEVER
        if true:
            state.held_at[slot] = now
            if not was_open:
                place = rows.which[i]
                state.due_which[slot] = place
                if place != UNMEASURED:
                    state.due_value[slot] = rows.value[place, i]
                    state.due_badness[slot] = rows.badness[place, i]
                    state.due_ts[slot] = rows.ts[i]
        if not was_open and timing.duration > 0:
            if true and state.since[slot] == NEVER:
                state.since[slot] = now
            elif evaluated and not rows.holds[i]:
                state.since[slot] = NEVER
            may_fire = evaluated or rows.kind[i] == _TIMER
            if may_fire and state.since[slot] != NEVER and now - state.since[slot] >= timing.duration:
                step = FIRED
                state.held_at[slot] = now
        elif not was_open and evaluated:
            leaving = (state.history[slot] >> timing.oldest) & one
            state.history[slot] = ((state.history[slot] << one) | np.uint64(true)) & timing.window
            state.hits[slot] += np.int32(true) - np.int32(leaving)
            if true and state.hits[slot] >= timing.m:
                step = FIRED
        elif was_open and true:
            rises = rows.severity[i] > state.level[slot]
            if rises:
                step = UPDATED
            elif timing.first_update > 0:
                doublings = min(state.updates[slot], _MOST_DOUBLINGS)
                every = timing.most_update
                if timing.first_update < timing.most_update:
                    every = min(timing.first_update << doublings, timing.most_update)
                if now - state.told_at[slot] >= every:
                    step = UPDATED
                    state.updates[slot] += 1
        elif was_open:
            clear = timing.clear
            if state.reopened[slot] > 0:
                clear = max(clear, timing.flap)
            if evaluated if clear == 0 else now - state.held_at[slot] >= clear:
                step = RESOLVED
        if true and not was_open and step != FIRED:
            missed = state.missed_at[slot]
            if missed == NEVER or now - missed >= NEAR_MISS_EVERY_NS:
                state.missed_at[slot] = now
                told.missed[misses] = i
                misses += 1
        if true and not (was_open and rows.severity[i] < state.level[slot]):
            state.level[slot] = rows.severity[i]
        if step == FIRED:
            closed_at = state.resolved_at[slot]
            reopens = closed_at != NEVER and now - closed_at <= timing.flap
            state.resolved_at[slot] = NEVER
            if reopens:
                step = UPDATED
                state.reopened[slot] += 1
                rises = state.level[slot] > state.highest[slot]
                state.level[slot] = max(state.level[slot], state.highest[slot])
            else:
                state.number[slot] = CLOSED
                state.fired_at[slot] = now
                state.updates[slot] = 0
                state.reopened[slot] = 0
                state.which[slot] = state.due_which[slot]
                state.first[slot] = state.peak[slot] = state.last[slot] = np.nan
                state.worst[slot] = state.told_worst[slot] = np.nan
                state.peak_ts[slot] = NEVER
        badness = _measure(rows, state, i, slot, true, was_open or reopens, step == FIRED or reopens)
        if step >= 0:
            beyond = not math.isnan(badness) and not badness <= state.told_worst[slot]
            if beyond:
                state.told_worst[slot] = badness
            state.told_at[slot] = now
            state.number[slot] += 1
            told.row[count] = i
            told.step[count] = step
            told.level[count] = state.level[slot]
            told.number[count] = state.number[slot]
            told.peak_ts[count] = state.peak_ts[slot]
            told.values[count, 0] = state.first[slot]
            told.values[count, 1] = state.peak[slot]
            told.values[count, 2] = state.last[slot]
            told.more[count, 0] = state.which[slot]
            told.more[count, 1] = state.reopened[slot]
            told.more[count, 2] = step == FIRED or (step == UPDATED and (rises or beyond))
            count += 1
        if step == RESOLVED:
            state.highest[slot] = state.level[slot]
            state.history[slot] = np.uint64(0)
            state.hits[slot] = 0
            state.since[slot] = NEVER
            if timing.flap > 0:
                state.resolved_at[slot] = now
            else:
                state.fired_at[slot] = NEVER
                state.number[slot] = CLOSED
        is_open = state.number[slot] != CLOSED and state.resolved_at[slot] == NEVER
        more_busy += is_open or state.history[slot] != 0 or state.since[slot] != NEVER
    return count, misses, more_busy


@kernel
def _measure(rows: Rows, state: State, i: int, slot: int, true: bool, goes_on: bool, begins: bool) -> float:
    """Take a row's value into its episode; returns how bad it is, NaN where the row has none."""
    which = state.which[slot]
    if which == UNMEASURED:
        return np.nan
    if true and goes_on:
        value, badness, ts = rows.value[which, i], rows.badness[which, i], rows.ts[i]
    elif begins and state.due_which[slot] == which:  # a timer completes what an event began
        value, badness, ts = state.due_value[slot], state.due_badness[slot], state.due_ts[slot]
    else:
        return np.nan
    if not (math.isfinite(value) and math.isfinite(badness)):
        return np.nan
    state.last[slot] = value
    if math.isnan(state.first[slot]):
        state.first[slot] = value
    if not badness <= state.worst[slot]:
        state.worst[slot] = badness
        state.peak[slot] = value
        state.peak_ts[slot] = ts
    return float(badness)
