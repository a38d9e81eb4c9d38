"""What every feature keeps to, whatever it measures."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import ALL_FEATURES, START, batches, columns_of, part, random_columns, same, same_state

from detectors.event_columns import TIMER
from detectors.features import FeatureSet, parse_feature
from detectors.slot_arrays import StateMismatchError


def fresh(names=ALL_FEATURES, n_slots=3):
    features = FeatureSet(names)
    features.grow(n_slots)
    return features


def stepped(features, pieces):
    out = [features.step(piece) for piece in pieces]
    return {name: np.concatenate([one[name] for one in out]) for name in features.names}


@pytest.mark.parametrize("size", [1, 7, 500])
def test_values_and_state_do_not_depend_on_batch_sizes(size):
    columns = random_columns(1, 1200)
    whole, pieces = fresh(), fresh()
    expected = whole.step(columns)
    found = stepped(pieces, batches(columns, size))
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name
    assert same_state(whole.state(), pieces.state())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), max_size=12))
def test_any_split_gives_the_same(seed, cuts):
    columns = random_columns(seed, 240)
    edges = [0, *np.minimum(np.cumsum(cuts, dtype=int), 240).tolist(), 240]
    pieces = [part(columns, slice(a, b)) for a, b in itertools.pairwise(edges)]
    expected, found = fresh().step(columns), stepped(fresh(), pieces)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name


@pytest.mark.parametrize("name", ALL_FEATURES)
def test_a_feature_goes_on_from_its_state(name):
    columns = random_columns(2, 1500)
    first, rest = part(columns, slice(0, 900)), part(columns, slice(900, None))
    original = fresh([name])
    original.step(first)
    state = original.state()
    kept = {key: array.copy() for key, array in state.items()}
    copy = FeatureSet([name])
    copy.restore(state)
    expected = original.step(rest)[name]
    assert same_state(state, kept)
    assert same(copy.step(rest)[name], expected)
    assert same_state(copy.state(), original.state())
    assert np.isfinite(expected).any()


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


def test_instruments_that_come_later_change_nothing():
    columns = random_columns(11, 900, n_slots=6)
    late = np.argsort(columns.slot, kind="stable")
    columns = part(columns, late)
    expected, growing = fresh(n_slots=6).step(columns), FeatureSet(ALL_FEATURES)
    found = [
        growing.step(replace(batch, n_slots=int(batch.slot.max()) + 1))
        for batch in batches(part(columns, slice(0, 850)), 30)
    ]
    again = part(columns, np.flatnonzero(columns.slot == 0))
    whole = fresh(n_slots=6)
    whole.step(part(columns, slice(0, 850)))
    expected_again, found_again = whole.step(again), growing.step(again)
    for name in ALL_FEATURES:
        assert same(np.concatenate([one[name] for one in found]), expected[name][:850]), name
        assert same(found_again[name], expected_again[name]), name


def test_a_smaller_state_leaves_room_for_the_slots_there_are():
    columns = random_columns(3, 900, n_slots=5)
    small, large = fresh(n_slots=2), fresh(n_slots=5)
    large.restore(small.state())
    expected, found = fresh(n_slots=5).step(columns), large.step(columns)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name
    large.restore(small.state())
    assert {len(array) for array in large.state().values()} <= {5, 10}


def test_one_feature_does_not_change_another():
    columns = random_columns(5, 700)
    together = fresh().step(columns)
    for name in ALL_FEATURES:
        assert same(fresh([name]).step(columns)[name], together[name]), name


def test_instruments_do_not_change_each_other():
    columns = random_columns(6, 900)
    together = fresh().step(columns)
    rows = np.flatnonzero(columns.slot == 1)
    alone = fresh().step(part(columns, rows))
    for name in ALL_FEATURES:
        assert same(alone[name], together[name][rows]), name


def test_timers_only_look():
    columns = random_columns(7, 900)
    events = np.flatnonzero(columns.kind != TIMER)
    assert len(events) < 900
    with_timers, without = fresh(), fresh()
    seen, expected = with_timers.step(columns), without.step(part(columns, events))
    for name in ALL_FEATURES:
        assert same(seen[name][events], expected[name]), name
    assert same_state(with_timers.state(), without.state())


def test_a_timer_sees_windows_empty_and_silence_grow():
    kinds = [0] * 30 + [TIMER] * 3
    clock = START + np.array([*range(30), 35, 60, 600]) * 10**9
    columns = columns_of(np.zeros(33), kinds, clock, {"price": [100.0] * 30 + [np.nan] * 3})
    out = fresh(["trade_rate_10s", "silence_s", "return_bps_10s"], 1).step(columns)
    assert out["trade_rate_10s"][29:].tolist() == pytest.approx([1.1, 0.5, 0.0, 0.0])
    assert out["silence_s"][30:].tolist() == [6.0, 31.0, 571.0]
    assert out["return_bps_10s"][30:].tolist() == [0.0, 0.0, 0.0]


def test_values_that_are_not_finite_never_enter():
    columns = random_columns(8, 900)
    spoilt = {name: values.copy() for name, values in columns.fields.items()}
    for name, values in spoilt.items():
        at = np.flatnonzero(np.isnan(columns.fields[name]))
        values[at[::2]] = np.inf
        values[at[1::4]] = -np.inf
    spoilt_columns = columns_of(columns.slot, columns.kind, columns.clock, spoilt)
    expected, found = fresh().step(columns), fresh().step(spoilt_columns)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name
        assert not np.isinf(found[name]).any(), name


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


def test_an_empty_batch_is_no_trouble():
    columns = random_columns(9, 300)
    features = fresh()
    before = features.state()
    assert all(len(values) == 0 for values in features.step(part(columns, slice(0, 0))).values())
    assert same_state(before, features.state())


def test_inputs_are_left_as_they_are_even_when_read_only():
    columns = random_columns(10, 300)
    expected = fresh().step(columns)
    for array in (columns.slot, columns.kind, columns.clock, *columns.fields.values()):
        array.flags.writeable = False
    found = fresh().step(columns)
    for name in ALL_FEATURES:
        assert same(expected[name], found[name]), name


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
