"""The clocks of one log, row by row: which events are admitted, and which clocks were wrong.

The rules are in docs/event-time.md. A is `max_ahead`, what events of the log may be out of order by. While no
event is more than A behind the watermark, the watermark and each instrument's clock are plain maxima.

The rules say when the running time goes on, but not when an instrument was heard that did not move it: the
next timer decides that in favour of the instrument (`OWN`).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND

FEW, MANY, LONGEST = 5, 50, 3200
"""Records in a row that refute a watermark that has just jumped; any watermark; and the most ever needed."""

_PACE = 5  # an instrument's run says something once the log has gone on by so many A
_RATIO = 2  # and the run by at least half and at most twice as much: it keeps pace, so it is no flush

ADMITTED, AHEAD, OVER_LIMIT, FAR_OFF = 0, 1, 2, 3
"""Verdicts on a row. A `FAR_OFF` one is admitted; `WRONG_UNIT` plus 3, 6 or 9 is refused, too."""

WRONG_UNIT = 10
"""Added to the number of digits by which a time's unit is too small."""

YEAR_NS = 365 * 86_400 * NS_PER_SECOND
"""From here on a time is far off. All times whose unit is too small are: they fall into 1970."""

_DAY_NS = 86_400 * NS_PER_SECOND
_LARGEST_NS = np.iinfo(np.int64).max
_NO_TIME = int(NO_TIME)
_NO_SLOT = -1
_SECONDS_DIGITS = 9

LOG = (
    "watermark", "running", "last_timer", "refuted", "need", "held_n", "held_at", "held_by",
    "run_n", "run_first", "run_lowest", "run_newest", "run_record", "run_own_late",
    "late", "steps_back", "log_steps_back", "far_off", "events", "given_hour", "given_n",
)  # fmt: skip
"""What is kept of the log, by place in the array `log`."""

(
    WATERMARK, RUNNING, LAST_TIMER, REFUTED, NEED, HELD_N, HELD_AT, HELD_BY,
    _RUN_N, _RUN_FIRST, _RUN_LOWEST, _RUN_NEWEST, _RUN_RECORD, _RUN_OWN_LATE,
    LATE, STEPS_BACK, LOG_STEPS_BACK, FAR, EVENTS, GIVEN_HOUR, GIVEN_N,
) = range(len(LOG))  # fmt: skip

OWN = (
    "heard", "untimed", "run_n", "run_first", "run_newest", "run_record", "run_watermark",
    "event", "seen", "since",
)  # fmt: skip
"""What is kept of an instrument besides its clock, by place in the array `own`.

It was `heard` last at this running time; `untimed` is 1 where that stood still then, or went to the last
timer, so that nobody knows when: the next timer takes its own time for it. Else it would seem silent for as
long as another one's lie keeps the running time where it is, and for all of the interval between timers where
the log's steps are longer than A.

Its last `event` was the log's so-many-th, which came when the watermark was `seen`; its first when that was
`since`. No lie of its own moves these.
"""

HEARD, UNTIMED, _N, _FIRST, _NEWEST, _RECORD, _RUN_WATERMARK, EVENT, SEEN, SINCE = range(len(OWN))


@kernel
def _verdict(t, r, digits, watermark, max_ahead):
    """The verdict on an event whose time is more than `max_ahead` past its record's, or a year off."""
    if r != _NO_TIME and t > r + max_ahead and (watermark == _NO_TIME or t > watermark + max_ahead):
        return AHEAD
    reference = r if r != _NO_TIME else watermark
    if reference == _NO_TIME:
        return FAR_OFF if t < YEAR_NS else ADMITTED
    if t < reference - YEAR_NS and digits >= 0:
        scale, more = 1, 0
        while digits + more + 3 <= _SECONDS_DIGITS:
            scale, more = scale * 1000, more + 3
            if t <= _LARGEST_NS // scale and abs(t * scale - reference) <= _DAY_NS:
                return WRONG_UNIT + more
    return FAR_OFF if abs(t - reference) > YEAR_NS else ADMITTED


@kernel
def _there_again(log, held, t, watermark, max_ahead, jumped):
    """An event holds the watermark, and is at or after the one that was refuted, less A."""
    if not jumped:  # by smaller steps: it was right to step back
        log[NEED] = MANY
    elif t <= log[REFUTED] + max_ahead:  # at once: it was wrong, and must not happen again so soon
        held[:] = watermark
        log[HELD_N], log[HELD_AT] = MANY, 0
        log[NEED] = min(4 * log[NEED], LONGEST)
    log[REFUTED] = _NO_TIME


@kernel
def _add_witness(log, record, t, max_ahead, own_late):
    if log[_RUN_N] == 0 or t < log[_RUN_NEWEST] - max_ahead:
        log[_RUN_N], log[_RUN_RECORD], log[_RUN_OWN_LATE] = 1, record, 0
        log[_RUN_FIRST], log[_RUN_LOWEST], log[_RUN_NEWEST] = t, t, t
    elif record != log[_RUN_RECORD]:
        log[_RUN_N] += 1
        log[_RUN_RECORD] = record
        log[_RUN_LOWEST] = min(log[_RUN_LOWEST], t)
        log[_RUN_NEWEST] = max(log[_RUN_NEWEST], t)
    if own_late:
        log[_RUN_OWN_LATE] = 1


@kernel
def _is_refuted(log, held, max_ahead):
    n, n_held, limit = log[_RUN_N], log[HELD_N], log[_RUN_LOWEST] + max_ahead
    if n >= log[NEED] and log[_RUN_NEWEST] - log[_RUN_FIRST] >= max_ahead and log[_RUN_OWN_LATE]:
        return True
    if not FEW <= n < MANY:
        return False
    beyond = 0  # records that held what the run contradicts
    while beyond < n_held and held[(log[HELD_AT] - 1 - beyond) % MANY] > limit:
        beyond += 1
    if beyond == 0 or beyond >= MANY or n <= beyond:
        return False
    if beyond == n_held:
        return True
    first = held[(log[HELD_AT] - beyond) % MANY]
    return first > held[(log[HELD_AT] - 1 - beyond) % MANY] + max_ahead


@kernel
def _step_back(log, held, watermark):
    """The watermark that is set back to the run's newest; of what held it, keep what does not contradict."""
    newest = log[_RUN_NEWEST]
    kept = np.empty(MANY + 1, np.int64)
    n, n_held = 0, log[HELD_N]
    for back in range(n_held, 0, -1):
        each = held[(log[HELD_AT] - back) % MANY]
        if each <= newest:
            kept[n] = each
            n += 1
    kept[n] = newest
    n += 1
    oldest = max(n - MANY, 0)
    held[: n - oldest] = kept[oldest:n]
    log[HELD_N] = n - oldest
    log[HELD_AT] = log[HELD_N] % MANY
    log[REFUTED], log[_RUN_N] = watermark, 0
    log[LOG_STEPS_BACK] += 1
    return newest


@kernel
def told_time(t, watermark, max_ahead):
    """The log's time as an event tells it: the later one, unless it is a witness against the watermark."""
    return t if t < watermark - max_ahead else max(t, watermark)


@kernel
def _unsee(own, n_slots, watermark):
    """No instrument has been seen later than the watermark, which was wrong."""
    for s in range(n_slots):
        own[s, SEEN] = min(own[s, SEEN], watermark)
        own[s, SINCE] = min(own[s, SINCE], watermark)


@kernel
def is_attested(own, n_slots, time):
    """Whether `FEW` instruments that were there before a time have been seen since: so it has come."""
    n = 0
    for s in range(n_slots):
        if own[s, SEEN] >= time and own[s, SINCE] < time:
            n += 1
            if n == FEW:
                return True
    return False


@kernel
def _keeps_pace(run, record, t, watermark, max_ahead):
    """Whether the instrument's events in a row behind its clock are a clock of their own that goes on."""
    if run[_N] == 0 or t < run[_NEWEST] - max_ahead:
        run[_N], run[_FIRST], run[_NEWEST] = 1, t, t
        run[_RECORD], run[_RUN_WATERMARK] = record, watermark
    elif record != run[_RECORD]:
        run[_N] += 1
        run[_RECORD] = record
        run[_NEWEST] = max(run[_NEWEST], t)
    log_went, went = watermark - run[_RUN_WATERMARK], run[_NEWEST] - run[_FIRST]
    if run[_N] < MANY or log_went < _PACE * max_ahead:
        return False
    return went <= _RATIO * log_went and log_went <= _RATIO * went


@kernel
def fold_rows(
    start, ts, record_ts, record, kind, source, instrument, digits, slots,
    max_ahead, longest_gap, least, passed, n_slots, forget_after, may_give, refused,
    log, held, clocks, own, slot, clock, now, verdict, steps,
):  # fmt: skip
    """Fold rows into the clocks, up to one of an instrument without a slot, or until `steps` is full.

    It stops, too, at one beyond the limit that another may give up its place for.

    Parameters
    ----------
    start
        The first row to fold.
    ts, record_ts, record, kind, source, instrument
        int64[n] ns, int64[n] ns, int64[n], int8[n], int16[n], int32[n]; a record's events have its number in
        common.
    digits
        int8[members, kinds]: the unit that times are declared in, as its digits in ns; negative if there is
        none.
    slots
        int32, by instrument: its slot, `OVER_LIMIT` of `instrument_slots`, or less if it has none yet.
    max_ahead
        A, ns.
    longest_gap, least, passed
        ns: what a step of the watermark counts at most, the least that may be left, and what has passed.
    n_slots, forget_after, may_give
        The number of slots; how long an instrument must be unseen, ns; and the watermark from which on the
        longest unseen may give up its place, or an earlier one.
    refused
        A row for which none does; it is not stopped at.
    log, held, clocks, own
        The state: int64 by `LOG`, int64[MANY], int64[slots], int64[slots, `OWN`].
    slot, clock, now, verdict
        int32[n], int64[n], int64[n], int8[n], output: the slot, the instrument's clock, the log's time after
        the row, and the verdict.
    steps
        int64[room, 4], output: row, slot (-1: the watermark), the clock before, and what it is set back to.

    Returns
    -------
    row, n_steps, n_refused, passed : int
        The first row that is not folded, how many steps and refused rows there are, and what has passed.
    """
    watermark, running, last_timer = log[WATERMARK], log[RUNNING], log[LAST_TIMER]
    holder, in_run, was_refuted = log[HELD_BY], log[_RUN_N] > 0, log[REFUTED] != _NO_TIME
    n_steps, n_refused, late, i, events = 0, 0, 0, start, log[EVENTS]
    while i < ts.shape[0] and n_steps + 2 <= steps.shape[0]:
        t, r = ts[i], record_ts[i]
        if r != _NO_TIME:
            plausible = t - r <= max_ahead and r - t <= YEAR_NS
        else:
            plausible = abs(t - watermark) <= YEAR_NS if watermark != _NO_TIME else t >= YEAR_NS
        verdict[i] = ADMITTED
        if not plausible:
            verdict[i] = _verdict(t, r, digits[source[i], kind[i]], watermark, max_ahead)
            if verdict[i] != FAR_OFF and verdict[i] != ADMITTED:
                n_refused += 1
                now[i] = watermark + max(last_timer - running, 0) if watermark != _NO_TIME else _NO_TIME
                i += 1
                continue
        s = slots[instrument[i]]
        if s < _NO_SLOT:
            break
        if s == _NO_SLOT and i != refused and told_time(t, watermark, max_ahead) >= may_give:
            break
        before, ran = watermark, running
        first = before == _NO_TIME
        if first or t >= before - max_ahead:
            jumped = not first and t > before + max_ahead
            if first:
                watermark, running = t, t
            elif t > before:
                watermark = t
                running = max(running, last_timer) if jumped else running + (t - before)
                passed += min(t - before, longest_gap)
            if record[i] != holder:
                holder = record[i]
                at = log[HELD_AT]
                held[at] = watermark
                log[HELD_AT] = at + 1 if at + 1 < MANY else 0
                if log[HELD_N] < MANY:
                    log[HELD_N] += 1
            if was_refuted and t >= log[REFUTED] - max_ahead:
                _there_again(log, held, t, watermark, max_ahead, jumped)
                was_refuted = False
            if in_run:
                log[_RUN_N], in_run = 0, False
        elif r != _NO_TIME and abs(r - before) <= max_ahead:
            log[_RUN_N], in_run = 0, False
        else:
            own_late = s >= 0 and clocks[s] != _NO_TIME and t < clocks[s] - max_ahead
            _add_witness(log, record[i], t, max_ahead, own_late)
            in_run = True
            if _is_refuted(log, held, max_ahead):
                watermark = _step_back(log, held, before)
                holder, in_run, was_refuted = record[i], False, True
                passed = max(passed - min(before - watermark, longest_gap), least)
                steps[n_steps, 0], steps[n_steps, 1] = i, _NO_SLOT
                steps[n_steps, 2], steps[n_steps, 3] = before, watermark
                n_steps += 1
                _unsee(own, n_slots, watermark)
                if forget_after:
                    may_give = min(may_give, watermark + forget_after)
        now[i] = watermark + max(last_timer - running, 0)
        slot[i] = s
        if s < 0:
            verdict[i] = OVER_LIMIT
            n_refused += 1
            i += 1
            continue
        if verdict[i] == FAR_OFF:
            log[FAR] += 1
        mine = clocks[s]
        own[s, HEARD] = running
        own[s, UNTIMED] = int(running == ran) | int(running == last_timer)
        events += 1
        own[s, EVENT], own[s, SEEN] = events, watermark
        if mine == _NO_TIME:
            own[s, SINCE] = watermark
        if mine == _NO_TIME or t >= mine - max_ahead:
            own[s, _N] = 0
        else:
            wrong = mine > watermark + max_ahead
            if not wrong and (r == _NO_TIME or abs(r - before) > max_ahead):
                wrong = _keeps_pace(own[s, :], record[i], t, watermark, max_ahead)
            if wrong:
                steps[n_steps, 0], steps[n_steps, 1] = i, s
                steps[n_steps, 2], steps[n_steps, 3] = mine, t
                n_steps += 1
                log[STEPS_BACK] += 1
                own[s, _N], mine = 0, t
        if t < mine:
            late += 1
        else:
            mine = t
        clocks[s] = clock[i] = mine
        i += 1
    log[WATERMARK], log[RUNNING], log[HELD_BY] = watermark, running, holder
    log[LATE] += late
    log[EVENTS] = events
    return i, n_steps, n_refused, passed
