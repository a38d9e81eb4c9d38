"""Every registered feature keeps to the contract, which catches those that do not; and all together."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from contracts import features as contract
from contracts.features import CHECKS, names_of
from contracts.refused import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import ALL_FEATURES, START, columns_of, part, random_columns, same, same_state

from detectors.event_columns import TIMER, TRADE
from detectors.features import FAMILIES, FeatureSet, feature_set, names, parse_feature
from detectors.features.family import Family
from detectors.slot_arrays import StateMismatchError

TRADES = frozenset({TRADE})


def called(check):
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("stem", FAMILIES)
def test_every_family_is_registered_as_it_should(stem):
    contract.check_family(stem, FAMILIES[stem])


@pytest.mark.parametrize("name", ALL_FEATURES)
def test_every_feature(name):
    for check in CHECKS:
        check(name)


# --------------------------------------------------------------- features that are wrong on purpose


class LastSize:
    """The size of the last trade: a feature that keeps to the contract."""

    def __init__(self):
        self.last = np.empty(0)

    def grow(self, n_slots):
        self.last = np.append(self.last, np.full(n_slots - len(self.last), np.nan))

    def step(self, rows):
        out = np.empty(len(rows))
        for row in range(len(rows)):
            self.see(rows, row, int(rows.slot[row]))
            out[row] = self.last[rows.slot[row]]
        return out

    def see(self, rows, row, slot):
        if rows.kind[row] == TRADE and math.isfinite(rows.column("size")[row]):
            self.last[slot] = rows.column("size")[row]

    def rebase(self, slot, to):
        pass

    def state(self, copies):
        return {"last": self.last.copy()}

    def restore(self, state):
        self.last = state["last"].copy()


class WhenLast(LastSize):
    """The time since the last trade: a feature with times that keeps to the contract."""

    def __init__(self):
        self.last = np.empty(0, np.int64)

    def grow(self, n_slots):
        self.last = np.append(self.last, np.zeros(n_slots - len(self.last), np.int64))

    def step(self, rows):
        out = np.empty(len(rows))
        for row in range(len(rows)):
            slot = int(rows.slot[row])
            out[row] = rows.clock[row] - self.last[slot] if self.last[slot] else np.nan
            if rows.kind[row] == TRADE:
                self.last[slot] = rows.clock[row]
        return out

    def rebase(self, slot, to):
        if self.last[slot] > to:
            self.last[slot] = 0


class KeepsItsTimes(WhenLast):
    def rebase(self, slot, to):
        pass


class NoWayBack(WhenLast):
    rebase = None


class RebasesEverybody(WhenLast):
    def rebase(self, slot, to):
        self.last[:] = 0


class RebasesWhatIsFine(WhenLast):
    def rebase(self, slot, to):
        self.last[slot] = 0


class RebasesOutsideItsState(WhenLast):
    late = 0

    def rebase(self, slot, to):
        super().rebase(slot, to)
        self.late = 1

    def step(self, rows):
        return super().step(rows) + self.late


class OutOfOrder(LastSize):
    def __init__(self):
        raise RuntimeError("out of order")


class OneTooFew(LastSize):
    def step(self, rows):
        return super().step(rows)[1:]


class NeverKnown(LastSize):
    def step(self, rows):
        return np.full(len(rows), np.nan)


class ByChance(LastSize):
    def step(self, rows):
        return super().step(rows) + np.random.default_rng().random()


class OfTheBatch(LastSize):
    def step(self, rows):
        return super().step(rows) + len(rows)


class LendsItsState(LastSize):
    def state(self, copies):
        return {"last": self.last}


class ForgetsItsState(LastSize):
    def restore(self, state):
        self.last = np.full(len(state["last"]), np.nan)


class GivesTheInput(LastSize):
    def step(self, rows):
        return rows.column("size")


class WritesOver(LastSize):
    def __init__(self):
        super().__init__()
        self.buffer = np.empty(10_000)

    def step(self, rows):
        self.buffer[: len(rows)] = super().step(rows)
        return self.buffer[: len(rows)]


class SeesEveryKind(LastSize):
    def see(self, rows, row, slot):
        if math.isfinite(rows.column("size")[row]):
            self.last[slot] = rows.column("size")[row]


class ReadsAnotherField(LastSize):
    def see(self, rows, row, slot):
        if rows.kind[row] == TRADE and math.isfinite(rows.column("price")[row]):
            self.last[slot] = rows.column("price")[row]


class OneForAll(LastSize):
    def see(self, rows, row, slot):
        super().see(rows, row, slot)
        self.last[:] = self.last[slot]


class CountsTimers(LastSize):
    def see(self, rows, row, slot):
        super().see(rows, row, slot)
        self.last[slot] += rows.kind[row] == TIMER


class TakesInfinity(LastSize):
    def see(self, rows, row, slot):
        if rows.kind[row] == TRADE and not math.isnan(rows.column("size")[row]):
            self.last[slot] = rows.column("size")[row]


class KeepsEverything(LastSize):
    def __init__(self):
        super().__init__()
        self.seen = np.empty((3, 0))

    def step(self, rows):
        self.seen = np.append(self.seen, np.zeros((3, len(rows))), axis=1)
        return super().step(rows)

    def state(self, copies):
        return {**super().state(copies), "seen": self.seen.copy()}


RIGHT = Family(
    stem="newest_size",
    doc="the size of the last trade",
    unit="number",
    shape="positive",
    fed_by=TRADES,
    needs=frozenset({"size"}),
    build=lambda _window, _banks: LastSize(),
    windowed=False,
)
WRONG_FAMILIES = {
    "another name": replace(RIGHT, stem="size_newest"),
    "a baseline's name": replace(RIGHT, stem="size_mean"),
    "a field's name": replace(RIGHT, stem="size"),
    "no words": replace(RIGHT, doc=""),
    "an unknown unit": replace(RIGHT, unit="lots"),
    "fed by nothing": replace(RIGHT, fed_by=frozenset()),
    "unknown to the rows": replace(RIGHT, needs=frozenset({"size", "strike"})),
    "neither built nor made of another": replace(RIGHT, build=None),
}
WRONG_NODES = [
    (OutOfOrder, contract.check_a_value_on_every_row, RuntimeError),
    (OneTooFew, contract.check_a_value_on_every_row, None),
    (NeverKnown, contract.check_a_value_on_every_row, None),
    (ByChance, contract.check_the_same_again, None),
    (OfTheBatch, contract.check_batch_sizes_change_nothing, None),
    (LendsItsState, contract.check_it_goes_on_from_its_state, None),
    (ForgetsItsState, contract.check_it_goes_on_from_its_state, None),
    (GivesTheInput, contract.check_nothing_is_shared_with_what_goes_in_or_came_out, None),
    (WritesOver, contract.check_nothing_is_shared_with_what_goes_in_or_came_out, None),
    (SeesEveryKind, contract.check_other_kinds_of_rows_do_not_feed_it, None),
    (ReadsAnotherField, contract.check_it_reads_the_fields_it_states, None),
    (OneForAll, contract.check_instruments_do_not_change_each_other, None),
    (CountsTimers, contract.check_timers_only_look, None),
    (TakesInfinity, contract.check_values_that_are_not_finite_never_enter, None),
    (KeepsEverything, contract.check_memory_of_an_instrument_is_bounded, None),
    (NoWayBack, contract.check_a_clock_that_was_wrong_steps_back, TypeError),
    (KeepsItsTimes, contract.check_a_clock_that_was_wrong_steps_back, None),
    (RebasesEverybody, contract.check_a_clock_that_was_wrong_steps_back, None),
    (
        RebasesOutsideItsState,
        contract.check_stepping_back_agrees_however_rows_are_cut_and_states_kept,
        None,
    ),
    (RebasesWhatIsFine, contract.check_stepping_back_to_what_is_no_earlier_changes_nothing, None),
]


@pytest.fixture
def register(monkeypatch):
    def add(family, stem="newest_size"):
        for module in (names, feature_set):
            monkeypatch.setattr(module, "FAMILIES", {**FAMILIES, stem: family})
        names.parse_feature.cache_clear()

    yield add
    names.parse_feature.cache_clear()


@pytest.mark.parametrize("node", [LastSize, WhenLast])
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_a_feature_that_is_right_passes(check, node, register):
    contract.check_family("newest_size", RIGHT)
    register(replace(RIGHT, build=lambda _window, _banks: node()))
    check("newest_size")


@pytest.mark.parametrize("family", WRONG_FAMILIES.values(), ids=WRONG_FAMILIES)
def test_a_family_that_is_wrong_is_caught(family):
    with refused():
        contract.check_family("newest_size", family)


@pytest.mark.parametrize(("node", "check", "because"), WRONG_NODES)
def test_a_feature_that_is_wrong_is_caught(node, check, because, register):
    register(replace(RIGHT, build=lambda _window, _banks: node()))
    with refused(because):
        check("newest_size")


def test_every_family_is_tried():
    tried = {names.parse_feature(name).family for name in ALL_FEATURES}
    assert set(FAMILIES.values()) <= tried
    assert len(names_of(FAMILIES)) == len(FAMILIES)


# ----------------------------------------------------------------------------- all of them together


def fresh(names=ALL_FEATURES, n_slots=3):
    features = FeatureSet(names)
    features.grow(n_slots)
    return features


def stepped(features, pieces):
    out = [features.step(piece) for piece in pieces]
    return {name: np.concatenate([one[name] for one in out]) for name in features.names}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), max_size=12))
def test_any_split_gives_the_same(seed, cuts):
    columns = random_columns(seed, 240)
    edges = [0, *np.minimum(np.cumsum(cuts, dtype=int), 240).tolist(), 240]
    pieces = [part(columns, slice(a, b)) for a, b in itertools.pairwise(edges)]
    expected, found = fresh().step(columns), stepped(fresh(), pieces)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name


def test_the_whole_goes_on_from_its_state_and_grows():
    columns = random_columns(3, 900, n_slots=5)
    early = part(columns, np.flatnonzero(columns.slot < 2))
    original = fresh(n_slots=2)
    original.step(early)
    copy = FeatureSet(ALL_FEATURES)
    copy.restore(original.state())
    for features in (original, copy):
        features.grow(5)
    again = random_columns(4, 600, n_slots=5)
    expected, found = original.step(again), copy.step(again)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name


def test_a_smaller_state_leaves_room_for_the_slots_there_are():
    columns = random_columns(3, 900, n_slots=5)
    small, large = fresh(n_slots=2), fresh(n_slots=5)
    large.restore(small.state())
    expected, found = fresh(n_slots=5).step(columns), large.step(columns)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name
    large.restore(small.state())
    assert {len(array) for array in large.state().values()} <= {5, 10}


def test_a_lie_that_was_taken_back_is_forgotten_once_its_window_has_passed():
    honest, lying, end, to = contract.lie(12)
    features = fresh()
    out = stepped(features, [part(lying, slice(0, end))])
    features.rebase(contract.LIAR, to)
    after = features.step(part(lying, slice(end, None)))
    expected = fresh().step(honest)
    past = np.flatnonzero((honest.slot == contract.LIAR) & (honest.clock > to + 130 * 10**9))
    assert len(past) > 20
    for name in ALL_FEATURES:
        if parse_feature(name).family is not None:
            assert same(np.concatenate([out[name], after[name]])[past], expected[name][past]), name


def test_a_window_that_a_lie_moved_on_is_unknown_for_its_length():
    clock = START + np.array([*range(30), 3_630, *range(31, 60)]) * 10**9
    prices = {"price": np.full(60, 100.0), "size": np.ones(60)}
    columns = columns_of(np.zeros(60), np.full(60, TRADE), clock, prices)
    features = fresh(["volume_10s", "return_bps_10s", "interarrival_s", "size_mean_1h"], 1)
    before = features.step(part(columns, slice(0, 31)))
    assert before["interarrival_s"][-1] == 3_601.0
    features.rebase(0, int(clock[31]))
    after = features.step(part(columns, slice(31, None)))
    assert np.flatnonzero(~np.isnan(after["volume_10s"]))[0] == 10
    assert np.flatnonzero(~np.isnan(after["return_bps_10s"]))[0] == 11
    assert set(after["volume_10s"][10:]) <= {10.0, 11.0}
    assert np.isnan(after["interarrival_s"][0])
    assert set(after["interarrival_s"][1:]) == {1.0}
    assert set(after["size_mean_1h"]) == {1.0}, "what was learnt stays"


def test_one_feature_does_not_change_another():
    columns = random_columns(5, 700)
    together = fresh().step(columns)
    for name in ALL_FEATURES:
        assert same(fresh([name]).step(columns)[name], together[name]), name


def test_a_timer_sees_windows_empty_and_silence_grow():
    kinds = [0] * 30 + [TIMER] * 3
    clock = START + np.array([*range(30), 35, 60, 600]) * 10**9
    columns = columns_of(np.zeros(33), kinds, clock, {"price": [100.0] * 30 + [np.nan] * 3})
    out = fresh(["trade_rate_10s", "silence_s", "return_bps_10s"], 1).step(columns)
    assert out["trade_rate_10s"][29:].tolist() == pytest.approx([1.1, 0.5, 0.0, 0.0])
    assert out["silence_s"][30:].tolist() == [6.0, 31.0, 571.0]
    assert out["return_bps_10s"][30:].tolist() == [0.0, 0.0, 0.0]


def test_missing_columns_are_missing_values():
    columns = random_columns(9, 300)
    bare = columns_of(columns.slot, columns.kind, columns.clock, {})
    out = fresh().step(bare)
    for name in ("return_bps_10s", "mid", "size_mean_1h", "vwap_30s"):
        assert np.isnan(out[name]).all(), name
    assert np.isfinite(out["trade_rate_10s"]).any()


def test_a_quote_without_one_side_says_nothing_of_the_mid():
    sides = {"bid_price": [99.0, 100.0, 0.0, np.nan], "ask_price": [101.0, 0.0, 102.0, 103.0]}
    out = fresh(["mid", "spread_bps"], 1).step(columns_of([0] * 4, [1] * 4, [START] * 4, sides))
    assert out["mid"].tolist() == [100.0] * 4
    assert out["spread_bps"].tolist() == [200.0] * 4


def test_state_is_a_copy_with_an_entry_for_each_slot():
    features = fresh(n_slots=3)
    features.grow(4)
    state = features.state()
    for array in state.values():
        assert len(array) in (4, 8)
        array.fill(0)
    assert not same_state(state, features.state())


def test_memory_of_an_instrument_is_bounded():
    features = fresh(n_slots=3)
    sizes = []
    for seed in range(3):
        features.step(random_columns(seed, 500))
        sizes.append(sum(array.nbytes for array in features.state().values()))
    assert len(set(sizes)) == 1
    assert sizes[0] / 3 < 9_000


def test_the_state_of_another_feature_is_refused():
    trades, quotes = fresh(["trade_rate_10s"]), fresh(["mid"])
    with pytest.raises(StateMismatchError, match="mid"):
        trades.restore(quotes.state())
    state = trades.state()
    spec = parse_feature("trade_rate_10s").spec
    with pytest.raises(StateMismatchError, match="expected arrays"):
        trades.restore({key: array for key, array in state.items() if not key.endswith("/sums")})
    with pytest.raises(StateMismatchError, match="expected"):
        trades.restore({**state, f"{spec}/sums": np.zeros((3, 5))})
    with pytest.raises(StateMismatchError, match="different lengths"):
        trades.restore({**state, f"{spec}/at": np.zeros((2, 3), np.int64)})
