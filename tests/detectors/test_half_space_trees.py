"""The compiled half-space trees against River's, score by score with ==."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import same_state
from river import anomaly

from detectors.models import READY, WARMING
from detectors.models.half_space_trees import HalfSpaceTrees


def river_scores(features, x, learn=None, **params):
    """River's own scores; its trees are grown with every feature known, as the compiled ones are."""
    model = anomaly.HalfSpaceTrees(**params)
    model.learn_one(dict.fromkeys(features, 0.5))
    model.counter = 0
    model._first_window = True
    for nodes in model._tree_nodes:
        for node in nodes:
            node.l_mass = node.r_mass = 0
    scores, ready = [], []
    for row, values in enumerate(x):
        given = {name: float(v) for name, v in zip(features, values, strict=True) if not np.isnan(v)}
        ready.append(not model._first_window)
        scores.append(model.score_one(given))
        if learn is None or learn[row]:
            model.learn_one(given)
    return np.array(scores, float), np.array(ready)


def compiled_scores(features, x, slot=None, learn=None, model=None, **params):
    n = len(x)
    model = model or HalfSpaceTrees(features, **params)
    slot = np.zeros(n, np.int32) if slot is None else slot
    model.grow(int(slot.max()) + 1 if n else 1)
    learn = np.ones(n, np.bool_) if learn is None else learn
    return model.step(slot, np.ascontiguousarray(x, np.float64), np.full(n, np.nan), learn)


def check(features, x, learn=None, **params):
    expected, ready = river_scores(features, x, learn, **params)
    score, status = compiled_scores(features, x, learn=learn, **params)
    assert (status == np.where(ready, READY, WARMING)).all()
    assert np.isnan(score[~ready]).all()
    assert (expected[~ready] == 0).all()
    assert (score[ready] == expected[ready]).all()
    assert ready.any()


def thresholds(features, **params):
    model = anomaly.HalfSpaceTrees(**params)
    model.learn_one(dict.fromkeys(features, 0.5))
    return [node.threshold for nodes in model._tree_nodes for node in nodes if hasattr(node, "threshold")]


VALUES = st.floats(0, 1) | st.just(np.nan) | st.floats(allow_nan=True)
SMALL = {"n_trees": 4, "height": 5, "window_size": 40, "seed": 11}


@pytest.mark.parametrize("seed", [0, 7, 42])
@pytest.mark.parametrize("names", [["a"], ["b", "a", "c"], ["x10", "x9", "_y", "Z"]])
def test_random_rows_with_rivers_defaults(names, seed):
    x = np.random.default_rng(seed).random((700, len(names)))
    check(names, x, seed=seed)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_rows_with_missing_features(share):
    rng = np.random.default_rng(3)
    x = rng.random((600, 3))
    x[rng.random(x.shape) < share] = np.nan
    check(["b", "a", "c"], x, **SMALL)


def test_rows_on_the_thresholds_and_beside_them():
    names = ["b", "a", "c"]
    at = np.array(thresholds(names, **SMALL))
    edges = np.concatenate([at, np.nextafter(at, 0), np.nextafter(at, 1), [0.0, 1.0, 0.5, np.nan, -0.0]])
    x = np.random.default_rng(5).choice(edges, (1500, 3))
    check(names, x, **SMALL)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, -1.0, 2.0, np.inf, -np.inf, 1e300, 5e-324])
def test_constant_rows(value):
    check(["a", "b"], np.full((300, 2), value), **SMALL)


def test_nothing_but_missing_features():
    check(["a", "b"], np.full((300, 2), np.nan), **SMALL)


def test_a_shift_of_level():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0.3, 0.02, (400, 2)), rng.normal(0.8, 0.02, (400, 2))])
    check(["a", "b"], x, n_trees=10, height=8, window_size=100, seed=2)


def test_rows_that_are_not_learnt_leave_no_trace():
    rng = np.random.default_rng(4)
    check(["a", "b"], rng.random((600, 2)), learn=rng.random(600) < 0.5, **SMALL)


SHAPES = [
    (1, 2, 1),
    (12, 3, 2),
    (2, 500, 30),
    pytest.param(12, 1000, 1, marks=pytest.mark.long),
    (3, 255, 5),
    (3, 256, 5),
]


@pytest.mark.parametrize(("height", "window_size", "n_trees"), SHAPES)
def test_other_shapes_of_trees(height, window_size, n_trees):
    rng = np.random.default_rng(6)
    x = rng.random((1100, 2))
    x[::2][rng.random((550, 2)) < 0.5] = np.nan
    check(["a", "b"], x, n_trees=n_trees, height=height, window_size=window_size, seed=1)


@pytest.mark.parametrize("window_size", [1000, 65_536, 1_000_000])
def test_long_windows_all_in_one_leaf_lose_no_count(window_size):
    params = {"n_trees": 1, "height": 12, "window_size": window_size, "seed": 3}
    x = np.full((window_size + 1, 1), 0.25)
    score, status = compiled_scores(["a"], x, **params)
    assert status[-2:].tolist() == [WARMING, READY]
    # every node on the way to the leaf was visited by the whole window: nothing can be more usual
    assert score[-1] == 0.0


def test_a_row_without_inputs_that_is_not_learnt_is_passed_over():
    x = np.random.default_rng(12).random((100, 2))
    x[60:80] = np.nan
    learn = ~np.isnan(x).all(axis=1)
    score, status = compiled_scores(["a", "b"], x, learn=learn, **SMALL)
    expected, _ = compiled_scores(["a", "b"], x[learn], **SMALL)
    assert np.isnan(score[~learn]).all()
    assert (status[60:80] == READY).all()
    assert np.array_equal(score[learn], expected, equal_nan=True)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(*[st.floats(0, 1) | st.just(np.nan) | st.floats(allow_nan=True)] * 2),
        min_size=8,
        max_size=60,
    ),
    seed=st.integers(0, 50),
)
def test_any_rows_at_all(rows, seed):
    check(["p", "q"], np.array(rows), n_trees=3, height=4, window_size=6, seed=seed)


def test_the_order_of_features_decides_nothing():
    x = np.random.default_rng(8).random((500, 3))
    straight, _ = compiled_scores(["a", "b", "c"], x, **SMALL)
    turned, _ = compiled_scores(["c", "a", "b"], x[:, [2, 0, 1]], **SMALL)
    assert np.array_equal(straight, turned, equal_nan=True)


def test_names_and_seed_decide_the_trees():
    base = HalfSpaceTrees(["a", "b"], **SMALL).version
    assert HalfSpaceTrees(["a", "b"], **SMALL).version == base
    assert HalfSpaceTrees(["a", "b"], **{**SMALL, "seed": 12}).version != base


def test_instruments_share_trees_but_nothing_else():
    rng = np.random.default_rng(9)
    x, slot = rng.random((900, 2)), rng.integers(0, 3, 900).astype(np.int32)
    score, status = compiled_scores(["a", "b"], x, slot=slot, **SMALL)
    for one in range(3):
        rows = slot == one
        expected, ready = river_scores(["a", "b"], x[rows], **SMALL)
        assert (score[rows][ready] == expected[ready]).all()
        assert (status[rows] == ready).all()


@pytest.mark.parametrize("size", [1, 7, 500])
def test_batches_and_a_restored_state_give_the_same_bits(size):
    rng = np.random.default_rng(10)
    x, slot = rng.random((900, 2)), rng.integers(0, 3, 900).astype(np.int32)
    whole = HalfSpaceTrees(["a", "b"], **SMALL)
    expected, _ = compiled_scores(["a", "b"], x, slot=slot, model=whole)
    model = HalfSpaceTrees(["a", "b"], **SMALL)
    found = []
    for at in range(0, 900, size):
        state = model.state()
        model = HalfSpaceTrees(["a", "b"], **SMALL)
        model.restore(state)
        score, _ = compiled_scores(["a", "b"], x[at : at + size], slot=slot[at : at + size], model=model)
        found.append(score)
    assert np.array_equal(np.concatenate(found), expected, equal_nan=True)
    assert same_state(model.state(), whole.state())
