import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import same_state

from detectors.input_guard import ENOUGH, Guard

SHAPES = ("signed", "positive", "level")


def guarded(x, shape="positive", squash=True, wild=1000.0, guard=None):
    x = np.ascontiguousarray(np.asarray(x, np.float64).reshape(len(x), -1))
    guard = guard or Guard([shape] * x.shape[1], [squash] * x.shape[1], wild)
    guard.grow(1)
    inputs, learn = guard.step(np.zeros(len(x), np.int32), x)
    return inputs, learn, guard


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=60)
@given(
    past=st.lists(st.floats(-1e6, 1e6), min_size=ENOUGH, max_size=60),
    pair=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
)
def test_squashing_is_bounded_and_keeps_the_order(shape, past, pair):
    low, high = sorted(pair)
    a = guarded([*past, low], shape)[0][-1, 0]
    b = guarded([*past, high], shape)[0][-1, 0]
    assert 0 <= a <= b <= 1


@pytest.mark.parametrize(
    ("shape", "past", "value", "expected"),
    [
        ("positive", [2.0] * 40, 2.0, 0.5),
        ("positive", [2.0] * 40, 6.0, 0.75),
        ("positive", [2.0] * 40, 0.0, 0.0),
        ("positive", [2.0] * 40, -1.0, 0.0),
        ("signed", [2.0, -2.0] * 20, 2.0, 0.75),
        ("signed", [2.0, -2.0] * 20, -6.0, 0.125),
        ("signed", [2.0, -2.0] * 20, 0.0, 0.5),
        ("signed", [0.0] * 40, 0.0, 0.5),
        ("signed", [0.0] * 40, 0.1, 1.0),
        ("positive", [0.0] * 40, 0.1, 1.0),
        ("level", [100.0] * 40, 100.0, 0.5),
        ("level", [100.0] * 40, 99.9, 0.0),
        ("positive", [2.0] * 40, np.inf, 1.0),
        ("signed", [2.0] * 40, -np.inf, 0.0),
        ("signed", [2.0] * 40, 1.7e308, 1.0),
        ("level", [-1.7e308] * 40, 1.7e308, 1.0),
    ],
)
def test_where_a_value_comes_to_lie(shape, past, value, expected):
    assert guarded([*past, value], shape)[0][-1, 0] == pytest.approx(expected)


def test_a_row_is_judged_by_the_scale_from_before_it():
    past = [2.0] * 40
    first = guarded([*past, 50.0])[0][-1, 0]
    assert first == pytest.approx(50 / 52)
    assert guarded([*past, 50.0, 50.0])[0][-1, 0] < first


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wild_first_value_does_no_harm(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 1, 300)
    clean = guarded(x, shape)[0][50:]
    x[0] = 1e12
    assert np.abs(guarded(x, shape)[0][50:] - clean).max() < 0.15


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("squash", [True, False])
def test_wild_and_infinite_values_are_not_learnt(shape, squash):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 300) + 3
    x[100], x[150], x[200] = 1e7, np.inf, -np.inf
    _, learn, guard = guarded(x, shape, squash)
    assert np.flatnonzero(~learn[ENOUGH + 1 :]).tolist() == [
        100 - ENOUGH - 1,
        150 - ENOUGH - 1,
        200 - ENOUGH - 1,
    ]
    assert guard.counters() == {"learnt": 300 - 3 - ENOUGH, "wild": 1, "not_finite": 2, "incomplete": ENOUGH}


def test_the_bound_is_a_setting():
    x = [1.0] * 50 + [20.0]
    assert guarded(x, wild=30.0)[1][-1]
    assert not guarded(x, wild=10.0)[1][-1]


def test_what_was_wild_is_learnt_once_it_has_become_usual():
    x = np.concatenate([np.ones(200), np.full(3_000, 5_000.0)])
    _, learn, _ = guarded(x)
    assert not learn[200:250].any()
    assert learn[-1_000:].all()


def test_raw_inputs_go_through_as_they_are_but_never_infinite():
    x = np.array([1.0, 2.0, 1e9, np.nan, -3.0, np.inf])
    inputs, _, _ = guarded(x, squash=False)
    assert np.array_equal(inputs[:, 0], [1.0, 2.0, 1e9, np.nan, -3.0, np.nan], equal_nan=True)


def test_the_first_learnt_row_has_every_input():
    x = np.random.default_rng(2).normal(5, 1, (100, 2))
    x[:60, 1] = np.nan
    x[90, 0] = np.nan
    x[91] = np.nan
    inputs, learn, _ = guarded(x)
    first = np.flatnonzero(learn)[0]
    assert first == 60 + ENOUGH
    assert np.isfinite(inputs[first]).all()
    assert learn[90]
    assert not learn[91]


@pytest.mark.parametrize("size", [1, 7])
def test_batches_and_a_restored_state_give_the_same(size):
    rng = np.random.default_rng(3)
    x = rng.lognormal(0, 2, (400, 3)) * rng.choice([1.0, 0.0, -1.0, np.nan, 1e9], (400, 3))
    slot = rng.integers(0, 2, 400).astype(np.int32)
    shapes = list(SHAPES)
    whole = Guard(shapes, [True] * 3, 1000.0)
    whole.grow(2)
    inputs, learn = whole.step(slot, x)
    pieces, guard = [], Guard(shapes, [True] * 3, 1000.0)
    guard.grow(2)
    for at in range(0, 400, size):
        state = guard.state()
        guard = Guard(shapes, [True] * 3, 1000.0)
        guard.restore(state)
        pieces.append(guard.step(slot[at : at + size], x[at : at + size]))
    assert np.array_equal(np.concatenate([p[0] for p in pieces]), inputs, equal_nan=True)
    assert np.array_equal(np.concatenate([p[1] for p in pieces]), learn)
    assert same_state(guard.state(), whole.state())


def test_a_level_stays_where_values_meet_it():
    rng = np.random.default_rng(4)
    _, _, guard = guarded(rng.normal(100, 1, 200), "level")
    centre = guard.state()["at"][0, 0, 2]
    inputs, _, guard = guarded([centre] * 50, "level", guard=guard)
    assert (inputs == 0.5).all()
    assert guard.state()["at"][0, 0, 2] == centre
