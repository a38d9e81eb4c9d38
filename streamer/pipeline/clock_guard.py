"""All clocks of one log, which no lying event can blind: the watermark, each instrument's, running time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.slot_arrays import SlotArrays, SlotColumn
from streamer.messages.batch import Batch, Instrument
from streamer.messages.records import NO_TIME
from streamer.pipeline import clock_kernels as k
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.unseen_order import NEVER, NOBODY, UnseenOrder

NO_SLOT = -1
"""The slot of a `ClockStep` of the watermark."""

LONGEST_GAP_NS = 3_600_000_000_000
"""What a step of the watermark counts as elapsed at most: what was missed in a longer silence is unknown."""

_NO_TIME = int(NO_TIME)
_NO_RECORD = -1
_NO_ROW = -1
_STEPS_AT_ONCE = 64


class ClockStep(NamedTuple):
    """A clock that was wrong and is set back before its row is folded.

    Parameters
    ----------
    row
        The row that refuted it.
    slot
        The instrument, `NO_SLOT` for the watermark.
    before, to
        The clock before and after, ns.
    """

    row: int
    slot: int
    before: int
    to: int


class Eviction(NamedTuple):
    """An instrument that gives up its slot before a row is folded; the row's instrument takes it.

    Parameters
    ----------
    row
        The newcomer's first row.
    slot
        The slot.
    instrument
        Whose it was.
    unseen_ns
        For how long it was unseen, ns of the log's time.
    now
        The log's time, ns.
    """

    row: int
    slot: int
    instrument: Instrument
    unseen_ns: int
    now: int


@dataclass(frozen=True, slots=True, eq=False)
class ClockedRows:
    """The rows of a batch in their order, with their clocks.

    Parameters
    ----------
    slot, clock
        int32[n], int64[n] ns: each row's instrument and its clock; undefined where a row is refused.
    now
        int64[n] ns: the log's time after each row, `NO_TIME` before the first event.
    verdict
        int8[n], see `streamer.pipeline.clock_kernels`.
    refused
        How many rows are refused.
    steps
        The clocks that were wrong, and the instruments that gave up their slots, in order.
    """

    slot: NDArray[np.int32]
    clock: NDArray[np.int64]
    now: NDArray[np.int64]
    verdict: NDArray[np.int8]
    refused: int
    steps: Sequence[ClockStep | Eviction]


@dataclass(slots=True, eq=False)
class _Undo:
    """The state before a batch, of what it can change; `evicted` holds an eviction, its clock and `OWN`."""

    log: NDArray[np.int64]
    held: NDArray[np.int64]
    passed_ns: int
    n_slots: int
    slots: NDArray[np.int32]
    clocks: NDArray[np.int64]
    own: NDArray[np.int64]
    evicted: list[tuple[Eviction, int, NDArray[np.int64]]] = field(default_factory=list)


class ClockGuard:
    """The clocks of one log, by the rules of docs/event-time.md.

    Parameters
    ----------
    max_ahead_ns
        What events of the log may be out of order by, ns.
    forget_after_ns
        How long an instrument must be unseen to give up its slot to a newcomer, ns; 0 for never.

    Examples
    --------
    >>> guard = ClockGuard(60_000_000_000)
    >>> guard.watermark == NO_TIME, guard.late
    (True, 0)
    """

    def __init__(self, max_ahead_ns: int, forget_after_ns: int = 0) -> None:
        self._max_ahead = max_ahead_ns
        self._unseen = UnseenOrder(forget_after_ns)
        self.passed_ns = 0
        """Event time that has passed, without what a step of the watermark exceeds `LONGEST_GAP_NS` by."""
        self._log = np.zeros(len(k.LOG), np.int64)
        for place in (k.WATERMARK, k.RUNNING, k.REFUTED):
            self._log[place] = _NO_TIME
        self._log[k.NEED], self._log[k.HELD_BY] = k.MANY, _NO_RECORD
        self._held = np.zeros(k.MANY, np.int64)
        self._slots = SlotArrays(
            {"clocks": SlotColumn(np.int64, _NO_TIME), "own": SlotColumn(np.int64, 0, (len(k.OWN),))}
        )
        self._steps = np.empty((_STEPS_AT_ONCE, 4), np.int64)
        self._undo: _Undo | None = None

    @property
    def watermark(self) -> int:
        """The log's clock, ns; `NO_TIME` before the first event."""
        return int(self._log[k.WATERMARK])

    @property
    def running(self) -> int:
        """The log's running time, ns; `NO_TIME` before the first event. It never goes back.

        It begins at the first event, and goes on with the watermark by steps of at most `max_ahead`; over a
        longer one it goes to the last timer.
        """
        return int(self._log[k.RUNNING])

    @property
    def now(self) -> int:
        """The log's time, ns: the watermark, and what has run since by timers; `NO_TIME` before any event."""
        log = self._log
        return self.watermark + max(int(log[k.LAST_TIMER]) - self.running, 0) if self._began else _NO_TIME

    @property
    def late(self) -> int:
        """How many events were behind their instrument's clock."""
        return int(self._log[k.LATE])

    @property
    def counts(self) -> dict[str, int]:
        """How many clocks of instruments and of the log were set back, and how many times were a year off."""
        log = self._log
        return {
            "instrument_steps_back": int(log[k.STEPS_BACK]),
            "log_steps_back": int(log[k.LOG_STEPS_BACK]),
            "far_off": int(log[k.FAR]),
        }

    def clocks(self, n_slots: int) -> NDArray[np.int64]:
        """The clocks of the first instruments, int64 ns."""
        clocks: NDArray[np.int64] = self._slots["clocks"][:n_slots]
        return clocks

    def seen(self, n_slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The watermark when each instrument was seen first, and when last; both int64[n_slots], ns."""
        own = self._slots["own"][:n_slots]
        return own[:, k.SINCE], own[:, k.SEEN]

    def grow(self, n_slots: int) -> None:
        """Make room for this many instruments."""
        self._slots.grow(n_slots)

    def fold(self, batch: Batch, slots: Slots, digits: NDArray[np.int8], least_passed_ns: int) -> ClockedRows:
        """Fold a batch's times.

        Parameters
        ----------
        batch
            Decoded events in log order.
        slots
            Where instruments get their slots, in the order in which they are first admitted. Once they are
            full, the longest unseen gives up its own, or the newcomer is refused.
        digits
            int8[members, kinds]: the digits in ns of the unit that a member's event times are declared in,
            negative for none; those of one member as int8[kinds], too.
        least_passed_ns
            What a step back leaves of `passed_ns` at least.
        """
        self._undo = None
        n = len(batch)
        slot, clock, now = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64)
        verdict = np.empty(n, np.int8)
        table, record, digits = slots.table(batch), batch.record, np.atleast_2d(digits)
        self._undo = None if slots.complete else self._before(table[batch.instrument], len(slots))
        steps: list[ClockStep | Eviction] = []
        row, refused, passed_over = 0, 0, _NO_ROW
        may_give = _NO_TIME if self._unseen.forget_after else NEVER  # looked for once a row needs a place
        while True:
            row, n_steps, more, self.passed_ns = k.fold_rows(
                row, batch.ts, batch.record_ts, record, batch.kind, batch.source, batch.instrument,
                digits, table, self._max_ahead, LONGEST_GAP_NS, least_passed_ns, self.passed_ns,
                len(slots), self._unseen.forget_after, may_give, passed_over,
                self._log, self._held, self._slots["clocks"], self._slots["own"],
                slot, clock, now, verdict, self._steps,
            )  # fmt: skip
            refused += more
            steps += [ClockStep(*each) for each in self._steps[:n_steps].tolist()]
            if row == n:
                return ClockedRows(slot, clock, now, verdict, refused, steps)
            if n_steps + 2 > _STEPS_AT_ONCE:
                continue
            code = int(batch.instrument[row])
            if not slots.full:  # an instrument that the table does not have
                slots.add(batch, code)
                self.grow(len(slots))
                continue
            evicted = self._evict(row, batch, slots)
            if evicted is None:
                slots.add(batch, code)  # as one beyond the limit
                passed_over = row
            else:
                steps.append(evicted)
            may_give = self._unseen.may_give(self._own(slots))

    def _own(self, slots: Slots) -> NDArray[np.int64]:
        own: NDArray[np.int64] = self._slots["own"][: len(slots)]
        return own

    def _evict(self, row: int, batch: Batch, slots: Slots) -> Eviction | None:
        """Let the longest unseen give up its slot to a row's instrument, if it has been unseen for long."""
        own, now = self._own(slots), k.told_time(int(batch.ts[row]), self.watermark, self._max_ahead)
        slot = self._unseen.choose(own, self._log, self._held, now)
        if slot == NOBODY:
            return None
        evicted = Eviction(row, slot, slots.instruments[slot], now - int(own[slot, k.SEEN]), now)
        if self._undo is not None:
            self._undo.evicted.append((evicted, int(self._slots["clocks"][slot]), own[slot].copy()))
        slots.replace(slot, batch, int(batch.instrument[row]))
        self.forget(slot)
        return evicted

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row, to the bit."""
        self._slots.forget(slot)

    def undo(self, slots: Slots) -> None:
        """Take the last batch back: there was no memory for its new instruments.

        They keep their slots, but for those that another gave up.
        """
        if self._undo is not None:
            undo, clocks, own = self._undo, self._slots["clocks"], self._slots["own"]
            for evicted, clock, kept in reversed(undo.evicted):
                slots.give_back(evicted.slot, evicted.instrument)
                clocks[evicted.slot], own[evicted.slot] = clock, kept
            self._unseen.begin_anew()
            self._log[:], self._held[:], self.passed_ns = undo.log, undo.held, undo.passed_ns
            clocks[undo.n_slots :], own[undo.n_slots :] = _NO_TIME, 0
            clocks[undo.slots], own[undo.slots] = undo.clocks, undo.own

    def _before(self, slots: NDArray[np.int32], n_slots: int) -> _Undo:
        slots = np.unique(slots[slots >= 0])
        clocks, own = self._slots["clocks"][slots], self._slots["own"][slots]
        log, held = self._log.copy(), self._held.copy()
        return _Undo(log, held, self.passed_ns, n_slots, slots, clocks, own)

    def timer(self, running_ns: int, n_slots: int) -> NDArray[np.int64]:
        """The instruments' clocks at a timer: each one's own, and what has run since it was heard.

        One that was heard since the last timer, nobody knows when, counts as heard now: it seems silent for
        less than it is, by one interval of timers at most, and never for longer.

        Parameters
        ----------
        running_ns
            The log's running time, and what has passed since that last went on.
        n_slots
            How many instruments there are.
        """
        self._log[k.LAST_TIMER] = max(int(self._log[k.LAST_TIMER]), running_ns)
        clocks, own = self.clocks(n_slots), self._slots["own"][:n_slots]
        untimed = own[:, k.UNTIMED] != 0
        own[untimed, k.HEARD] = np.maximum(own[untimed, k.HEARD], running_ns)
        own[untimed, k.UNTIMED] = 0
        silent = clocks == _NO_TIME  # there was no memory for the batch that it was in
        return np.where(silent, self.now, clocks + np.maximum(running_ns - own[:, k.HEARD], 0))

    def state(self) -> State:
        """An exact copy of what is kept of the instruments."""
        return self._slots.state()

    def document(self) -> dict[str, Any]:
        """What is kept of the log, as JSON values."""
        return {**dict(zip(k.LOG, self._log.tolist(), strict=True)), "held": self._held.tolist()}

    def restore(self, document: Mapping[str, Any], state: State) -> None:
        """Continue from a copy, or from one of a version that did not know who was seen when.

        That counts each as seen at its clock, and as there since ever.
        """
        self._log[:] = [document.get(name, 0) for name in k.LOG]
        self._held[:] = document["held"]
        self._unseen.begin_anew()
        if state["own"].shape[1:] == (k.EVENT,):
            state = {**state, "own": np.pad(state["own"], ((0, 0), (0, len(k.OWN) - k.EVENT)))}
        self._slots.restore(state)
        if "events" not in document:
            self._see_at_clocks()

    def restore_maxima(self, watermark: int, last_timer: int, clocks: NDArray[np.generic], late: int) -> None:
        """Continue from a state of fold 3, in which clocks were maxima that nothing could refute.

        One record is taken to have held the watermark, so that five can refute it: a clock that was ahead
        when the older version stopped does not stay so. Timers go on as they did, since the running time
        is the watermark, and each instrument counts as heard at its clock.
        """
        log = self._log
        log[k.LATE], log[k.LAST_TIMER] = late, max(last_timer, 0)
        if watermark == _NO_TIME:
            return
        log[k.WATERMARK] = log[k.RUNNING] = self._held[0] = watermark
        log[k.HELD_N] = log[k.HELD_AT] = 1
        self.grow(len(clocks))
        self.clocks(len(clocks))[:] = clocks
        self._slots["own"][: len(clocks), k.HEARD] = clocks
        self._see_at_clocks()

    def _see_at_clocks(self) -> None:
        """Count each instrument as seen last at its clock, the watermark at most."""
        n = self._slots.n_slots
        own, clocks = self._slots["own"][:n], self.clocks(n)
        own[:, k.SEEN] = np.where(clocks == _NO_TIME, 0, np.minimum(clocks, self.watermark))
        own[np.argsort(own[:, k.SEEN], kind="stable"), k.EVENT] = np.arange(1, n + 1)
        self._log[k.EVENTS] = n

    @property
    def _began(self) -> bool:
        return bool(self._log[k.WATERMARK] != _NO_TIME)
