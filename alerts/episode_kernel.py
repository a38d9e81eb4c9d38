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

TIMER = KIND_NAMES.index("tick")
"""The kind of a timer's rows."""

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
    "told_worst": (np.float64, math.nan),  # the worst of those true rows that were told
    "told_of": (np.int32, 0),  # the comparisons that held on those rows, see `Measured.holding`
    "due_which": (np.int8, UNMEASURED),  # of the last true evaluation while no episode is open: its measure,
    "due_value": (np.float64, math.nan),  # value,
    "due_badness": (np.float64, math.nan),  # how bad that is,
    "due_ts": (np.int64, NEVER),  # and event time
}
"""The columns of the state: type, and value of a slot before its first row."""

TIMES = tuple(name for name, (dtype, _) in LAYOUT.items() if dtype is np.int64)
"""Columns that are times, none of which stays later than what a clock is set back to."""


ROOM = 64
"""How many transitions, and near misses, `walk` finds at a time: few batches have more than a handful."""


class StepRoom(NamedTuple):
    """Room for `ROOM` transitions and near misses."""

    row: NDArray[np.intp]
    step: NDArray[np.int8]
    level: NDArray[np.int8]
    number: NDArray[np.int32]
    peak_ts: NDArray[np.int64]
    values: NDArray[np.float64]
    """float64[room, 3]: first, peak, last."""
    more: NDArray[np.int32]
    """int32[room, 3]: the measure, how often it has come back, whether it is news."""
    missed: NDArray[np.intp]

    @classmethod
    def room(cls) -> StepRoom:
        """Room that is empty."""
        return cls(
            np.empty(ROOM, np.intp),
            np.empty(ROOM, np.int8),
            np.empty(ROOM, np.int8),
            np.empty(ROOM, np.int32),
            np.empty(ROOM, np.int64),
            np.empty((ROOM, 3)),
            np.empty((ROOM, 3), np.int32),
            np.empty(ROOM, np.intp),
        )


@kernel
def walk(  # type: ignore[no-untyped-def]
    # the first of n rows to go through
    start,
    slots,
    clock,
    ts,
    kind,
    evaluated,
    holds,
    severity,
    # their measures
    value,
    badness,
    row_which,
    holding,
    own,
    # the rule: m of n, or a duration; when it clears, may come back, and is told again (ns)
    m,
    oldest,
    window,
    duration,
    clear,
    flap,
    first_update,
    most_update,
    # the columns of `LAYOUT`
    history,
    hits,
    since,
    held_at,
    told_at,
    level,
    number,
    missed_at,
    fired_at,
    resolved_at,
    highest,
    updates,
    reopened,
    which,
    first,
    peak,
    peak_ts,
    last,
    worst,
    told_worst,
    told_of,
    due_which,
    due_value,
    due_badness,
    due_ts,
    # `StepRoom`
    out_row,
    out_step,
    out_level,
    out_number,
    out_peak_ts,
    out_values,
    out_more,
    out_missed,
):
    """Go through rows in order while there is room.

    Returns the row to go on with, and how many transitions, near misses, and more busy instruments it found.
    """
    one = np.uint64(1)
    count = 0
    misses = 0
    more_busy = 0
    for i in range(start, slots.shape[0]):
        if max(count, misses) == ROOM:
            return i, count, misses, more_busy
        slot, now = slots[i], clock[i]
        true = evaluated[i] and holds[i]
        was_open = number[slot] != CLOSED and resolved_at[slot] == NEVER
        was_busy = was_open or history[slot] != 0 or since[slot] != NEVER
        if not true and not was_busy:
            continue  # nothing changes
        step = -1
        rises = False
        reopens = False
        more_busy -= was_busy
        if true:
            held_at[slot] = now
            if not was_open:
                place = row_which[i]
                due_which[slot] = place
                if place != UNMEASURED:
                    due_value[slot] = value[place, i]
                    due_badness[slot] = badness[place, i]
                    due_ts[slot] = ts[i]
        if not was_open and duration > 0:
            if true and since[slot] == NEVER:
                since[slot] = now
            elif evaluated[i] and not holds[i]:
                since[slot] = NEVER
            may_fire = evaluated[i] or kind[i] == TIMER
            if may_fire and since[slot] != NEVER and now - since[slot] >= duration:
                step = FIRED
                held_at[slot] = now
        elif not was_open and evaluated[i]:
            leaving = (history[slot] >> oldest) & one
            history[slot] = ((history[slot] << one) | np.uint64(true)) & window
            hits[slot] += np.int32(true) - np.int32(leaving)
            if true and hits[slot] >= m:
                step = FIRED
        elif was_open and true:
            rises = severity[i] > level[slot]
            if rises:
                step = UPDATED
            elif first_update > 0:
                doublings = min(updates[slot], _MOST_DOUBLINGS)
                every = most_update
                if first_update < most_update:
                    every = min(first_update << doublings, most_update)
                if now - told_at[slot] >= every:
                    step = UPDATED
                    updates[slot] += 1
        elif was_open:
            wait = clear if reopened[slot] == 0 else max(clear, flap)
            if evaluated[i] if wait == 0 else now - held_at[slot] >= wait:
                step = RESOLVED
        if true and not was_open and step != FIRED:
            told_miss = missed_at[slot]
            if told_miss == NEVER or now - told_miss >= NEAR_MISS_EVERY_NS:
                missed_at[slot] = now
                out_missed[misses] = i
                misses += 1
        if true and not (was_open and severity[i] < level[slot]):
            level[slot] = severity[i]
        if step == FIRED:
            closed_at = resolved_at[slot]
            reopens = closed_at != NEVER and now - closed_at <= flap
            resolved_at[slot] = NEVER
            if reopens:
                step = UPDATED
                reopened[slot] += 1
                rises = level[slot] > highest[slot]
                level[slot] = max(level[slot], highest[slot])
            else:
                number[slot] = CLOSED
                fired_at[slot] = now
                updates[slot] = 0
                reopened[slot] = 0
                which[slot] = due_which[slot]
                first[slot] = peak[slot] = last[slot] = np.nan
                worst[slot] = told_worst[slot] = np.nan
                told_of[slot] = 0
                peak_ts[slot] = NEVER
        seen = bad = np.nan
        at = NEVER
        of = which[slot] if was_open or step >= 0 else UNMEASURED
        if of != UNMEASURED and true and (was_open or reopens):
            if own[of] == 0 or own[of] & holding[i] != 0:
                seen, bad, at = value[of, i], badness[of, i], ts[i]
        elif of != UNMEASURED and not was_open and due_which[slot] == of:
            # where a timer completes what an event began, that event's
            seen, bad, at = due_value[slot], due_badness[slot], due_ts[slot]
        known = math.isfinite(seen) and math.isfinite(bad)
        if known:
            last[slot] = seen
            if math.isnan(first[slot]):
                first[slot] = seen
            if not bad <= worst[slot]:
                worst[slot] = bad
                peak[slot] = seen
                peak_ts[slot] = at
        if step >= 0:
            beyond = known and not bad <= told_worst[slot]
            if beyond and true:
                told_worst[slot] = bad
            if true:  # the text of another row has no values to tell
                beyond = beyond or (holding[i] & ~told_of[slot]) != 0
                told_of[slot] |= holding[i]
            told_at[slot] = now
            number[slot] += 1
            out_row[count] = i
            out_step[count] = step
            out_level[count] = level[slot]
            out_number[count] = number[slot]
            out_peak_ts[count] = peak_ts[slot]
            out_values[count, 0] = first[slot]
            out_values[count, 1] = peak[slot]
            out_values[count, 2] = last[slot]
            out_more[count, 0] = which[slot]
            out_more[count, 1] = reopened[slot]
            out_more[count, 2] = step == FIRED or (step == UPDATED and (rises or beyond))
            count += 1
        if step == RESOLVED:
            highest[slot] = level[slot]
            history[slot] = np.uint64(0)
            hits[slot] = 0
            since[slot] = NEVER
            if flap > 0:
                resolved_at[slot] = now
            else:
                fired_at[slot] = NEVER
                number[slot] = CLOSED
        is_open = number[slot] != CLOSED and resolved_at[slot] == NEVER
        more_busy += is_open or history[slot] != 0 or since[slot] != NEVER
    return slots.shape[0], count, misses, more_busy
