"""Episodes: from rows on which a rule holds to alerts that fire, are updated, and resolve.

One state machine per rule and instrument, over the instrument's own clock:

* It fires on the evaluation that completes `for`. ``m of n`` counts the instrument's last n
  evaluations; a duration is complete when every evaluation since the first has been true for that
  long, which a timer sees as well as an evaluation.
* While it is open, an evaluation that is true keeps it open, however long after the one before. Such
  an evaluation reports an update when the severity has risen, or 30 s after the last transition.
  The severity of an open episode never falls: one that hovers around a threshold would be all updates.
* It resolves on the first row of the instrument, of whatever kind, that comes `clear` after the last
  true evaluation; with ``clear: 0s`` on the first evaluation that is not true.
* After that it starts afresh: nothing is remembered.

An evaluation that is true and does not fire, since `for` is not complete yet, is a near miss. They are told
of one instrument at most once in 10 s of its clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from alerts.kernels import kernel
from alerts.rules import Rule

FIRED, UPDATED, RESOLVED = 0, 1, 2

TRANSITIONS = ("fired", "updated", "resolved")
"""Names of the steps, in the order of their codes."""

UPDATE_EVERY_NS = 30_000_000_000
"""How long an episode that goes on stays unmentioned: a reader of the channel sees that it is still there."""

NEAR_MISS_EVERY_NS = 10_000_000_000
"""A condition that hovers without ever being held for long enough is worth a line, not one an event."""

_TIMER = 6
_CLOSED = -1
_NEVER = np.iinfo(np.int64).min

_NOBODY = np.empty(0, np.int64)

# by which room for instruments grows: others than the next rule's, so that no instrument finds all full
_FACTORS = tuple(1.5 + step / 64 for step in range(64))
_LEAST_ROOM = 8
_UNSEEN_AHEAD = 64  # instruments that are written as unseen ones at once: room beyond takes no memory
_numbers = count()

# every column of the state: its type, and what a slot has in it before its first row
_LAYOUT: dict[str, tuple[type[np.generic], int]] = {
    "history": (np.uint64, 0),  # the last n evaluations, the latest in the lowest bit
    "hits": (np.int32, 0),  # how many of these bits are set
    "since": (np.int64, _NEVER),  # the clock at the first of an unbroken run of true evaluations
    "held_at": (np.int64, _NEVER),  # the clock at the last true evaluation
    "told_at": (np.int64, _NEVER),  # the clock at the last transition
    "level": (np.int8, 0),  # the severity: the highest of an open episode, else of the last true evaluation
    "number": (np.int32, _CLOSED),  # the last transition's number
    "missed_at": (np.int64, _NEVER),  # the clock at the last near miss that was told of
}


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Transitions of one rule in one batch, k of them, in the order of the rows.

    Parameters
    ----------
    row
        intp[k], the row that brought each; no row brings two.
    slot
        int32[k], the instrument.
    kind
        int8[k], `FIRED`, `UPDATED` or `RESOLVED`.
    severity
        int8[k], code of the severity: the highest of the episode so far.
    number
        int32[k], the transition's number in its episode, 0 for `FIRED`.
    missed
        intp[j], rows that are near misses.
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
        Its `hold` and `clear_ns` are what counts here.
    """

    def __init__(self, rule: Rule) -> None:
        self._hold = rule.hold
        self._clear_ns = rule.clear_ns
        self._n_slots = 0
        self._unseen_to = 0
        self._factor = _FACTORS[next(_numbers) % len(_FACTORS)]
        self._columns = {name: np.empty(0, dtype) for name, (dtype, _) in _LAYOUT.items()}
        self._busy = 0  # instruments with an episode that is open or on its way

    @property
    def idle(self) -> bool:
        """Whether rows on which the rule does not hold change nothing: no episode is open or on its way."""
        return not self._busy

    def grow(self, n_slots: int) -> None:
        """Make room for this many instruments; those that are there keep their state."""
        if n_slots > self._unseen_to:
            if n_slots > len(self._columns["number"]):
                self._make_room(max(int(self._factor * n_slots), _LEAST_ROOM))
            self._write_unseen(min(n_slots + _UNSEEN_AHEAD, len(self._columns["number"])))
        self._n_slots = max(n_slots, self._n_slots)

    def _make_room(self, capacity: int) -> None:
        for name, column in self._columns.items():
            grown = np.empty(capacity, column.dtype)
            grown[: self._unseen_to] = column[: self._unseen_to]
            self._columns[name] = grown

    def _write_unseen(self, end: int) -> None:
        for name, (_, start) in _LAYOUT.items():
            self._columns[name][self._unseen_to : end] = start
        self._unseen_to = end

    def step(
        self,
        slot: NDArray[np.int32],
        clock: NDArray[np.int64],
        kind: NDArray[np.int8],
        evaluated: NDArray[np.bool_],
        held: NDArray[np.bool_],
        severity: NDArray[np.int8],
    ) -> Steps:
        """Go through n rows in arrival order.

        Parameters
        ----------
        slot
            int32[n], the instrument; below what `grow` was told.
        clock
            int64[n], ns, the instrument's own clock. It never runs back, but for timers, which may
            be ahead of the events that follow.
        kind
            int8[n], what each row is; only timers matter here.
        evaluated, held, severity
            bool[n], bool[n], int8[n], as the rule's `evaluate` gives them.

        Returns
        -------
        Steps
            The transitions. They do not depend on how the rows were cut into batches.
        """
        n = len(slot)
        row, number, missed = np.empty(n, np.intp), np.empty(n, np.int32), np.empty(n, np.intp)
        step, level = np.empty(n, np.int8), np.empty(n, np.int8)
        hold, state = self._hold, self._columns
        count, misses, more_busy = _walk(
            np.ascontiguousarray(slot),
            np.ascontiguousarray(clock),
            np.ascontiguousarray(kind),
            np.ascontiguousarray(evaluated),
            np.ascontiguousarray(held),
            np.ascontiguousarray(severity),
            hold.m,
            np.uint64(hold.n - 1),
            np.uint64((1 << hold.n) - 1),
            hold.duration_ns,
            self._clear_ns,
            *state.values(),
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

    def _count_busy(self) -> None:
        number, history, since = (
            self._columns[name][: self._unseen_to] for name in ("number", "history", "since")
        )
        self._busy = int(((number != _CLOSED) | (history != 0) | (since != _NEVER)).sum())

    def open_slots(self) -> NDArray[np.intp]:
        """The instruments with an episode that has fired and not resolved, ascending."""
        return np.flatnonzero(self._columns["number"][: self._n_slots] != _CLOSED)

    def closing(self, slot: int) -> tuple[int, int]:
        """What a resolve of an open episode, from outside, would be: its number, and the severity's code."""
        return int(self._columns["number"][slot]) + 1, int(self._columns["level"][slot])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of all state, one entry per instrument in each column."""
        return {name: column[: self._n_slots].copy() for name, column in self._columns.items()}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up state that `state` gave; instruments beyond it start afresh.

        State from before near misses were told of has no `missed_at`: none was told of yet.
        """
        self.grow(len(state["number"]))
        for name, column in self._columns.items():
            kept = state.get(name, _NOBODY) if name == "missed_at" else state[name]
            column[: len(kept)] = kept
            column[len(kept) : self._unseen_to] = _LAYOUT[name][1]
        self._count_busy()


@kernel
def _walk(
    slots: NDArray[np.int32],
    clock: NDArray[np.int64],
    kind: NDArray[np.int8],
    evaluated: NDArray[np.bool_],
    held: NDArray[np.bool_],
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
        true = evaluated[i] and held[i]
        step = -1
        was_open = number[slot] != _CLOSED
        more_busy -= was_open or history[slot] != 0 or since[slot] != _NEVER
        if true:
            held_at[slot] = now
        if not was_open and duration > 0:
            if true and since[slot] == _NEVER:
                since[slot] = now
            elif evaluated[i] and not held[i]:
                since[slot] = _NEVER
            looks = evaluated[i] or kind[i] == _TIMER
            if looks and since[slot] != _NEVER and now - since[slot] >= duration:
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
        if step == RESOLVED:
            number[slot] = _CLOSED
            history[slot] = np.uint64(0)
            hits[slot] = 0
            since[slot] = _NEVER
        more_busy += number[slot] != _CLOSED or history[slot] != 0 or since[slot] != _NEVER
    return count, misses, more_busy
