"""The state of one partition, and the one function that moves it: `Task.step`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts.episodes import Episodes
from alerts.language.expression_columns import ExpressionColumns as RuleColumns
from alerts.rule_evaluation import Evaluation
from alerts.rules import rows_of
from detectors.calibration import build_calibrator
from detectors.detector import Detector
from detectors.event_columns import CODED, Columns, plain
from detectors.features import FeatureSet
from streamer.decoding.event_fields import ENUM_CODES, ENUM_STRINGS
from streamer.messages.batch import INSTRUMENT_NAMES, Batch, DeadLetter, Decoded, InstrumentName
from streamer.messages.outcome import NearMiss, Outcome, Scores, Transition
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.texts import ABSENT
from streamer.pipeline.drifts import Drifts
from streamer.pipeline.event_clocks import admit, advance, take_in
from streamer.pipeline.floods import FloodGate
from streamer.pipeline.instrument_slots import FULL, Slots
from streamer.pipeline.money import notional
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import OpenAlert, Origin, Reporter, ReportRows
from streamer.pipeline.rule_rates import Rates
from streamer.pipeline.timer_rows import timer_batch

_Number = TypeVar("_Number", bound=np.generic)
_Told = TypeVar("_Told", Transition, NearMiss)
_WARMING = 0


class _Grows(Protocol):
    def grow(self, n_slots: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Timer:
    """The passing of time, seen by the engine: its number in the task and its event time in ns."""

    number: int
    ts_ns: int


class Task:
    """One topic-partition under one plan: everything that detection remembers of it.

    Given the same inputs in the same order it gives the same outcomes, bit for bit, however
    they are cut into batches. It reads no clock and talks to nobody.

    Parameters
    ----------
    plan
        What to compute.
    partition
        Which log it is about; part of every alert's identity.
    """

    def __init__(self, plan: Plan, partition: Partition) -> None:
        self.plan = plan
        self.partition = partition
        self.slots = Slots(plan.max_instruments)
        self.clocks = np.zeros(0, np.int64)
        self.watermark = int(NO_TIME)
        self.last_timer = Timer(0, int(NO_TIME))
        self.features = FeatureSet(plan.features)
        self.detectors = [Detector(name, settings) for name, settings in plan.detectors.items()]
        self.calibrators = [build_calibrator() for _ in self.detectors]
        self.status = {detector.name: np.zeros(0, np.int8) for detector in self.detectors}
        self.episodes = [Episodes(rule) for rule in plan.rules]
        self._conditions = Evaluation(plan.rules)
        self.open: list[dict[int, OpenAlert]] = [{} for _ in plan.rules]
        named = {name for rule in plan.rules for name in rule.names}
        self._named: tuple[InstrumentName, ...] = tuple(name for name in INSTRUMENT_NAMES if name in named)
        self.drifts = Drifts(plan, self.detectors, self.slots)
        self.rates = Rates(plan, self.detectors, self.calibrators)
        self.floods = FloodGate(plan.flood)
        self.seen: set[str] = set()
        self.ignored: dict[str, int] = {}
        self.late = 0
        self._grown_to = 0
        self._coded = tuple(name for name in CODED if name in self.features.needs)

    def step(self, work: Decoded | Timer) -> Outcome:
        """Fold one micro-batch, or one timer, into the state.

        Parameters
        ----------
        work
            Decoded events in log order, or a timer.

        Returns
        -------
        Outcome
            What became visible by it.
        """
        return self._timer(work) if isinstance(work, Timer) else self._events(work)

    def _events(self, decoded: Decoded) -> Outcome:
        for name, count in decoded.ignored.items():
            self.ignored[name] = self.ignored.get(name, 0) + count
        batch, slot, clock, refused = self._taken_in(decoded.batch)
        in_order = sorted((*decoded.dead, *refused), key=lambda letter: (letter.offset, letter.index))
        dead, floods = self.floods.sort(in_order)
        transitions: tuple[Transition, ...] = ()
        near_misses: tuple[NearMiss, ...] = ()
        scores: tuple[Scores, ...] = ()
        if len(batch):
            self._see(batch)
            rows = self._rows(batch, slot, clock, Origin(self.partition))
            scores = self._score(rows, batch)
            transitions, near_misses = self._judge(rows)
            self.rates.count(transitions)
        ignored = dict(self.ignored) if decoded.ignored else None
        return Outcome(transitions, scores, dead, floods, ignored, near_misses)

    def _timer(self, timer: Timer) -> Outcome:
        self.last_timer = timer
        n = len(self.slots)
        if n == 0:
            return Outcome()
        self.grow()
        slot = np.arange(n, dtype=np.int32)
        clock = np.maximum(self.clocks[:n], timer.ts_ns)
        batch = timer_batch(self.slots.instruments, timer.ts_ns)
        transitions, near_misses = self._judge(
            self._rows(batch, slot, clock, Origin(self.partition, timer.number))
        )
        self.rates.count(transitions)
        return Outcome(transitions, near_misses=near_misses)

    def _taken_in(self, batch: Batch) -> tuple[Batch, NDArray[np.int32], NDArray[np.int64], list[DeadLetter]]:
        """The events that are let in, with their slots and clocks, and those that are not."""
        if len(self.slots) != self._grown_to:  # there was no memory for all of them
            self.grow()
        n, before = len(batch), self.watermark
        slot, clock = np.empty(n, np.int32), np.empty(n, np.int64)
        slots, ahead = self.slots.table(batch), self.plan.max_ahead_ns
        taken, watermark, late = take_in(
            batch.ts, batch.record_ts, batch.instrument, slots, before, ahead, self.clocks, slot, clock
        )
        if not taken:
            return self._admitted(batch)
        self.watermark, self.late = watermark, self.late + late
        self.rates.pass_time(before, watermark, batch.ts)
        return batch, slot, clock, []

    def _admitted(self, batch: Batch) -> tuple[Batch, NDArray[np.int32], NDArray[np.int64], list[DeadLetter]]:
        """The same where an event may be refused, or be the first of its instrument."""
        accepted, before = np.empty(len(batch), np.bool_), self.watermark
        self.watermark = int(admit(batch.ts, batch.record_ts, before, self.plan.max_ahead_ns, accepted))
        refused: list[DeadLetter] = []
        if not accepted.all():
            refused += _refusals(batch, ~accepted, "ts_ahead", _AHEAD)
            batch = batch.take(accepted)
        self.rates.pass_time(before, self.watermark, batch.ts)
        slot = self.slots.assign(batch)
        full = slot == FULL
        if full.any():
            refused += _refusals(batch, full, "too_many_instruments", _FULL)
            batch, slot = batch.take(~full), slot[~full]
        self.grow()
        clock = np.empty(len(batch), np.int64)
        self.late += advance(slot, batch.ts, self.clocks, clock)
        return batch, slot, clock, refused

    def _see(self, batch: Batch) -> None:
        """Remember the fields that any event has had; only those that are new cost a look."""
        for name in batch.numbers.keys() - self.seen:
            if not np.isnan(batch.numbers[name]).all():
                self.seen.add(name)
        for name in batch.texts.keys() - self.seen:
            if (batch.texts[name] != ABSENT).any():
                self.seen.add(name)

    def grow(self) -> None:
        """Make room for every instrument that has a slot."""
        n = len(self.slots)
        if n == self._grown_to:
            return
        if n > len(self.clocks):
            capacity = max(n, 2 * len(self.clocks), 8)
            self.clocks = _grown(self.clocks, capacity, int(NO_TIME))
            self.status = {name: _grown(column, capacity, _WARMING) for name, column in self.status.items()}
        parts: tuple[_Grows, ...] = (
            self.features,
            *self.detectors,
            *self.calibrators,
            *self.episodes,
            self.drifts,
        )
        for part in parts:
            part.grow(n)
        self._grown_to = n

    def _rows(
        self, batch: Batch, slot: NDArray[np.int32], clock: NDArray[np.int64], origin: Origin
    ) -> ReportRows:
        fields = dict(batch.numbers)
        if "price" in fields and "size" in fields:
            fields["notional"] = np.empty(len(batch))
            price, size = plain(fields["price"], np.float64), plain(fields["size"], np.float64)
            notional(plain(batch.kind, np.int8), price, size, fields["notional"])
        coded = {name: _coded(name, batch.texts[name]) for name in self._coded if name in batch.texts}
        columns = Columns(slot, batch.kind, clock, {**fields, **coded}, len(self.slots))
        numbers = {**fields, **self.features.step(columns)}
        return ReportRows(batch, columns, numbers, origin)

    def _score(self, rows: ReportRows, batch: Batch) -> tuple[Scores, ...]:
        found = []
        for detector, calibrator in zip(self.detectors, self.calibrators, strict=True):
            result = detector.step(rows.columns, rows.numbers)
            where = result.rows
            slot, offset, index = (
                rows.columns.slot.take(where),
                batch.offset.take(where),
                batch.index.take(where),
            )
            clock = rows.columns.clock.take(where)
            rarity = calibrator.step(slot, clock, offset, index, result.score).seconds
            rows.numbers[f"{detector.name}.score"] = _spread(result.score, where, len(batch))
            rows.numbers[f"{detector.name}.rarity"] = _spread(rarity, where, len(batch))
            self.status[detector.name][slot] = result.status
            if len(slot):
                ts, name = batch.ts.take(where), detector.name
                found.append(Scores(name, slot, ts, offset, index, result.score, rarity, result.status))
        return tuple(found)

    def _judge(self, rows: ReportRows) -> tuple[tuple[Transition, ...], tuple[NearMiss, ...]]:
        seen, columns = self._seen_by_rules(rows), rows.columns
        reporter = Reporter(self.plan, self.detectors, self.slots, rows, seen)
        found: list[tuple[int, int, Transition]] = []
        missed: list[tuple[int, int, NearMiss]] = []
        for number, where in enumerate(self._conditions.hold(seen, columns.kind)):
            rule, episodes = self.plan.rules[number], self.episodes[number]
            if where is None and episodes.idle:
                continue
            held = np.zeros(len(columns), np.bool_) if where is None else where
            evaluated = rows_of(rule.kinds, columns.kind)
            severity = rule.severities(seen)
            steps = episodes.step(columns.slot, columns.clock, columns.kind, evaluated, held, severity)
            for at in range(len(steps)):
                transition = reporter.report(rule, self.open[number], steps, at)
                found.append((int(steps.row[at]), number, transition))
            missed += [
                (row, number, reporter.near_miss(rule, row, int(severity[row])))
                for row in steps.missed.tolist()
            ]
        found += self.drifts.step(rows, found)
        return _in_order(found), _in_order(missed)

    def _seen_by_rules(self, rows: ReportRows) -> RuleColumns:
        """All columns, with the instrument's venue and symbol among them where a rule names those."""
        batch = rows.batch
        texts = batch.texts.and_also({name: batch.names(name) for name in self._named})
        return RuleColumns(
            rows.numbers, texts, texts.strings, len(batch), code_of=texts.strings.code, text_of=texts.text
        )


_AHEAD = "event time is further ahead of the watermark and of its record's timestamp than max_ahead allows"
_FULL = "the task has as many instruments as max_instruments allows"


def _refusals(batch: Batch, refused: NDArray[np.bool_], reason: str, detail: str) -> Iterator[DeadLetter]:
    for row in np.flatnonzero(refused):
        offset, index = int(batch.offset[row]), int(batch.index[row])
        yield DeadLetter(offset, index, reason, detail, None, int(batch.record_ts[row]))


def _in_order(found: list[tuple[int, int, _Told]]) -> tuple[_Told, ...]:
    """By row, then by rule: so that they do not depend on how rows were cut into batches."""
    return tuple(told for _, _, told in sorted(found, key=lambda entry: entry[:2]))


def _spread(values: NDArray[np.float64], rows: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    spread = np.full(n, np.nan)
    spread[rows] = values
    return spread


def _grown(column: NDArray[_Number], capacity: int, fill: int) -> NDArray[_Number]:
    grown = np.full(capacity, fill, column.dtype)
    grown[: len(column)] = column
    return grown


def _coded(name: str, codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """An enum column as detectors know it: each text's position in `CODED`, NaN where an event has none."""
    table = np.full(len(ENUM_STRINGS) + 1, np.nan)  # ABSENT is -1, the last entry
    for position, text in enumerate(CODED[name]):
        table[ENUM_CODES[text]] = position
    return table[codes]
