import subprocess
import sys

import numpy as np
import pytest
from market_rows import START, batches, columns_of, part, random_columns, same, same_state
from pydantic import ValidationError
from river import anomaly

from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import METRIC, QUOTE, TIMER, TRADE
from detectors.features import FeatureSet
from detectors.input_guard import Guard
from detectors.models import READY, WARMING, ModelError

TREES = {
    "model": "HalfSpaceTrees",
    "features": ["return_bps_10s", "log_notional_10s", "size"],
    "params": {"window_size": 40, "n_trees": 5, "height": 6, "seed": 7},
}
ON_METRICS = {"model": "HalfSpaceTrees", "features": ["value"], "on": "metric"}
SEVERAL = {
    "trees": TREES,
    "trees raw": {**TREES, "inputs": "raw"},
    "uncompiled": {**TREES, "model": "river.anomaly.HalfSpaceTrees"},
    "z": {"model": "RobustZ", "features": ["spread_bps", "return_bps_10s"], "on": ["trade", "quote"]},
    "svm": {"model": "river.anomaly.OneClassSVM", "features": ["imbalance", "size"], "warmup": 30},
    "gauss": {
        "model": "river.anomaly.GaussianScorer",
        "features": ["size"],
        "target": "return_bps_10s",
        "params": {"grace_period": 30},
    },
    "metric": {"model": "RobustZ", "features": ["value"], "on": "metric"},
}


def made(**settings):
    return Detector("tape", DetectorSettings(**settings))


def run(detector, columns, size=None):
    features = FeatureSet(detector.features)
    pieces = []
    for at, batch in enumerate(batches(columns, size or len(columns))):
        features.grow(columns.n_slots)
        detector.grow(columns.n_slots)
        said = detector.step(batch, features.step(batch))
        pieces.append((said.rows + at * (size or 0), said.score, said.status))
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))


def values(x, kind=METRIC):
    """One instrument's stream of a single number."""
    n = len(x)
    return columns_of(np.zeros(n), np.full(n, kind), START + np.arange(n) * 10**9, {"value": x})


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_scores_do_not_depend_on_batch_sizes(name, size):
    columns = random_columns(1, 1500, n_slots=1 if name == "metric" else 3)
    whole, pieces = made(**SEVERAL[name]), made(**SEVERAL[name])
    expected, found = run(whole, columns), run(pieces, columns, size)
    for left, right in zip(expected, found, strict=True):
        assert same(left, right)
    assert whole.counters() == pieces.counters()
    assert np.isfinite(expected[1]).any()


@pytest.mark.parametrize("name", SEVERAL)
def test_a_detector_goes_on_from_its_state(name):
    columns = random_columns(2, 1500)
    first, rest = batches(columns, 750)
    features, original = FeatureSet(made(**SEVERAL[name]).features), made(**SEVERAL[name])
    features.grow(3)
    original.grow(3)
    original.step(first, features.step(first))
    copy = made(**SEVERAL[name])
    copy.restore(original.state())
    later = features.step(rest)
    expected, found = original.step(rest, later), copy.step(rest, later)
    assert same(expected.score, found.score)
    assert same(expected.status, found.status)
    assert copy.counters() == original.counters()
    assert copy.version == original.version
    if "river" not in str(SEVERAL[name]["model"]):
        assert same_state(copy.state(), original.state())


def test_only_rows_of_its_kinds_are_scored():
    columns = random_columns(3, 400)
    for on, kinds in (("trade", [TRADE]), (["quote", "trade"], [TRADE, QUOTE])):
        rows, _, _ = run(made(**{**TREES, "on": on}), columns)
        assert rows.tolist() == np.flatnonzero(np.isin(columns.kind, kinds)).tolist()


def test_trees_get_what_river_gets_of_the_same_squashed_inputs():
    """The scores of River itself, given the guard's own output, row by row with ==."""
    columns = random_columns(4, 1500, n_slots=1)
    detector = made(**TREES)
    rows, score, status = run(detector, columns)
    features = FeatureSet(detector.features)
    features.grow(1)
    found = features.step(columns)
    raw = np.column_stack([found["return_bps_10s"], found["log_notional_10s"], columns.fields["size"]])[rows]
    guard = Guard(["signed", "level", "positive"], [True] * 3, 1000.0)
    guard.grow(1)
    squashed, learn = guard.step(np.zeros(len(rows), np.int32), np.ascontiguousarray(raw))
    model = anomaly.HalfSpaceTrees(**TREES["params"])
    for row in range(len(rows)):
        x = {
            name: v
            for name, v in zip(TREES["features"], squashed[row].tolist(), strict=True)
            if v == v  # NaN is an absent key
        }
        said = model.score_one(x) if not model._first_window and x else np.nan
        assert said == score[row] or (np.isnan(said) and np.isnan(score[row]))
        if learn[row]:
            model.learn_one(x)
    assert (status == READY).sum() > 100


def test_wild_values_are_scored_but_never_learnt():
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, 1000)
    clean, spoilt = x.copy(), x.copy()
    at = [400, 500, 501, 502, 700]
    spoilt[at] = [1e12, -1e300, np.inf, -np.inf, 1e6]
    settings = {
        "model": "HalfSpaceTrees",
        "features": ["value"],
        "on": "metric",
        "params": {"window_size": 100},
    }
    other, expected, _ = run(made(**settings), values(np.delete(clean, at)))
    detector = made(**settings)
    _, score, status = run(detector, values(spoilt))
    assert np.isfinite(score[at]).all()
    assert (score[at] > np.percentile(score[300:], 95)).all()
    assert detector.counters()["wild"] == 3
    assert detector.counters()["not_finite"] == 2
    kept = np.delete(score, at)
    assert np.abs(kept - expected)[300:].max() < 0.35
    assert np.mean(np.abs(kept - expected)[300:]) < 0.02
    assert (status[200:] == READY).all()
    assert len(other) == len(kept)


@pytest.mark.parametrize("model", ["river.anomaly.GaussianScorer", "river.anomaly.StandardAbsoluteDeviation"])
def test_what_poisons_river_does_not_poison_a_detector(model):
    rng = np.random.default_rng(6)
    x = rng.normal(0, 1, 600)
    x[300:303] = [np.nan, np.inf, 1e200]
    settings = {"model": model, "features": ["value"], "target": "value", "on": "metric"}
    detector = made(**settings)
    _, score, status = run(detector, values(x))
    assert np.isfinite(score[303:]).all()
    assert (status[303:] == READY).all()
    assert np.isnan(score[300:302]).all()
    assert not detector.quarantined()
    _, expected, _ = run(made(**settings), values(np.delete(x, [300, 301, 302])))
    assert same(np.delete(score, [300, 301, 302]), expected)


def test_warming_until_ready_and_no_score_before():
    _, score, status = run(made(**TREES), random_columns(7, 1500, n_slots=1))
    ready = np.flatnonzero(status == READY)
    assert (status[: ready[0]] == WARMING).all()
    assert (status[ready[0] :] == READY).all()
    assert np.isnan(score[: ready[0]]).all()


def test_a_row_without_any_input_has_no_score():
    x = np.random.default_rng(8).normal(0, 1, 300)
    x[200] = np.nan
    settings = {
        "model": "HalfSpaceTrees",
        "features": ["value"],
        "on": "metric",
        "params": {"window_size": 50},
    }
    _, score, status = run(made(**settings), values(x))
    assert np.flatnonzero(np.isnan(score[100:])).tolist() == [100]
    assert status[200] == READY


def test_unknown_instruments_leave_the_others_as_they_were():
    columns = random_columns(9, 1500, n_slots=4)
    few = np.flatnonzero(columns.slot < 2)
    detector = made(**TREES)
    rows, score, _ = run(detector, columns)
    kept = np.isin(rows, few)
    smaller = part(columns, few)
    _, expected, _ = run(made(**TREES), smaller)
    assert same(score[kept], expected)


def test_memory_of_an_instrument_is_bounded():
    detector = made(**{**TREES, "params": {}})
    sizes = []
    for seed in range(3):
        run(detector, random_columns(seed, 600))
        sizes.append(sum(array.nbytes for array in detector.state().values()) / 3)
    assert len(set(sizes)) == 1
    assert sizes[0] < 45_000


def test_the_version_changes_with_whatever_decides_scores():
    base = made(**TREES).version
    assert made(**TREES).version == base
    assert Detector("other", DetectorSettings(**TREES)).version == base
    for change in (
        {"params": {**TREES["params"], "seed": 8}},
        {"features": ["return_bps_10s", "size"]},
        {"wild": 50},
        {"inputs": "raw"},
        {"on": ["trade", "order"]},
        {"model": "river.anomaly.HalfSpaceTrees"},
    ):
        assert made(**{**TREES, **change}).version != base


def test_it_says_what_it_needs():
    detector = made(model="river.anomaly.GaussianScorer", features=["size", "mid"], target="spread_bps")
    assert detector.features == ("mid", "spread_bps")
    assert detector.fields == {"size"}
    assert detector.on == {TRADE}


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"features": ["size", "midd"]}, ("features", 1), "unknown feature 'midd' (did you mean 'mid'?)"),
        ({"target": "retrun_bps_1s"}, ("target",), "unknown feature 'retrun_bps_1s'"),
        ({"params": {"height": 0}}, ("params", "height"), "height must be a whole number from 1 to 12"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, path, message):
    with pytest.raises(ModelError) as caught:
        made(**{**TREES, **change})
    assert caught.value.path == path
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "change",
    [
        {"on": "tick"},
        {"on": []},
        {"features": []},
        {"features": ["size", "size"]},
        {"wild": 1},
        {"wild": float("inf")},
        {"warmup": 0},
        {"model": ""},
        {"model": []},
        {"inputs": "scaled"},
        {"surplus": 1},
        {"model": ["river.anomaly.LODA"], "params": {"n_bins": 3}},
    ],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValidationError):
        DetectorSettings(**{**TREES, **change})


def test_river_is_not_imported_before_it_is_needed():
    code = "import sys, detectors.detector, detectors.models; sys.exit('river' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_timers_are_never_scored():
    columns = random_columns(10, 300)
    rows, _, _ = run(made(**{**TREES, "on": ["trade", "quote", "order"]}), columns)
    assert not (columns.kind[rows] == TIMER).any()
