"""Episodes: turn rows on which a rule is true into alerts that fire, are updated, and resolve.

One state machine per rule and instrument, on the instrument's own clock:

* An episode fires on the evaluation that completes `for`. ``m of n`` counts the instrument's last n
  evaluations. A duration is complete when every evaluation since the first has been true for that long; a
  timer row can complete it too.
* While it is open, a true evaluation keeps it open, however long after the one before. It is reported as an
  update if the severity has risen, or if the next of the intervals of `updates` has passed since the last
  transition: by default 30 s, 1 min, 2 min and so on up to an hour. A rise does not count as one of these
  updates. The severity of an open episode never falls: one that hovers around a threshold would give nothing
  but updates.
* It resolves on the first row of the instrument, of any kind, that comes `clear` after the last true
  evaluation; with ``clear: 0s`` on the first evaluation that is not true.
* Then the state machine starts over, and remembers nothing. With `flap` it remembers the episode: if `for` is
  complete again within `flap` of the resolve, the episode goes on, which is reported as an update. From then
  on it resolves after the longer of `clear` and `flap`. A reopening does not count as one of these updates
  either.

An episode has a measure, such as the size of a trade, whose first, worst and last values it keeps. That is
the rule's measure on the row that fired it; where a timer fired it, on the last true evaluation.

If an instrument's clock was wrong, `rebase` steps it back: what lies later counts as of now, and an episode
that fired later is closed, since the time that it fired at has not come.

A true evaluation that does not fire because `for` is not complete yet is a near miss. Near misses of an
instrument are reported at most once in 10 s of its clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.episode_kernel import (
    CLOSED,
    FIRED,
    LAYOUT,
    NEVER,
    RESOLVED,
    TIMER,
    TIMES,
    UPDATED,
    StepRoom,
    walk,
)
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.measure import UNMEASURED, Measured
from alerts.rules import Rule
from alerts.slot_columns import SlotColumns

__all__ = ["FIRED", "RESOLVED", "TRANSITIONS", "UPDATED", "Closing", "Episodes", "Extremes", "Steps"]

TRANSITIONS = ("fired", "updated", "resolved")
"""Names of the transitions, in the order of their codes."""


class Extremes(NamedTuple):
    """What an episode has been so far.

    Parameters
    ----------
    measure
        The position of its measure among the rule's, `UNMEASURED` if it has none.
    first, peak, last
        The measure's value where the episode fired, the worst, and that of the last true evaluation; NaN
        before it had a value.
    peak_ts_ns
        Event time of the worst, ns.
    reopened
        How often the episode has come back.
    """

    measure: int = UNMEASURED
    first: float = math.nan
    peak: float = math.nan
    peak_ts_ns: int = int(NEVER)
    last: float = math.nan
    reopened: int = 0


class Closing(NamedTuple):
    """The transition that would resolve an open episode: number, code of the severity, what it has been."""

    number: int
    severity: int
    extremes: Extremes


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
    news
        bool[k], whether the alert fires, its severity rises, or its measure is worse than on any row told
        before.
    extremes
        What each episode had been by then.
    missed
        intp[j], the rows that are near misses.
    """

    row: NDArray[np.intp]
    slot: NDArray[np.int32]
    kind: NDArray[np.int8]
    severity: NDArray[np.int8]
    number: NDArray[np.int32]
    news: NDArray[np.bool_]
    extremes: list[Extremes]
    missed: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def joined(cls, parts: Sequence[Steps]) -> Steps:
        """The steps of one batch that were found in parts."""
        if not parts:
            return _NO_STEPS
        return cls(
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.slot for part in parts]),
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.severity for part in parts]),
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.news for part in parts]),
            [each for part in parts for each in part.extremes],
            np.concatenate([part.missed for part in parts]),
        )


_NO_STEPS = Steps(
    np.empty(0, np.intp),
    np.empty(0, np.int32),
    np.empty(0, np.int8),
    np.empty(0, np.int8),
    np.empty(0, np.int32),
    np.empty(0, np.bool_),
    [],
    np.empty(0, np.intp),
)


def _steps(slot: NDArray[np.int32], told: StepRoom, count: int, misses: int) -> Steps:
    row, more = told.row[:count].copy(), told.more[:count]
    values, peak_ts = told.values[:count].tolist(), told.peak_ts[:count].tolist()
    return Steps(
        row,
        slot[row],
        told.step[:count].copy(),
        told.level[:count].copy(),
        told.number[:count].copy(),
        more[:, 2] != 0,
        [
            Extremes(which, first, peak, at, last, reopened)
            for (which, reopened, _), (first, peak, last), at in zip(
                more.tolist(), values, peak_ts, strict=True
            )
        ],
        told.missed[:misses].copy(),
    )


def _kept_of(rule: Rule) -> tuple[str, ...]:
    """The numbers that a rule's text names, where a timer without them may fire it."""
    if not rule.hold.duration_ns or TIMER in rule.kinds:
        return ()
    return tuple(symbol.name for symbol in rule.symbols if symbol.type not in ("string", "enum"))


class Episodes:
    """The episodes of one rule, for all instruments of a task.

    Parameters
    ----------
    rule
        The rule; only its timing is used, and what its text names.
    """

    def __init__(self, rule: Rule) -> None:
        hold, updates = rule.hold, rule.updates
        self._timing = (
            hold.m,
            np.uint64(hold.n - 1),
            np.uint64((1 << hold.n) - 1),
            hold.duration_ns,
            rule.clear_ns,
            rule.flap_ns,
            updates.first_ns,
            updates.most_ns,
        )
        self._kept = {name: f"kept_{name}" for name in _kept_of(rule)}
        self._columns = SlotColumns({**LAYOUT, **dict.fromkeys(self._kept.values(), (np.float64, math.nan))})
        self._told = StepRoom.room()
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
        ts: NDArray[np.int64] | None = None,
        measured: Measured | None = None,
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
        evaluated, holds, severity
            bool[n], bool[n], int8[n]: the evaluated rows, those on which the rule is true, and the severity
            that it has there.
        ts
            int64[n], ns, the event time of each row; by default its clock.
        measured
            The rule's measures on the rows, by default none; see `alerts.language.measure.Measures.evaluate`.

        Returns
        -------
        Steps
            The transitions, which do not depend on how rows are divided into batches.
        """
        clock = np.ascontiguousarray(clock)
        given = (
            np.ascontiguousarray(slot),
            clock,
            clock if ts is None else ts if ts.flags.c_contiguous and ts.flags.writeable else ts.copy(),
            np.ascontiguousarray(kind),
            np.ascontiguousarray(evaluated),
            np.ascontiguousarray(holds),
            np.ascontiguousarray(severity),
            *(Measured.nothing(len(slot)) if measured is None else measured),
            *self._timing,
            *self._columns.arrays[: len(LAYOUT)],
            *self._told,
        )
        row, parts = 0, list[Steps]()
        while row < len(slot):
            row, count, misses, more_busy = walk(row, *given)
            self._busy += more_busy
            if count or misses:
                parts.append(_steps(slot, self._told, count, misses))
        return parts[0] if len(parts) == 1 else Steps.joined(parts)

    def keep(self, slot: NDArray[np.int32], holds: NDArray[np.bool_], columns: ExpressionColumns) -> None:
        """Keep what the rule's text names of true evaluations, where a timer may complete `for` after them.

        Parameters
        ----------
        slot, holds
            As for `step`.
        columns
            The same n rows.
        """
        if not self._kept:
            return
        rows = np.flatnonzero(holds)
        for name, kept in self._kept.items():
            column = columns.numbers.get(name)
            self._columns[kept][slot[rows]] = math.nan if column is None else column[rows]

    def kept(self, slot: int) -> dict[str, float]:
        """What the rule's text names, as it was on the instrument's last true evaluation."""
        found = {name: float(self._columns[kept][slot]) for name, kept in self._kept.items()}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def closing(self, slot: int) -> Closing:
        """The transition that would resolve an open episode."""
        column = self._columns
        extremes = Extremes(
            int(column["which"][slot]),
            float(column["first"][slot]),
            float(column["peak"][slot]),
            int(column["peak_ts"][slot]),
            float(column["last"][slot]),
            int(column["reopened"][slot]),
        )
        return Closing(int(column["number"][slot]) + 1, int(column["level"][slot]), extremes)

    def fired_at(self, slot: int) -> int:
        """The instrument's clock, ns, at which its episode fired."""
        return int(self._columns["fired_at"][slot])

    def forget_measures(self) -> None:
        """The rule has other measures than its episodes so far: those go on without one."""
        n = self._columns.n_slots
        for name in ("which", "due_which"):
            self._columns[name][:n] = UNMEASURED

    def rebase(self, slot: int, to: int) -> Closing | None:
        """Step one slot back in time: its clock was wrong, and no time of it stays later than `to`.

        Evaluations since then stay counted, as of `to`. An episode that fired later is closed, and does not
        come back.

        Parameters
        ----------
        slot
            The slot, in use.
        to
            ns; the slot's rows go on at this time or later.

        Returns
        -------
        Closing or None
            The transition that resolves the episode, if an open one was closed.
        """
        columns, closed = self._columns, None
        if columns["number"][slot] != CLOSED and columns["fired_at"][slot] > to:
            if columns["resolved_at"][slot] == NEVER:
                closed = self.closing(slot)
                columns["history"][slot], columns["hits"][slot], columns["since"][slot] = 0, 0, NEVER
                self._busy -= 1
            columns["number"][slot] = CLOSED
            columns["fired_at"][slot] = columns["resolved_at"][slot] = NEVER
        for name in TIMES:
            times = columns[name]
            times[slot] = min(times[slot], to)
        return closed

    def forget(self, slot: int) -> Closing | None:
        """Make one slot as it was before its first row, to the bit: another instrument takes its place.

        Parameters
        ----------
        slot
            The slot, in use.

        Returns
        -------
        Closing or None
            The transition that resolves its episode, if one was open.
        """
        columns = self._columns
        is_open = bool(columns["number"][slot] != CLOSED and columns["resolved_at"][slot] == NEVER)
        closing = self.closing(slot) if is_open else None
        self._busy -= is_open or bool(columns["history"][slot] != 0 or columns["since"][slot] != NEVER)
        columns.forget(slot)
        return closing

    def state(self, *, lend: bool = False) -> dict[str, NDArray[np.generic]]:
        """A copy of the state, with one entry per instrument in each column.

        With `lend` it is the columns themselves: valid until the next step, and not to be written to.
        """
        return self._columns.state(lend=lend)

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from a `state`; instruments beyond it start over.

        A column that an older version did not keep is as for a new instrument: open episodes taken up from
        one have no measure, and begin with the first interval of `updates`. The state of a version without
        `rebase` has no `fired_at`: its open episodes count as fired at their last transition.
        """
        n = len(state["number"])
        unseen = {name: np.full(n, value, dtype) for name, (dtype, value) in LAYOUT.items()}
        unseen |= {kept: np.full(n, math.nan) for kept in self._kept.values()}
        unseen["fired_at"] = np.where(state["number"] != CLOSED, state["told_at"], unseen["fired_at"])
        self._columns.restore({**unseen, **state})
        number, resolved_at = self._columns["number"], self._columns["resolved_at"]
        busy = (number != CLOSED) & (resolved_at == NEVER)
        busy |= (self._columns["history"] != 0) | (self._columns["since"] != NEVER)
        self._busy = int(busy[: self._columns.n_slots].sum())
