"""The state of one log, and the one function that changes it: `Task.step`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts.episodes import Closing, Episodes, Steps
from alerts.language.expression_columns import ExpressionColumns as RuleColumns
from alerts.rule_evaluation import Evaluation
from alerts.rules import Rule, rows_of
from detectors.calibration import build_calibrator
from detectors.event_columns import CODED, Columns, plain
from detectors.features import FeatureSet
from detectors.slot_arrays import SlotArrays, SlotColumn
from detectors.work_watch import work_watch
from streamer.decoding.event_fields import ENUM_CODES, ENUM_STRINGS
from streamer.messages.batch import INSTRUMENT_NAMES, Batch, Decoded, InstrumentName, Kind
from streamer.messages.logs import Log
from streamer.messages.outcome import NearMiss, Outcome, Scores, Transition
from streamer.messages.records import NO_TIME, Partition
from streamer.messages.texts import ABSENT
from streamer.pipeline.admission import Admitted, Segment, admit, digits_of
from streamer.pipeline.clock_guard import NO_SLOT, ClockGuard, ClockStep, Eviction
from streamer.pipeline.clock_notices import ClockNotices
from streamer.pipeline.detector_models import built
from streamer.pipeline.drifts import Drifts
from streamer.pipeline.finer_units import with_fitting_unit
from streamer.pipeline.floods import FloodGate
from streamer.pipeline.identity import EventReference
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.member_states import MemberStates
from streamer.pipeline.money import notional
from streamer.pipeline.open_alerts import OpenAlert, RuleAlerts
from streamer.pipeline.place_notices import PlaceNotices
from streamer.pipeline.plan import Plan
from streamer.pipeline.report import EnrichedBatch, EpisodeStep, Reporter, RowSource
from streamer.pipeline.resolving import Cause, EndedEpisode, resolve
from streamer.pipeline.rule_rates import Rates
from streamer.pipeline.timer_rows import timer_batch
from streamer.pipeline.touched import Touched

_Reported = TypeVar("_Reported", Transition, NearMiss)
_WARMING = 0


class _Growable(Protocol):
    def grow(self, n_slots: int) -> None: ...


class _BySlot(Protocol):
    def rebase(self, slot: int, to: int) -> None: ...

    def forget(self, slot: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Timer:
    """An event that marks the passing of time.

    Parameters
    ----------
    number
        Its number in the task.
    ts_ns
        The log's running time (`ClockGuard.running`), and what has passed since that last went on, ns. While
        no event is more than `max_ahead` past the watermark, the running time is the watermark.
    """

    number: int
    ts_ns: int


class Task:
    """One log under one plan: the whole state of detection for it.

    The same inputs in the same order give the same outcomes, bit for bit, however they are cut into
    batches. A task reads no clock and does no I/O.

    Parameters
    ----------
    plan
        What to compute.
    log
        The log it folds, or the partition that is all of it; part of every alert id.
    """

    def __init__(self, plan: Plan, log: Log | Partition) -> None:
        self.plan = plan
        self.log = Log.of(log) if isinstance(log, Partition) else log
        self.slots = Slots(plan.max_instruments)
        self.guard = ClockGuard(plan.max_ahead_ns, plan.forget_after_ns)
        self.clock_notices = ClockNotices()
        self.place_notices = PlaceNotices(plan.max_instruments)
        self.last_timer = Timer(0, int(NO_TIME))
        self.features = FeatureSet(plan.features)
        self.detectors = [built(name, settings) for name, settings in plan.detectors.items()]
        self.calibrators = [build_calibrator() for _ in self.detectors]
        status = {f"status/{detector.name}": SlotColumn(np.int8, _WARMING) for detector in self.detectors}
        self._by_slot = SlotArrays(status)
        self.episodes = [Episodes(rule) for rule in plan.rules]
        self._conditions = Evaluation(plan.rules)
        self.alerts = [RuleAlerts() for _ in plan.rules]
        rule_names = {name for rule in plan.rules for name in rule.names}
        self._instrument_names: tuple[InstrumentName, ...] = tuple(
            name for name in INSTRUMENT_NAMES if name in rule_names
        )
        self.drifts = Drifts(plan, self.detectors, self.slots)
        self.rates = Rates(plan, self.detectors, self.calibrators)
        self.floods = FloodGate(plan.flood)
        self.fields_seen: set[str] = set()
        self.kinds_seen: set[Kind] = set()
        self.ignored: dict[str, int] = {}
        self.touched = Touched()
        self._grown_to = 0
        self.time_digits = _digits(plan, self.log)
        self.members: MemberStates | None = None
        if self.log.is_joined:
            self.members = MemberStates(len(self.log.members), plan.max_ahead_ns, plan.max_instruments)
        self._coded_fields = tuple(name for name in CODED if name in self.features.needs)

    @property
    def partition(self) -> Partition:
        """What its log is known by."""
        return self.log.key

    @property
    def watermark(self) -> int:
        """The log's clock, ns; `NO_TIME` before the first event."""
        return self.guard.watermark

    @property
    def clocks(self) -> NDArray[np.int64]:
        """Each instrument's clock, int64 ns by slot."""
        return self.guard.clocks(len(self.slots))

    @property
    def late(self) -> int:
        """How many events were behind their instrument's clock."""
        return self.guard.late

    @property
    def open(self) -> list[dict[int, OpenAlert]]:
        """The alerts of each rule's open episodes, by slot."""
        return [alerts.open for alerts in self.alerts]

    @property
    def status(self) -> dict[str, NDArray[np.int8]]:
        """Each detector's status by slot, as of the instrument's last scored row."""
        return {detector.name: self._by_slot[f"status/{detector.name}"] for detector in self.detectors}

    def seen_status(self) -> dict[str, NDArray[np.generic]]:
        """A copy of `status` by detector, lent within `detectors.slot_arrays.lending`."""
        kept = self._by_slot.state()
        return {detector.name: kept[f"status/{detector.name}"] for detector in self.detectors}

    def step(self, inputs: Decoded | Timer) -> Outcome:
        """Fold one micro-batch, or one timer, into the state.

        Parameters
        ----------
        inputs
            Decoded events in log order, or a timer.

        Returns
        -------
        Outcome
            What it caused: alerts, scores, dead letters.
        """
        return self._fold_timer(inputs) if isinstance(inputs, Timer) else self._fold_events(inputs)

    def _fold_events(self, decoded: Decoded) -> Outcome:
        for name, count in decoded.ignored.items():
            self.ignored[name] = self.ignored.get(name, 0) + count
        admitted = self._admit(decoded)
        refused = [
            (at, with_fitting_unit(letter, admitted.times.before(at)) if letter.finer else letter)
            for at, letter in zip(decoded.dead_order, decoded.dead, strict=True)
        ]
        dead, floods = self.floods.sort([*refused, *admitted.dead], admitted.times.before)
        self._note_fields(admitted.batch)
        transitions: list[Transition] = []
        near_misses: list[NearMiss] = []
        scores: list[Scores] = []
        watch = work_watch()
        for steps, part in admitted.segments():
            for step in steps:
                if isinstance(step, Eviction):
                    transitions += self._evict(step, admitted)
                else:
                    transitions += self._set_back(step, admitted)
            if len(part.batch):
                self.touched.mark(part.slot)
                rows = self._rows(part.batch, part.slot, part.clock, RowSource(self.log))
                scores += self._score(rows, part)
                caused, missed = self._judge(rows)
                transitions += caused
                near_misses += missed
            watch.mark()
        self.rates.count(transitions)
        told = [*self.place_notices.tell(admitted), *self.clock_notices.tell(admitted)]
        notices = tuple(notice for _, notice in sorted(told, key=lambda each: each[0]))
        ignored = dict(self.ignored) if decoded.ignored else None
        return Outcome(
            tuple(transitions),
            tuple(scores),
            dead,
            floods,
            ignored,
            tuple(near_misses),
            notices,
            len(admitted.batch),
        )

    def _fold_timer(self, timer: Timer) -> Outcome:
        self.last_timer = timer
        n = len(self.slots)
        if n == 0:
            return Outcome()
        self.grow()
        slot, clock = np.arange(n, dtype=np.int32), self.guard.timer(timer.ts_ns, n)
        batch = timer_batch(self.slots.instruments, self.guard.now)
        rows = self._rows(batch, slot, clock, RowSource(self.log, timer.number))
        silence_ns = clock - self.clocks
        for feature in self.plan.log_features:
            rows.numbers[feature.name] = np.full(n, feature.value(silence_ns))
        transitions, near_misses = self._judge(rows)
        self.rates.count(transitions)
        return Outcome(transitions, near_misses=near_misses)

    def _admit(self, decoded: Decoded) -> Admitted:
        if len(self.slots) != self._grown_to:  # the last attempt ran out of memory
            self.grow()
        rates, guard = self.rates, self.guard
        guard.passed_ns = rates.passed_ns
        try:
            admitted = admit(decoded, guard, self.slots, self.time_digits, rates.counted_from_ns)
            self.grow()
        except MemoryError:
            guard.undo(self.slots)
            raise
        rates.passed_ns = guard.passed_ns
        return admitted

    def _set_back(self, step: ClockStep, admitted: Admitted) -> list[Transition]:
        """Set a clock back, and resolve the instrument's episodes that fired after what it is set back to."""
        if step.slot == NO_SLOT:
            self.drifts.set_back(step.to)
            return []
        self.rebase(step.slot, step.to)
        instrument = admitted.instrument(step)
        resolved = []
        for number, (rule, episodes) in enumerate(zip(self.plan.rules, self.episodes, strict=True)):
            closing = episodes.rebase(step.slot, step.to)
            if closing is not None:
                opened = self.alerts[number].resolve(step.slot, may_return=False)
                cause = Cause.clock_set_back(step, self._event(step, admitted))
                ended = EndedEpisode(rule, instrument, opened, closing)
                resolved.append(resolve(ended, self.log, self.plan.config_hash, cause))
        return resolved

    def rebase(self, slot: int, to: int) -> None:
        """Let no time that detectors keep of an instrument be later than `to`, ns."""
        self.touched.mark([slot])
        for part in self._kept_by_slot():
            part.rebase(slot, to)

    def _evict(self, eviction: Eviction, admitted: Admitted) -> list[Transition]:
        """Forget the instrument that gives up its slot, and resolve its episodes."""
        event = self._event(eviction, admitted)
        cause = Cause.forgotten(eviction, admitted.instrument(eviction), event)
        resolved = []
        for rule, opened, closing in self.forget(eviction.slot):
            ended = EndedEpisode(rule, eviction.instrument, opened, closing)
            resolved.append(resolve(ended, self.log, self.plan.config_hash, cause))
        return resolved

    def forget(self, slot: int) -> list[tuple[Rule, OpenAlert, Closing]]:
        """Make one slot as it was before its first row, to the bit, but for its clock and its name.

        What its instrument gave to pools, to the log's counts and to the drift of the whole log stays there.

        Returns
        -------
        list
            The episodes that were open, by the order of the rules.
        """
        self.touched.mark([slot])
        for part in self._kept_by_slot():
            part.forget(slot)
        self.drifts.forget(slot)
        self._by_slot.forget(slot)
        ended = []
        for rule, episodes, alerts in zip(self.plan.rules, self.episodes, self.alerts, strict=True):
            closing, opened = episodes.forget(slot), alerts.forget(slot)
            if closing is not None and opened is not None:
                ended.append((rule, opened, closing))
        return ended

    def _event(self, step: ClockStep | Eviction, admitted: Admitted) -> EventReference:
        place = admitted.event(step)
        return EventReference.of(self.log, place.source, place.offset, place.index)

    def _kept_by_slot(self) -> tuple[_BySlot, ...]:
        return (self.features, *self.detectors, *self.calibrators)

    def _note_fields(self, batch: Batch) -> None:
        """Record which kinds there were, and which fields have had a value; only others are checked."""
        kinds = np.flatnonzero(np.bincount(batch.kind)).tolist()
        if not self.kinds_seen.issuperset(kinds):
            self.kinds_seen.update(map(Kind, kinds))
        for name in batch.numbers.keys() - self.fields_seen:
            if not np.isnan(batch.numbers[name]).all():
                self.fields_seen.add(name)
        for name in batch.texts.keys() - self.fields_seen:
            if (batch.texts[name] != ABSENT).any():
                self.fields_seen.add(name)

    def grow(self) -> None:
        """Make room for every instrument that has a slot."""
        n = len(self.slots)
        if n == self._grown_to:
            return
        parts: tuple[_Growable, ...] = (
            self._by_slot,
            self.guard,
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
        self, batch: Batch, slot: NDArray[np.int32], clock: NDArray[np.int64], source: RowSource
    ) -> EnrichedBatch:
        fields = dict(batch.numbers)
        if "price" in fields and "size" in fields:
            fields["notional"] = np.empty(len(batch))
            price, size = plain(fields["price"], np.float64), plain(fields["size"], np.float64)
            notional(plain(batch.kind, np.int8), price, size, fields["notional"])
        coded = {name: _coded(name, batch.texts[name]) for name in self._coded_fields if name in batch.texts}
        columns = Columns(slot, batch.kind, clock, {**fields, **coded}, len(self.slots))
        numbers = {**fields, **self.features.step(columns)}
        return EnrichedBatch(batch, columns, numbers, source)

    def _score(self, rows: EnrichedBatch, part: Segment) -> tuple[Scores, ...]:
        scores, batch = [], part.batch
        for detector, calibrator in zip(self.detectors, self.calibrators, strict=True):
            result = detector.step(rows.columns, rows.numbers)
            scored = result.rows
            slot, clock = rows.columns.slot.take(scored), rows.columns.clock.take(scored)
            rarity = calibrator.step(slot, clock, self.slots.hashes[slot], result.score).seconds
            rows.numbers[f"{detector.name}.score"] = _spread(result.score, scored, len(batch))
            rows.numbers[f"{detector.name}.rarity"] = _spread(rarity, scored, len(batch))
            self._by_slot[f"status/{detector.name}"][slot] = result.status
            if len(slot):
                found = Scores(
                    detector.name,
                    slot,
                    batch.ts.take(scored),
                    batch.source.take(scored),
                    batch.offset.take(scored),
                    batch.index.take(scored),
                    part.order.take(scored),
                    result.score,
                    rarity,
                    result.status,
                    batch.instruments,
                    batch.instrument.take(scored),
                )
                scores.append(found)
        return tuple(scores)

    def _judge(self, rows: EnrichedBatch) -> tuple[tuple[Transition, ...], tuple[NearMiss, ...]]:
        rule_columns, columns = self._rule_columns(rows), rows.columns
        reporter = Reporter(self.plan, self.detectors, rows, rule_columns)
        transitions: list[tuple[int, int, Transition]] = []
        near_misses: list[tuple[int, int, NearMiss]] = []
        for number, held in enumerate(self._conditions.hold(rule_columns, columns.kind)):
            rule, episodes = self.plan.rules[number], self.episodes[number]
            if held is None and episodes.idle:
                continue
            if rows.source.timer is not None:
                self.touched.mark_rules([number])
            is_true = np.zeros(len(columns), np.bool_) if held is None else held
            evaluated = rows_of(rule.kinds, columns.kind)
            severity = rule.severities(rule_columns)
            episodes.keep(columns.slot, is_true, rule_columns)
            steps = episodes.step(
                columns.slot,
                columns.clock,
                columns.kind,
                evaluated,
                is_true,
                severity,
                rows.batch.ts,
                None if held is None else rule.measures.evaluate(rule_columns),
            )
            transitions += [
                (step.row, number, reporter.report(rule, self.alerts[number], step, episodes.kept))
                for step in _steps_of(steps)
            ]
            near_misses += [
                (row, number, reporter.near_miss(rule, row, int(severity[row])))
                for row in steps.missed.tolist()
            ]
        transitions += self.drifts.step(rows, transitions)
        return _in_order(transitions), _in_order(near_misses)

    def _rule_columns(self, rows: EnrichedBatch) -> RuleColumns:
        """All columns, including the instrument's venue and symbol if a rule names them."""
        batch = rows.batch
        texts = batch.texts.with_columns({name: batch.names(name) for name in self._instrument_names})
        return RuleColumns(
            rows.numbers, texts, texts.strings, len(batch), code_of=texts.strings.code, text_of=texts.text
        )


def _digits(plan: Plan, log: Log) -> NDArray[np.int8]:
    """The units of event times by member and kind, as `ClockGuard.fold` takes them."""
    feeds = [plan.feed(member.topic) for member in log.members]
    return np.stack([digits_of(None if feed is None else feed.format) for feed in feeds])


def _steps_of(steps: Steps) -> Iterator[EpisodeStep]:
    columns = (steps.row, steps.kind, steps.severity, steps.number, steps.news)
    told = zip(*(column.tolist() for column in columns), steps.extremes, strict=True)
    return (EpisodeStep(*each) for each in told)


def _in_order(reported: list[tuple[int, int, _Reported]]) -> tuple[_Reported, ...]:
    """Sorted by row, then by rule, so that the order does not depend on batch boundaries."""
    return tuple(each for _, _, each in sorted(reported, key=lambda entry: entry[:2]))


def _spread(values: NDArray[np.float64], rows: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    spread = np.full(n, np.nan)
    spread[rows] = values
    return spread


def _coded(name: str, codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """An enum column for detectors: each text's position in `CODED`, NaN where absent."""
    table = np.full(len(ENUM_STRINGS) + 1, np.nan)  # ABSENT is -1, the last entry
    for position, text in enumerate(CODED[name]):
        table[ENUM_CODES[text]] = position
    return table[codes]
