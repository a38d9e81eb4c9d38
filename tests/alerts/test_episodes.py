"""Episodes against a slow model that keeps the whole history and looks it through at every row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from alerts_market import MARKET, TIMER, TRADE
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from alerts.episodes import FIRED, RESOLVED, UPDATED, Closing, Episodes, Extremes
from alerts.language.measure import UNMEASURED, Measured
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule

S = 1_000_000_000
NEVER = np.iinfo(np.int64).min
START = 1_700_000_000 * S
INFO, WARNING, CRITICAL = range(3)
KEPT_BY_FOLD_2 = ("history", "hits", "since", "held_at", "told_at", "level", "number", "missed_at")


class Row(NamedTuple):
    """A row; of two measures `which` is that of an episode that fires here.

    Of the first the highest value is the worst, of the second the lowest. Each has a comparison that holds
    where its bit in `of` is set.
    """

    slot: int
    clock: int
    kind: int
    evaluated: bool
    held: bool
    severity: int
    which: int = UNMEASURED
    values: tuple[float, float] = (math.nan, math.nan)
    late: int = 0
    of: int = 0

    @property
    def ts(self) -> int:
        return self.clock - self.late


class Step(NamedTuple):
    row: int
    slot: int
    kind: int
    severity: int
    number: int


class Told(NamedTuple):
    """A step with all that is told."""

    step: Step
    news: bool
    extremes: tuple[float | int | None, ...]


class Setting(NamedTuple):
    """What a rule says of its episodes, and the same for the model."""

    hold: str | None
    count: tuple[int, int] | None
    duration: int
    clear: int
    flap: int
    updates: str | None

    @property
    def rule(self) -> Rule:
        flap = f"{self.flap // S}s" if self.flap else None
        return rule_of(self.hold, f"{self.clear // S}s", flap=flap, updates=self.updates)

    def interval(self, k: int) -> float:
        """ns from the transition before to the k-th update."""
        if self.updates == "off":
            return math.inf
        return 45 * S if self.updates else min(30 * S * 2 ** (k - 1), 3_600 * S)


def rule_of(hold: str | None = None, clear: str = "60s", **more: str | None) -> Rule:
    return compile_rule("big", RuleSettings(when="size > 1", for_=hold, clear=clear, **more), MARKET)


def bank(hold: str | None = None, clear: str = "60s", **more: str | None) -> Episodes:
    return Episodes(rule_of(hold, clear, **more))


def measured(rows: list[Row]) -> Measured:
    value = np.array([row.values for row in rows], np.float64).reshape(-1, 2).T
    badness = value * np.array([[1.0], [-1.0]])
    which = np.array([row.which for row in rows], np.int8)
    holding, own = np.array([row.of for row in rows], np.int32), np.array([1, 2], np.int32)
    return Measured(np.ascontiguousarray(value), badness.copy(order="C"), which, holding, own)


def run_all(episodes: Episodes, rows: list[Row], cuts: list[int] | None = None) -> list[Told]:
    found: list[Told] = []
    edges = [0, *sorted(cuts or []), len(rows)]
    for start, end in pairwise(edges):
        part = rows[start:end]
        episodes.grow(max((row.slot for row in part), default=0) + 1)
        steps = episodes.step(
            np.array([row.slot for row in part], np.int32),
            np.array([row.clock for row in part], np.int64),
            np.array([row.kind for row in part], np.int8),
            np.array([row.evaluated for row in part], np.bool_),
            np.array([row.held for row in part], np.bool_),
            np.array([row.severity for row in part], np.int8),
            np.array([row.ts for row in part], np.int64),
            measured(part),
        )
        columns = (steps.row + start, steps.slot, steps.kind, steps.severity, steps.number)
        each_step = [Step(*(int(value) for value in values)) for values in zip(*columns, strict=True)]
        told = zip(each_step, steps.news.tolist(), map(plain, steps.extremes), strict=True)
        found += [Told(*one) for one in told]
    return found


def plain(extremes: Extremes) -> tuple[float | int | None, ...]:
    """To be compared: None for NaN, and for a time that there is not."""
    return tuple(None if value != value or value == NEVER else value for value in extremes)


def run(episodes: Episodes, rows: list[Row], cuts: list[int] | None = None) -> list[Step]:
    return [told.step for told in run_all(episodes, rows, cuts)]


def open_slots(episodes: Episodes) -> list[int]:
    state = episodes.state()
    return np.flatnonzero((state["number"] >= np.int32(0)) & (state["resolved_at"] == NEVER)).tolist()


Seen = tuple[tuple[int, int, int], bool, tuple[float | int | None, ...]]
"""Kind, severity and number; whether it is news; and what the episode has been."""


@dataclass
class Model:
    """One instrument: every evaluation since the last resolve, and all that an episode has told and been."""

    setting: Setting
    evaluations: list[Row] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    fired_at: int = 0
    kept_until: int = 0
    resolved_at: int | None = None
    updates: int = 0
    reopened: int = 0
    measure: int = UNMEASURED
    seen: list[tuple[float, int]] = field(default_factory=list)
    told_seen: list[float] = field(default_factory=list)
    told_of: int = 0

    def see(self, row: Row) -> Seen | None:
        if row.evaluated:
            self.evaluations.append(row)
        holds = row.evaluated and row.held
        if not self.is_open:
            return self._begin(row, holds) if self._complete(row) else None
        last_clock, last_severity = self.told[-1]
        severity = max(row.severity, last_severity) if holds else last_severity
        if holds:
            self.kept_until = row.clock
            self._take(row)
            if severity > last_severity:
                return self._tell(UPDATED, row, severity, rises=True, by=row)
            if row.clock - last_clock >= self.setting.interval(self.updates + 1):
                self.updates += 1
                return self._tell(UPDATED, row, severity, by=row)
            return None
        clear = max(self.setting.clear, self.setting.flap if self.reopened else 0)
        over = row.evaluated if clear == 0 else row.clock - self.kept_until >= clear
        if not over:
            return None
        step = self._tell(RESOLVED, row, severity)
        self.resolved_at, self.evaluations = row.clock, []
        return step

    @property
    def is_open(self) -> bool:
        return bool(self.told) and self.resolved_at is None

    def rebase(self, to: int) -> tuple[int, int, tuple[float | int | None, ...]] | None:
        closed = None
        if self.told and self.fired_at > to:
            if self.is_open:
                closed = len(self.told), self.told[-1][1], self._extremes()
                self.evaluations = []
            self.told, self.resolved_at = [], None
        self.evaluations = [
            seen._replace(clock=min(seen.clock, to), late=min(seen.clock, to) - min(seen.ts, to))
            for seen in self.evaluations
        ]
        self.told = [(min(clock, to), severity) for clock, severity in self.told]
        self.kept_until = min(self.kept_until, to)
        self.seen = [(value, min(ts, to)) for value, ts in self.seen]
        if self.resolved_at is not None:
            self.resolved_at = min(self.resolved_at, to)
        return closed

    def _begin(self, row: Row, holds: bool) -> Seen:
        self.kept_until = row.clock
        due = [seen for seen in self.evaluations if seen.held][-1]
        if self.resolved_at is not None and 0 < self.setting.flap >= row.clock - self.resolved_at:
            self.resolved_at, self.reopened = None, self.reopened + 1
            before = max(severity for _, severity in self.told)
            by = row if holds else due if due.which == self.measure else None
            if by is not None:
                self._take(by)
            severity = max(before, due.severity)
            return self._tell(UPDATED, row, severity, rises=due.severity > before, by=by, holds=holds)
        self.told, self.seen, self.told_seen, self.told_of = [], [], [], 0
        self.resolved_at, self.fired_at = None, row.clock
        self.updates = self.reopened = 0
        self.measure = due.which
        self._take(due)
        return self._tell(FIRED, row, due.severity, rises=True, by=due, holds=holds)

    def _complete(self, row: Row) -> bool:
        if self.setting.count is not None:
            m, n = self.setting.count
            return row.evaluated and row.held and sum(seen.held for seen in self.evaluations[-n:]) >= m
        if not (row.evaluated or row.kind == TIMER):
            return False
        unbroken: list[Row] = []
        for seen in reversed(self.evaluations):
            if not seen.held:
                break
            unbroken.append(seen)
        return bool(unbroken) and row.clock - unbroken[-1].clock >= self.setting.duration

    def _take(self, row: Row) -> None:
        if math.isfinite(value := self._value(row)):
            self.seen.append((value, row.ts))

    def _value(self, row: Row) -> float:
        if self.measure == UNMEASURED or not row.of & 1 << self.measure:
            return math.nan
        return row.values[self.measure]

    def _worse(self, value: float) -> float:
        return -value if self.measure == 1 else value

    def _extremes(self) -> tuple[float | int | None, ...]:
        if not self.seen:
            return (self.measure, None, None, None, None, self.reopened)
        peak, at = max(self.seen, key=lambda one: self._worse(one[0]))
        return (self.measure, self.seen[0][0], peak, at, self.seen[-1][0], self.reopened)

    def _tell(
        self,
        kind: int,
        row: Row,
        severity: int,
        *,
        rises: bool = False,
        by: Row | None = None,
        holds: bool = True,
    ) -> Seen:
        self.told.append((row.clock, severity))
        beyond = False
        if by is not None and math.isfinite(value := self._value(by)):
            value = self._worse(value)
            beyond = all(value > told for told in self.told_seen)
            if holds:  # a timer that completes `for` has nothing to say in words
                self.told_seen.append(value)
        if by is row:
            beyond = beyond or bool(row.of & ~self.told_of)
            self.told_of |= row.of
        return (kind, severity, len(self.told) - 1), rises or beyond, self._extremes()


def model_run(rows: list[Row], setting: Setting) -> list[Told]:
    models: dict[int, Model] = {}
    found = []
    for i, row in enumerate(rows):
        told = models.setdefault(row.slot, Model(setting)).see(row)
        if told is not None:
            found.append(Told(Step(i, row.slot, *told[0]), *told[1:]))
    return found


@st.composite
def streams(draw: DrawFn) -> list[Row]:
    seconds = [0.5, 1, 2, 5, 9, 10, 31, 61, 130]
    gaps = st.sampled_from([0, 0, 1, *(int(second * S) for second in seconds)])
    clocks = [START] * 3
    rows = []
    for _ in range(draw(st.integers(0, 60))):
        slot, kind = draw(st.integers(0, 2)), draw(st.sampled_from([TRADE, TRADE, TRADE, 1, TIMER]))
        gap = draw(gaps)
        if kind == TIMER:
            now = clocks[slot] + gap  # ahead of the instrument's clock, which it does not move
        else:
            clocks[slot] += gap
            now = clocks[slot]
        evaluated = kind == TRADE or draw(st.integers(0, 7)) == 0
        held = evaluated and draw(st.booleans())
        severity = draw(st.sampled_from([WARNING, WARNING, CRITICAL]))
        which = draw(st.sampled_from([0, 0, 1, UNMEASURED]))
        values = draw(st.tuples(VALUES, VALUES))
        of = draw(st.integers(0, 7)) | (0 if which == UNMEASURED else 1 << which)
        rows.append(Row(slot, now, kind, evaluated, held, severity, which, values, draw(LATE), of))
    return rows


VALUES = st.sampled_from([1.0, 2.0, 2.0, 3.5, -4.0, math.nan, math.inf])
LATE = st.sampled_from([0, 0, 1, 2 * S])


HOLDS: list[tuple[str | None, tuple[int, int] | None, int]] = [
    (None, (1, 1), 0),
    ("1 of 3", (1, 3), 0),
    ("2 of 3", (2, 3), 0),
    ("3 of 3", (3, 3), 0),
    ("2 of 64", (2, 64), 0),
    ("1s", None, S),
    ("10s", None, 10 * S),
]
SETTINGS = st.builds(
    lambda hold, clear, flap, updates: Setting(*hold, clear, flap, updates),
    st.sampled_from(HOLDS),
    st.sampled_from([0, S, 10 * S, 60 * S]),
    st.sampled_from([0, 0, 5 * S, 61 * S, 300 * S]),
    st.sampled_from([None, None, "45s", "off"]),
)


@settings(max_examples=70, deadline=None)
@given(streams(), SETTINGS, st.data())
def test_all_that_is_told_is_that_of_the_model_however_rows_are_cut(
    rows: list[Row], setting: Setting, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6))
    expected = model_run(rows, setting)
    assert run_all(Episodes(setting.rule), rows, cuts) == expected
    assert run_all(Episodes(setting.rule), rows, list(range(len(rows)))) == expected


@settings(max_examples=40, deadline=None)
@given(streams(), SETTINGS, st.data())
def test_state_taken_up_elsewhere_goes_on_as_if_nothing_had_been(
    rows: list[Row], setting: Setting, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    whole, first, second = (Episodes(setting.rule) for _ in range(3))
    expected = run_all(whole, rows)
    before = run_all(first, rows[:cut])
    second.restore(first.state())
    after = [
        told._replace(step=told.step._replace(row=told.step.row + cut))
        for told in run_all(second, rows[cut:])
    ]
    assert before + after == expected
    assert open_slots(second) == open_slots(whole)


class Back(NamedTuple):
    slot: int
    to: int


@st.composite
def streams_with_lies(draw: DrawFn) -> list[Row | Back]:
    """Rows of slots whose clocks run ahead and step back, which timers between may have been ahead of."""
    steps: list[Row | Back] = []
    back = [0] * 3
    for row in draw(streams()):
        ahead = row.clock - back[row.slot]
        if draw(st.integers(0, 4)) == 0:
            by = draw(st.sampled_from([0, S, 9 * S, 31 * S, 61 * S, 3_600 * S]))
            back[row.slot] += by
            ahead -= by
            steps.append(Back(row.slot, ahead))
        steps.append(row._replace(clock=ahead))
    return steps


def stepped_back(rule: Rule, steps: list[Row | Back], cut: int | None = None) -> list[object]:
    """Transitions, and what each step back gave; taken up by another bank at the cut."""
    episodes, found = Episodes(rule), list[object]()
    episodes.grow(3)
    for number, step in enumerate(steps):
        if number == cut:
            taken, episodes = episodes.state(), Episodes(rule)
            episodes.restore(taken)
        if isinstance(step, Back):
            found.append(told_closing(episodes.rebase(step.slot, step.to)))
            times = [column[step.slot] for column in episodes.state().values() if column.dtype == np.int64]
            assert max(times) <= step.to
        else:
            found += [
                each._replace(step=each.step._replace(row=number)) for each in run_all(episodes, [step])
            ]
        assert episodes.idle == is_idle(episodes)
    return found


def is_idle(episodes: Episodes) -> bool:
    state = episodes.state()
    due = (state["history"] != 0) | (state["since"] != NEVER)
    return not due.any() and not open_slots(episodes)


def told_closing(closing: Closing | None) -> object:
    return None if closing is None else (closing.number, closing.severity, plain(closing.extremes))


@settings(max_examples=50, deadline=None)
@given(streams_with_lies(), SETTINGS, st.data())
def test_steps_back_are_those_of_the_model_over_restarts(
    steps: list[Row | Back], setting: Setting, data: st.DataObject
) -> None:
    models = [Model(setting) for _ in range(3)]
    expected: list[object] = []
    for number, step in enumerate(steps):
        model = models[step.slot]
        if isinstance(step, Back):
            expected.append(model.rebase(step.to))
        elif (told := model.see(step)) is not None:
            expected.append(Told(Step(number, step.slot, *told[0]), *told[1:]))
    assert stepped_back(setting.rule, steps) == expected
    assert stepped_back(setting.rule, steps, data.draw(st.integers(0, len(steps)))) == expected


def trade(second: float, held: bool, severity: int = WARNING, slot: int = 0) -> Row:
    return Row(slot, START + int(second * S), TRADE, True, held, severity)


def quote(second: float) -> Row:
    return Row(0, START + int(second * S), 1, False, False, INFO)


def timer(second: float) -> Row:
    return Row(0, START + int(second * S), TIMER, False, False, INFO)


def kinds(steps: list[Step]) -> list[tuple[int, int]]:
    return [(step.row, step.kind) for step in steps]


def test_fires_at_once_and_resolves_on_the_first_row_after_clear() -> None:
    rows = [trade(0, True), trade(30, False), quote(59.9), quote(60)]
    assert kinds(run(bank(), rows)) == [(0, FIRED), (3, RESOLVED)]


def test_silence_resolves_by_timers() -> None:
    assert kinds(run(bank(), [trade(0, True), timer(59), timer(60), timer(61)])) == [
        (0, FIRED),
        (2, RESOLVED),
    ]


def test_clear_of_nothing_resolves_on_the_first_evaluation_that_is_not_true() -> None:
    rows = [trade(0, True), quote(100), timer(200), trade(201, True), trade(201, False)]
    assert kinds(run(bank(clear="0s"), rows)) == [(0, FIRED), (3, UPDATED), (4, RESOLVED)]


def test_a_true_evaluation_keeps_it_open_however_late() -> None:
    assert kinds(run(bank(), [trade(0, True), trade(500, True)])) == [(0, FIRED), (1, UPDATED)]


def test_m_of_n_counts_evaluations_only() -> None:
    rows = [
        trade(0, True),
        quote(1),
        trade(2, False),
        timer(3),
        trade(4, True),
        trade(5, False),
        trade(6, True),
    ]
    assert kinds(run(bank("2 of 2"), rows)) == []
    assert kinds(run(bank("2 of 3"), rows)) == [(4, FIRED)]
    assert kinds(run(bank("3 of 5"), rows)) == [(6, FIRED)]
    assert kinds(run(bank("3 of 4"), rows)) == []


def test_the_window_of_64_is_whole() -> None:
    apart = [trade(0, True), *(trade(i, False) for i in range(1, 63)), trade(63, True)]
    assert kinds(run(bank("2 of 64", clear="1000s"), apart)) == [(63, FIRED)]
    further = [trade(0, True), *(trade(i, False) for i in range(1, 64)), trade(64, True)]
    assert kinds(run(bank("2 of 64", clear="1000s"), further)) == []


def test_a_duration_starts_again_after_an_evaluation_that_is_not_true() -> None:
    rows = [
        trade(0, True),
        trade(9, True),
        trade(9.5, False),
        trade(10, True),
        trade(19, True),
        trade(20, True),
    ]
    assert kinds(run(bank("10s"), rows)) == [(5, FIRED)]


def test_a_duration_is_complete_on_a_timer_but_not_on_another_kind_of_event() -> None:
    steps = run(bank("10s"), [trade(0, True, CRITICAL), quote(10), timer(9), timer(10)])
    assert steps == [Step(3, 0, FIRED, CRITICAL, 0)]


def test_clear_counts_from_the_timer_that_fired() -> None:
    rows = [trade(0, True), timer(10), timer(11), timer(12)]
    assert kinds(run(bank("10s", clear="2s"), rows)) == [(1, FIRED), (3, RESOLVED)]


def test_updates_when_the_severity_rises_and_by_a_back_off_while_true() -> None:
    rows = [
        trade(0, True),
        trade(10, True),
        trade(11, True, CRITICAL),
        trade(12, True),
        trade(41, True),
        trade(42, True),
        trade(80, False, CRITICAL),
        trade(100, True),
        trade(101, True),
    ]
    steps = run(bank(), rows)
    assert steps == [
        Step(0, 0, FIRED, WARNING, 0),
        Step(2, 0, UPDATED, CRITICAL, 1),  # at 11 s, a rise, which takes no interval
        Step(4, 0, UPDATED, CRITICAL, 2),  # 30 s later
        Step(8, 0, UPDATED, CRITICAL, 3),  # 60 s after that
    ]


EIGHT_HOURS = 8 * 3_600


def told_over_eight_hours(**said: str) -> list[Step]:
    return run(bank(**said), [trade(second, True) for second in range(EIGHT_HOURS)])


def test_what_is_true_for_eight_hours_is_told_fourteen_times() -> None:
    steps = told_over_eight_hours()
    assert len(steps) == 14, "961 of them with one each 30 s"
    apart = [after.row - before.row for before, after in pairwise(steps)]
    assert apart == [30, 60, 120, 240, 480, 960, 1920, *[3600] * 6]


@pytest.mark.parametrize(("updates", "number"), [("off", 1), ("5m", 96), ("1h", 8), ("backoff", 14)])
def test_updates_are_as_the_rule_says(updates: str, number: int) -> None:
    assert len(told_over_eight_hours(updates=updates)) == number


def test_a_rise_is_told_though_there_are_no_updates() -> None:
    rows = [trade(0, True), trade(60, True), trade(61, True, CRITICAL), trade(200, True)]
    assert kinds(run(bank(updates="off"), rows)) == [(0, FIRED), (2, UPDATED)]


def flapping() -> list[Row]:
    """True for 2 s in every 75 s, over 8 h."""
    return [trade(second, second % 75 < 2) for second in range(EIGHT_HOURS)]


def test_what_comes_and_goes_goes_on_as_one_alert() -> None:
    without = [step.kind for step in run(bank(), flapping())]
    assert (without.count(FIRED), without.count(RESOLVED)) == (384, 384)
    steps = run_all(bank(flap="5m"), flapping())
    assert [told.step.kind for told in steps[:3]] == [FIRED, RESOLVED, UPDATED]
    assert [told.extremes[-1] for told in steps[:3]] == [0, 0, 1]
    assert [told.step.number for told in steps] == list(range(len(steps))), "one id"
    assert len(steps) == 16, "and 13 updates by the back-off"
    assert all(told.step.kind == UPDATED for told in steps[2:])


def test_who_comes_back_resolves_after_the_longer_of_clear_and_flap() -> None:
    rows = [
        trade(0, True),
        quote(60),  # resolved
        trade(359, False),
        trade(360, True),  # just in time
        quote(420),
        quote(659),
        quote(660),  # resolved
        trade(961, True),  # too late: another episode
    ]
    steps = run_all(bank(flap="5m"), rows)
    assert [(told.step.row, told.step.kind, told.step.number) for told in steps] == [
        (0, FIRED, 0),
        (1, RESOLVED, 1),
        (3, UPDATED, 2),
        (6, RESOLVED, 3),
        (7, FIRED, 0),
    ]
    assert [told.extremes[-1] for told in steps] == [0, 0, 1, 1, 0]


def test_who_comes_back_completes_for_again() -> None:
    rows = [trade(0, True), trade(10, True), quote(70), trade(80, True), trade(89, True), trade(90, True)]
    assert kinds(run(bank("10s", flap="5m"), rows)) == [(1, FIRED), (2, RESOLVED), (5, UPDATED)]


def test_an_episode_that_may_come_back_is_not_open_and_keeps_nothing_busy() -> None:
    episodes = bank(flap="5m")
    run(episodes, [trade(0, True), quote(60)])
    assert (open_slots(episodes), episodes.idle) == ([], True)


def test_first_peak_and_last_are_of_rows_on_which_it_is_true() -> None:
    def of(second: float, size: float, held: bool = True) -> Row:
        return trade(second, held)._replace(which=0, values=(size, 0.0), of=1)

    rows = [
        of(0, 69),
        of(5, 100),
        of(30, 12.2),
        of(90, 8),
        of(210, 17.8),
        of(230, 500, False),
        of(270, 1, False),
    ]
    steps = run_all(bank(), rows)
    at = [START, START + 5 * S, START + 5 * S, START + 5 * S, START + 5 * S]
    assert [told.extremes for told in steps] == [
        (0, 69, peak, at[i], last, 0)
        for i, (peak, last) in enumerate([(69, 69), (100, 12.2), (100, 8), (100, 17.8), (100, 17.8)])
    ]
    assert [told.news for told in steps] == [True, False, False, False, False]


def test_after_a_resolve_it_starts_afresh() -> None:
    rows = [
        *(trade(second, True) for second in (0, 1, 2)),
        trade(62, False),
        trade(63, True),
        trade(64, True),
        trade(65, True),
    ]
    steps = run(bank("3 of 5"), rows)
    assert [(step.row, step.kind, step.number) for step in steps] == [
        (2, FIRED, 0),
        (3, RESOLVED, 1),
        (6, FIRED, 0),
    ]


def test_instruments_do_not_touch_each_other() -> None:
    rows = [trade(0, True, slot=0), trade(0, True, slot=1), trade(1, True, slot=1), trade(100, False, slot=0)]
    assert kinds(run(bank("2 of 2"), rows)) == [(2, FIRED)]


def test_open_episodes_can_be_listed_and_closed_from_outside() -> None:
    episodes = bank()
    run(episodes, [trade(0, True, slot=2), trade(0, False, slot=1), trade(1, True, CRITICAL, slot=2)])
    assert open_slots(episodes) == [2]
    assert episodes.closing(2)[:2] == (2, CRITICAL)


def test_room_for_more_instruments_leaves_the_others_alone() -> None:
    episodes = bank("2 of 2")
    run(episodes, [trade(0, True)])
    episodes.grow(1000)
    assert len(episodes.state()["number"]) == 1000
    assert kinds(run(episodes, [trade(1, True), trade(1, True, slot=999)])) == [(0, FIRED)]


def test_state_is_a_copy() -> None:
    episodes = bank()
    run(episodes, [trade(0, True)])
    taken = episodes.state()
    run(episodes, [trade(100, False)])
    episodes.restore(taken)
    assert open_slots(episodes) == [0]


def test_instruments_beyond_the_state_taken_up_start_afresh() -> None:
    small, large = bank(), bank()
    run(small, [trade(0, True)])
    run(large, [trade(0, True, slot=3)])
    large.restore(small.state())
    assert open_slots(large) == [0]


def test_an_episode_that_fired_in_an_hour_that_has_not_come_is_closed() -> None:
    episodes = bank(clear="0s")
    run(episodes, [trade(0, False, slot=1), trade(3_600, True), trade(3_601, True, CRITICAL)])
    closed = episodes.rebase(0, START + 10 * S)
    assert closed is not None
    assert closed[:2] == (2, CRITICAL)
    assert episodes.idle
    assert episodes.rebase(0, START + 10 * S) is None
    assert kinds(run(episodes, [trade(10, True), trade(11, False)])) == [(0, FIRED), (1, RESOLVED)]


def test_an_episode_that_had_fired_before_goes_on_and_resolves_in_time() -> None:
    episodes = bank()
    assert kinds(run(episodes, [trade(0, True), trade(3_600, True)])) == [(0, FIRED), (1, UPDATED)]
    assert episodes.rebase(0, START + 10 * S) is None
    rows = [trade(10, False), trade(69, False), trade(70, False)]
    assert run(episodes, rows) == [Step(2, 0, RESOLVED, WARNING, 2)]


def test_a_duration_begun_in_an_hour_that_has_not_come_begins_now() -> None:
    episodes = bank("10s")
    run(episodes, [trade(3_600, True), trade(3_605, True)])
    assert episodes.rebase(0, START + 10 * S) is None
    assert kinds(run(episodes, [trade(10, True), trade(19, True), trade(20, True)])) == [(2, FIRED)]


def test_an_open_episode_of_an_older_version_fired_at_its_last_transition_or_before() -> None:
    episodes = bank()
    run(
        episodes,
        [trade(0, True), trade(3_600, True, slot=1), trade(0, True, slot=2), trade(90, False, slot=2)],
    )
    older = {name: column for name, column in episodes.state().items() if name in KEPT_BY_FOLD_2}
    episodes.restore(older)
    closed = [told_closing(episodes.rebase(slot, START + 10 * S)) for slot in range(3)]
    assert closed == [None, (1, WARNING, plain(Extremes())), None]
    assert open_slots(episodes) == [0]


@pytest.mark.parametrize("hold", ["2 of 3", "10s"])
def test_what_was_pending_is_in_the_state(hold: str) -> None:
    first, second = bank(hold), bank(hold)
    run(first, [trade(0, True)])
    second.restore(first.state())
    assert kinds(run(second, [trade(10, True)])) == [(0, FIRED)]
