"""Admits a batch's events by their times and instruments, and says why the others are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.alert import rfc3339
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.formats import Format
from streamer.decoding.value_parsing import NS_PER
from streamer.messages.batch import Batch, DeadLetter, Decoded, Instrument, Kind
from streamer.messages.notices import FarOffTime
from streamer.messages.records import NO_TIME
from streamer.pipeline import clock_kernels as k
from streamer.pipeline.clock_guard import ClockGuard, ClockStep, Eviction
from streamer.pipeline.instrument_slots import Slots

_NO_UNIT = -1
_DIGITS = {unit: len(str(ns)) - 1 for unit, ns in NS_PER.items()}
_UNITS = {digits: unit for unit, digits in _DIGITS.items()}
_RECENT_NS = 20 * k.YEAR_NS, 130 * k.YEAR_NS  # where nothing else tells a time's unit: from 1990 to 2100

_AHEAD = "event time is further ahead of the watermark and of its record's timestamp than max_ahead allows"
_FULL = (
    "the task has as many instruments as engine.max_instruments allows, and none that was unseen for "
    "engine.forget_after"
)


@dataclass(frozen=True, slots=True, eq=False)
class LogTimes:
    """The log's time in the course of a batch.

    Parameters
    ----------
    order
        int64[n], what orders the rows' records: see `Decoded.row_order`.
    now
        int64[n] ns, the log's time after each row.
    start
        Its time before the first, ns; `NO_TIME` before the log's first event.

    Examples
    --------
    >>> times = LogTimes(np.array([3, 3, 5]), np.array([70, 80, 90]), 60)
    >>> times.before(3), times.before(4), times.before(6)
    (60, 80, 90)
    """

    order: NDArray[np.int64]
    now: NDArray[np.int64]
    start: int

    def before(self, order: int) -> int:
        """The log's time before a record, given by what orders it."""
        row = int(np.searchsorted(self.order, order))
        return int(self.now[row - 1]) if row else self.start


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Events of a batch between which no clock is set back and no slot given up, with what orders them."""

    batch: Batch
    order: NDArray[np.int64]
    slot: NDArray[np.int32]
    clock: NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class EventPlace:
    """Where an event lies: what orders its record, its index in it, and its partition and offset."""

    order: int
    index: int
    source: int
    offset: int


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event of an instrument beyond the limit: its place in the log, and the log's time after it, ns."""

    place: EventPlace
    instrument: Instrument
    now: int


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """The admitted events of a batch.

    Parameters
    ----------
    batch, order
        The m events that are admitted, and what orders them.
    slot, clock
        int32[m], int64[m] ns: each event's instrument, and that instrument's clock.
    steps
        Clocks that were wrong, and instruments that gave up their slots; each before its row of `batch`.
    dead
        Dead letters for the others, each with what orders its record.
    far_off
        The first event of the log whose time is a year or more off, if it is in this batch, and its place.
    times
        The log's time before each record.
    refused
        Those that are refused since there is no place for their instrument.
    """

    batch: Batch
    order: NDArray[np.int64]
    slot: NDArray[np.int32]
    clock: NDArray[np.int64]
    steps: Sequence[ClockStep | Eviction]
    dead: Sequence[tuple[int, DeadLetter]]
    far_off: tuple[EventPlace, FarOffTime] | None
    times: LogTimes
    refused: Sequence[RefusedEvent] = ()

    def event(self, step: ClockStep | Eviction) -> EventPlace:
        """The event that a clock is set back to, or a slot is given up for."""
        return _place(self.batch, self.order, step.row)

    def instrument(self, step: ClockStep | Eviction) -> Instrument:
        """Whose clock is set back, or who gets the slot."""
        return self.batch.instrument_of(step.row)

    def segments(self) -> Iterator[tuple[Sequence[ClockStep | Eviction], Segment]]:
        """The events in parts to be folded one after another, each with what comes before it."""
        first, steps, n = 0, list[ClockStep | Eviction](), len(self.batch)
        for step in self.steps:
            if step.row > first:
                yield steps, self._cut(first, step.row)
                first, steps = step.row, []
            steps.append(step)
        yield steps, self._cut(first, n)

    def _cut(self, first: int, end: int) -> Segment:
        if end - first == len(self.batch):
            return Segment(self.batch, self.order, self.slot, self.clock)
        batch = self.batch.take(np.arange(first, end))
        return Segment(batch, self.order[first:end], self.slot[first:end], self.clock[first:end])


def time_digits(time_units: Mapping[str, str]) -> NDArray[np.int8]:
    """The units of event times, by kind, as `ClockGuard.fold` takes them.

    Examples
    --------
    >>> time_digits({"trade": "ms", "status": "s"}).tolist()
    [6, -1, -1, 9, -1, -1, -1]
    """
    digits = [_DIGITS.get(time_units.get(kind.name.lower(), ""), _NO_UNIT) for kind in Kind]
    return np.array(digits, np.int8)


def digits_of(format_: Format | None) -> NDArray[np.int8]:
    """The units of a format's event times; without a format no unit is known."""
    return time_digits({} if format_ is None else format_.time_units)


def admit(
    decoded: Decoded, guard: ClockGuard, slots: Slots, digits: NDArray[np.int8], least_passed_ns: int
) -> Admitted:
    """Fold a batch's times into the clocks, and part the admitted events from the others.

    Parameters
    ----------
    decoded
        Events in log order.
    guard, slots
        The task's.
    digits
        int8[members, kinds]; see `time_digits`.
    least_passed_ns
        See `ClockGuard.fold`.
    """
    batch, order = decoded.batch, decoded.row_order
    before, known_far = guard.now, guard.counts["far_off"]
    rows = guard.fold(batch, slots, digits, least_passed_ns)
    times = LogTimes(order, rows.now, before)
    far_off = None
    if not known_far and guard.counts["far_off"]:
        far_off = _far_off(batch, int(np.argmax(rows.verdict == k.FAR_OFF)), digits, times)
    if not rows.refused:
        return Admitted(batch, order, rows.slot, rows.clock, rows.steps, (), far_off, times)
    accepted = (rows.verdict == k.ADMITTED) | (rows.verdict == k.FAR_OFF)
    steps = [step._replace(row=int(np.count_nonzero(accepted[: step.row]))) for step in rows.steps]
    refused = np.flatnonzero(~accepted).tolist()
    dead = [(int(order[row]), _dead_letter(batch, row, int(rows.verdict[row]), digits)) for row in refused]
    beyond = [
        RefusedEvent(_place(batch, order, row), batch.instrument_of(row), int(rows.now[row]))
        for row in refused
        if rows.verdict[row] == k.OVER_LIMIT
    ]
    admitted = batch.take(accepted), order[accepted], rows.slot[accepted], rows.clock[accepted]
    return Admitted(*admitted, steps, dead, far_off, times, beyond)


def _place(batch: Batch, order: NDArray[np.int64], row: int) -> EventPlace:
    return EventPlace(int(order[row]), int(batch.index[row]), int(batch.source[row]), int(batch.offset[row]))


def _dead_letter(batch: Batch, row: int, verdict: int, digits: NDArray[np.int8]) -> DeadLetter:
    if verdict == k.AHEAD:
        reason, detail = Reason.TS_AHEAD, _AHEAD
    elif verdict == k.OVER_LIMIT:
        reason, detail = Reason.TOO_MANY_INSTRUMENTS, _FULL
    else:
        declared, more = int(digits[batch.source[row], batch.kind[row]]), verdict - k.WRONG_UNIT
        reason, detail = Reason.WRONG_UNIT, _wrong_unit(batch, row, declared, more)
    offset, index = int(batch.offset[row]), int(batch.index[row])
    source, record_ts = int(batch.source[row]), int(batch.record_ts[row])
    return DeadLetter(offset, index, reason.value, detail, None, record_ts, source=source)


def _wrong_unit(batch: Batch, row: int, declared: int, more: int) -> str:
    ts, fits = int(batch.ts[row]), _UNITS[declared + more]
    by = "the watermark" if batch.record_ts[row] == NO_TIME else "its record's timestamp"
    return (
        f"ts_event: read in {_UNITS[declared]} the time is {rfc3339(ts)}; in {fits} it is "
        f"{rfc3339(ts * 10**more)}, within a day of {by}: declare unit {fits}"
    )


def _far_off(
    batch: Batch, row: int, digits: NDArray[np.int8], times: LogTimes
) -> tuple[EventPlace, FarOffTime]:
    ts, record_ts, place = int(batch.ts[row]), int(batch.record_ts[row]), _place(batch, times.order, row)
    declared = int(digits[place.source, batch.kind[row]])
    reference = record_ts if record_ts != NO_TIME else times.before(place.order)
    return place, FarOffTime(
        instrument=batch.instrument_of(row),
        ts_ns=ts,
        reference_ns=None if reference == NO_TIME else reference,
        unit=_UNITS.get(declared, ""),
        fits=_recent_in(ts, declared),
        offset=place.offset,
        index=place.index,
        source=place.source,
    )


def _recent_in(ts: int, declared: int) -> str:
    """The unit in which a time in 1970 would be a recent one; empty if there is none."""
    if declared == _NO_UNIT or ts >= k.YEAR_NS:
        return ""
    coarser = [digits for digits in sorted(_UNITS) if digits > declared]
    fitting = (_UNITS[at] for at in coarser if _RECENT_NS[0] <= ts * 10 ** (at - declared) < _RECENT_NS[1])
    return next(fitting, "")
