"""Episodes: turn rows on which a rule is true into alerts that fire, are updated, and resolve.

One state machine per rule and instrument, on the instrument's own clock:

* An episode fires on the evaluation that completes `for`. ``m of n`` counts the instrument's last n
  evaluations. A duration is complete when every evaluation since the first has been true for that long; a
  timer row can complete it too.
* While it is open, a true evaluation keeps it open, however long after the one before. It is reported as an
  update if the severity has risen, or 30 s have passed since the last transition. The severity of an open
  episode never falls: one that hovers around a threshold would give nothing but updates.
* It resolves on the first row of the instrument, of any kind, that comes `clear` after the last true
  evaluation; with ``clear: 0s`` on the first evaluation that is not true.
* Then the state machine starts over, and remembers nothing.

If an instrument's clock was wrong, `rebase` steps it back: what lies later counts as of now, and an episode
that fired later is closed, since the time that it fired at has not come.

A true evaluation that does not fire because `for` is not complete yet is a near miss. Near misses of an
instrument are reported at most once in 10 s of its clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.durations import NS_PER_SECOND
from alerts.kernels import kernel
from alerts.language.symbols import KIND_NAMES
from alerts.rules import Rule
from alerts.slot_columns import SlotColumns

FIRED, UPDATED, RESOLVED = 0, 1, 2

TRANSITIONS = ("fired", "updated", "resolved")
"""Names of the transitions, in the order of their codes."""

UPDATE_EVERY_NS = 30 * NS_PER_SECOND
"""Interval of updates of an open episode, so that readers of the channel see that it still holds."""

NEAR_MISS_EVERY_NS = 10 * NS_PER_SECOND
"""Interval of an instrument's near misses: a hovering condition is worth a line, not one per event."""

_TIMER = KIND_NAMES.index("tick")
_CLOSED = -1
_NEVER = np.iinfo(np.int64).min

# the columns of the state: type, and value of a slot before its first row
_LAYOUT: dict[str, tuple[type[np.generic], int]] = {
    "history": (np.uint64, 0),  # the last n evaluations, the latest in the lowest bit
    "hits": (np.int32, 0),  # number of set bits
    "since": (np.int64, _NEVER),  # clock at the first of an unbroken run of true evaluations
    "held_at": (np.int64, _NEVER),  # clock at the last true evaluation
    "told_at": (np.int64, _NEVER),  # clock at the last transition
    "level": (np.int8, 0),  # severity: the highest of an open episode, else that of the last true evaluation
    "number": (np.int32, _CLOSED),  # number of the last transition
    "missed_at": (np.int64, _NEVER),  # clock at the last reported near miss
    "fired_at": (np.int64, _NEVER),  # clock at which an open episode fired
}

_TIMES = ("since", "held_at", "told_at", "missed_at", "fired_at")


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Transitions of one rule in one batch, k of them, in the order of the rows.

    Parameters
    ----------
    row
        intp[k], the row of each; a row has at most one.
    slot
        int32[k], the instrument.
    kind
        int8[k], `FIRED`, `UPDATED` or `RESOLVED`.
    severity
        int8[k], code of the highest severity of the episode so far.
    number
        int32[k], the transition's number in its episode, 0 for `FIRED`.
    missed
        intp[j], the rows that are near misses.
    """

    row: NDArray[np.intp]
    slot: NDArray[np.int32]
    kind: NDArray[np.int8]
    severity: NDArray[np.int8]
    number: NDArray[np.int32]
    missed: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.row)


class Episodes:
    """The episodes of one rule, for all instruments of a task.

    Parameters
    ----------
    rule
        The rule; only its `hold` and `clear_ns` are used.
    """

    def __init__(self, rule: Rule) -> None:
        self._hold = rule.hold
        self._clear_ns = rule.clear_ns
        self._columns = SlotColumns(_LAYOUT)
        self._busy = 0  # instruments with an episode that is open or about to fire

    @property
    def idle(self) -> bool:
        """Whether rows on which the rule is false change nothing: no episode is open or about to fire."""
        return not self._busy

    def grow(self, n_slots: int) -> None:
        """Make room for this many instruments; those in use keep their state."""
        self._columns.grow(n_slots)

    def step(
        self,
        slot: NDArray[np.int32],
        clock: NDArray[np.int64],
        kind: NDArray[np.int8],
        evaluated: NDArray[np.bool_],
        holds: NDArray[np.bool_],
        severity: NDArray[np.int8],
    ) -> Steps:
        """Go through n rows in arrival order.

        Parameters
        ----------
        slot
            int32[n], the instrument, less than the number of slots.
        clock
            int64[n], ns, the instrument's own clock. It never runs back, except that timer rows may be ahead
            of the events that follow.
        kind
            int8[n], the kind of each row; only timer rows matter here.
        evaluated, held, severity
            bool[n], bool[n], int8[n]: the evaluated rows, those on which the rule is true, and the severity
            that it has there.

        Returns
        -------
        Steps
            The transitions, which do not depend on how rows are divided into batches.
        """
        n = len(slot)
        row, number, missed = np.empty(n, np.intp), np.empty(n, np.int32), np.empty(n, np.intp)
        step, level = np.empty(n, np.int8), np.empty(n, np.int8)
        hold = self._hold
        count, misses, more_busy = _walk(
            np.ascontiguousarray(slot),
            np.ascontiguousarray(clock),
            np.ascontiguousarray(kind),
            np.ascontiguousarray(evaluated),
            np.ascontiguousarray(holds),
            np.ascontiguousarray(severity),
            hold.m,
            np.uint64(hold.n - 1),
            np.uint64((1 << hold.n) - 1),
            hold.duration_ns,
            self._clear_ns,
            *self._columns.arrays,
            row,
            step,
            level,
            number,
            missed,
        )
        self._busy += more_busy
        row = row[:count].copy()
        return Steps(
            row,
            slot[row],
            step[:count].copy(),
            level[:count].copy(),
            number[:count].copy(),
            missed[:misses].copy(),
        )

    def closing(self, slot: int) -> tuple[int, int]:
        """Number and severity code of the transition that would resolve an open episode."""
        return int(self._columns["number"][slot]) + 1, int(self._columns["level"][slot])

    def rebase(self, slot: int, to: int) -> tuple[int, int] | None:
        """Step one slot back in time: its clock was wrong, and no time of it stays later than `to`.

        Evaluations since then stay counted, as of `to`. An episode that fired later is closed.

        Parameters
        ----------
        slot
            The slot, in use.
        to
            ns; the slot's rows go on at this time or later.

        Returns
        -------
        tuple or None
            Number and severity code of the transition that resolves the episode, if one was closed.
        """
        columns, closed = self._columns, None
        if columns["number"][slot] != _CLOSED and columns["fired_at"][slot] > to:
            closed = self.closing(slot)
            columns["number"][slot], columns["history"][slot], columns["hits"][slot] = _CLOSED, 0, 0
            columns["since"][slot] = columns["fired_at"][slot] = _NEVER
            self._busy -= 1
        for name in _TIMES:
            times = columns[name]
            times[slot] = min(times[slot], to)
        return closed

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the state, with one entry per instrument in each column."""
        return self._columns.state()

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from a `state`; instruments beyond it start over.

        The state of a version that did not report near misses has no `missed_at`, that of one without
        `rebase` no `fired_at`: its open episodes count as fired at their last transition.
        """
        never = np.full(len(state["number"]), _NEVER, np.int64)
        told_at = np.where(state["number"] != _CLOSED, state["told_at"], never)
        self._columns.restore({"missed_at": never, "fired_at": told_at, **state})
        open_or_due = self._columns["number"] != _CLOSED
        open_or_due |= (self._columns["history"] != 0) | (self._columns["since"] != _NEVER)
        self._busy = int(open_or_due[: self._columns.n_slots].sum())


@kernel
def _walk(
    slots: NDArray[np.int32],
    clock: NDArray[np.int64],
    kind: NDArray[np.int8],
    evaluated: NDArray[np.bool_],
    holds: NDArray[np.bool_],
    severity: NDArray[np.int8],
    m: int,
    oldest: np.uint64,
    window: np.uint64,
    duration: int,
    clear: int,
    history: NDArray[np.uint64],
    hits: NDArray[np.int32],
    since: NDArray[np.int64],
    held_at: NDArray[np.int64],
    told_at: NDArray[np.int64],
    level: NDArray[np.int8],
    number: NDArray[np.int32],
    missed_at: NDArray[np.int64],
    fired_at: NDArray[np.int64],
    out_row: NDArray[np.intp],
    out_step: NDArray[np.int8],
    out_level: NDArray[np.int8],
    out_number: NDArray[np.int32],
    out_missed: NDArray[np.intp],
) -> tuple[int, int, int]:
    one = np.uint64(1)
    count = 0
    misses = 0
    more_busy = 0
    for i in range(len(slots)):
        slot, now = slots[i], clock[i]
        true = evaluated[i] and holds[i]
        step = -1
        was_open = number[slot] != _CLOSED
        more_busy -= was_open or history[slot] != 0 or since[slot] != _NEVER
        if true:
            held_at[slot] = now
        if not was_open and duration > 0:
            if true and since[slot] == _NEVER:
                since[slot] = now
            elif evaluated[i] and not holds[i]:
                since[slot] = _NEVER
            may_fire = evaluated[i] or kind[i] == _TIMER
            if may_fire and since[slot] != _NEVER and now - since[slot] >= duration:
                step = FIRED
                held_at[slot] = now
        elif not was_open and evaluated[i]:
            leaving = (history[slot] >> oldest) & one
            history[slot] = ((history[slot] << one) | np.uint64(true)) & window
            hits[slot] += np.int32(true) - np.int32(leaving)
            if true and hits[slot] >= m:
                step = FIRED
        elif was_open and true:
            if severity[i] > level[slot] or now - told_at[slot] >= UPDATE_EVERY_NS:
                step = UPDATED
        elif was_open and (evaluated[i] if clear == 0 else now - held_at[slot] >= clear):
            step = RESOLVED
        if true and not was_open and step != FIRED:
            last = missed_at[slot]
            if last == _NEVER or now - last >= NEAR_MISS_EVERY_NS:
                missed_at[slot] = now
                out_missed[misses] = i
                misses += 1
        if true and not (was_open and severity[i] < level[slot]):
            level[slot] = severity[i]
        if step >= 0:
            told_at[slot] = now
            number[slot] += 1
            out_row[count] = i
            out_step[count] = step
            out_level[count] = level[slot]
            out_number[count] = number[slot]
            count += 1
        if step == FIRED:
            fired_at[slot] = now
        elif step == RESOLVED:
            fired_at[slot] = _NEVER
            number[slot] = _CLOSED
            history[slot] = np.uint64(0)
            hits[slot] = 0
            since[slot] = _NEVER
        more_busy += number[slot] != _CLOSED or history[slot] != 0 or since[slot] != _NEVER
    return count, misses, more_busy
