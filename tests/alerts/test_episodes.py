"""Episodes against a slow model that keeps the whole history and looks it through at every row."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from alerts_market import MARKET, TIMER, TRADE
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from alerts.episodes import FIRED, RESOLVED, UPDATE_EVERY_NS, UPDATED, Episodes
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule

S = 1_000_000_000
START = 1_700_000_000 * S
INFO, WARNING, CRITICAL = range(3)


class Row(NamedTuple):
    slot: int
    clock: int
    kind: int
    evaluated: bool
    held: bool
    severity: int


class Step(NamedTuple):
    row: int
    slot: int
    kind: int
    severity: int
    number: int


def rule_of(hold: str | None = None, clear: str = "60s") -> Rule:
    return compile_rule("big", RuleSettings(when="size > 1", for_=hold, clear=clear), MARKET)


def bank(hold: str | None = None, clear: str = "60s") -> Episodes:
    return Episodes(rule_of(hold, clear))


def run(episodes: Episodes, rows: list[Row], cuts: list[int] | None = None) -> list[Step]:
    found: list[Step] = []
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
        )
        columns = (steps.row + start, steps.slot, steps.kind, steps.severity, steps.number)
        found += [Step(*(int(value) for value in values)) for values in zip(*columns, strict=True)]
    return found


def open_slots(episodes: Episodes) -> list[int]:
    return np.flatnonzero(episodes.state()["number"] >= np.int32(0)).tolist()


@dataclass
class Model:
    """One instrument: every evaluation since the last resolve, and the open episode's transitions."""

    count: tuple[int, int] | None
    duration: int
    clear: int
    evaluations: list[Row] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    kept_until: int = 0

    def see(self, row: Row) -> tuple[int, int, int] | None:
        if row.evaluated:
            self.evaluations.append(row)
        true = [seen for seen in self.evaluations if seen.held]
        holds = row.evaluated and row.held
        if not self.told:
            if not self._complete(row):
                return None
            self.kept_until = row.clock
            return self._tell(FIRED, row, true[-1].severity)
        last_clock, last_severity = self.told[-1]
        severity = max(row.severity, last_severity) if holds else last_severity
        if holds:
            self.kept_until = row.clock
            if severity > last_severity or row.clock - last_clock >= UPDATE_EVERY_NS:
                return self._tell(UPDATED, row, severity)
            return None
        over = row.evaluated if self.clear == 0 else row.clock - self.kept_until >= self.clear
        if not over:
            return None
        step = self._tell(RESOLVED, row, severity)
        self.evaluations, self.told = [], []
        return step

    def rebase(self, to: int) -> tuple[int, int] | None:
        closed = None
        if self.told and self.told[0][0] > to:
            closed = len(self.told), self.told[-1][1]
            self.evaluations, self.told = [], []
        self.evaluations = [seen._replace(clock=min(seen.clock, to)) for seen in self.evaluations]
        self.told = [(min(clock, to), severity) for clock, severity in self.told]
        self.kept_until = min(self.kept_until, to)
        return closed

    def _complete(self, row: Row) -> bool:
        if self.count is not None:
            m, n = self.count
            return row.evaluated and row.held and sum(seen.held for seen in self.evaluations[-n:]) >= m
        if not (row.evaluated or row.kind == TIMER):
            return False
        unbroken: list[Row] = []
        for seen in reversed(self.evaluations):
            if not seen.held:
                break
            unbroken.append(seen)
        return bool(unbroken) and row.clock - unbroken[-1].clock >= self.duration

    def _tell(self, kind: int, row: Row, severity: int) -> tuple[int, int, int]:
        self.told.append((row.clock, severity))
        return kind, severity, len(self.told) - 1


def model_run(rows: list[Row], count: tuple[int, int] | None, duration: int, clear: int) -> list[Step]:
    models: dict[int, Model] = {}
    found = []
    for i, row in enumerate(rows):
        model = models.setdefault(row.slot, Model(count, duration, clear))
        step = model.see(row)
        if step is not None:
            found.append(Step(i, row.slot, *step))
    return found


@st.composite
def streams(draw: DrawFn) -> list[Row]:
    gaps = st.sampled_from([0, 0, 1, 500_000_000, S, 2 * S, 5 * S, 9 * S, 10 * S, 31 * S, 61 * S])
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
        rows.append(
            Row(slot, now, kind, evaluated, held, draw(st.sampled_from([WARNING, WARNING, CRITICAL])))
        )
    return rows


HOLDS: list[tuple[str | None, tuple[int, int] | None, int]] = [
    (None, (1, 1), 0),
    ("1 of 3", (1, 3), 0),
    ("2 of 3", (2, 3), 0),
    ("3 of 3", (3, 3), 0),
    ("2 of 64", (2, 64), 0),
    ("1s", None, S),
    ("10s", None, 10 * S),
]
CLEARS = [("0s", 0), ("1s", S), ("10s", 10 * S), ("60s", 60 * S)]


@settings(max_examples=150, deadline=None)
@given(streams(), st.sampled_from(HOLDS), st.sampled_from(CLEARS), st.data())
def test_steps_are_those_of_the_model_however_rows_are_cut(
    rows: list[Row],
    hold: tuple[str | None, tuple[int, int] | None, int],
    clear: tuple[str, int],
    data: st.DataObject,
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6))
    expected = model_run(rows, hold[1], hold[2], clear[1])
    assert run(bank(hold[0], clear[0]), rows, cuts) == expected
    assert run(bank(hold[0], clear[0]), rows, list(range(len(rows)))) == expected


@settings(max_examples=100, deadline=None)
@given(streams(), st.sampled_from(HOLDS), st.data())
def test_state_taken_up_elsewhere_goes_on_as_if_nothing_had_been(
    rows: list[Row], hold: tuple[str | None, tuple[int, int] | None, int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    whole = bank(hold[0], "10s")
    expected = run(whole, rows)
    first, second = bank(hold[0], "10s"), bank(hold[0], "10s")
    before = run(first, rows[:cut])
    second.restore(first.state())
    after = [step._replace(row=step.row + cut) for step in run(second, rows[cut:])]
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
            found.append(episodes.rebase(step.slot, step.to))
            times = [column[step.slot] for column in episodes.state().values() if column.dtype == np.int64]
            assert max(times) <= step.to
        else:
            found += [each._replace(row=number) for each in run(episodes, [step])]
        assert episodes.idle == is_idle(episodes)
    return found


def is_idle(episodes: Episodes) -> bool:
    state = episodes.state()
    due = (state["history"] != 0) | (state["since"] != np.iinfo(np.int64).min)
    return not (due | (state["number"] >= np.int32(0))).any()


@settings(max_examples=300, deadline=None)
@given(streams_with_lies(), st.sampled_from(HOLDS), st.sampled_from(CLEARS), st.data())
def test_steps_back_are_those_of_the_model_over_restarts(
    steps: list[Row | Back],
    hold: tuple[str | None, tuple[int, int] | None, int],
    clear: tuple[str, int],
    data: st.DataObject,
) -> None:
    models = [Model(hold[1], hold[2], clear[1]) for _ in range(3)]
    expected: list[object] = []
    for number, step in enumerate(steps):
        model = models[step.slot]
        if isinstance(step, Back):
            expected.append(model.rebase(step.to))
        elif (told := model.see(step)) is not None:
            expected.append(Step(number, step.slot, *told))
    rule = rule_of(hold[0], clear[0])
    assert stepped_back(rule, steps) == expected
    assert stepped_back(rule, steps, data.draw(st.integers(0, len(steps)))) == expected


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


def test_updates_when_the_severity_rises_or_every_30_seconds_while_true() -> None:
    rows = [
        trade(0, True),
        trade(10, True),
        trade(11, True, CRITICAL),
        trade(12, True),
        trade(41, True),
        trade(42, True),
        trade(80, False, CRITICAL),
        trade(81, True),
    ]
    steps = run(bank(), rows)
    assert steps == [
        Step(0, 0, FIRED, WARNING, 0),
        Step(2, 0, UPDATED, CRITICAL, 1),
        Step(4, 0, UPDATED, CRITICAL, 2),
        Step(7, 0, UPDATED, CRITICAL, 3),
    ]


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
    assert episodes.closing(2) == (2, CRITICAL)


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
    assert episodes.rebase(0, START + 10 * S) == (2, CRITICAL)
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
    older = {name: column for name, column in episodes.state().items() if name != "fired_at"}
    episodes.restore(older)
    assert [episodes.rebase(slot, START + 10 * S) for slot in range(3)] == [None, (1, WARNING), None]
    assert open_slots(episodes) == [0]


@pytest.mark.parametrize("hold", ["2 of 3", "10s"])
def test_what_was_pending_is_in_the_state(hold: str) -> None:
    first, second = bank(hold), bank(hold)
    run(first, [trade(0, True)])
    second.restore(first.state())
    assert kinds(run(second, [trade(10, True)])) == [(0, FIRED)]
