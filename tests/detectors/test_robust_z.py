import numpy as np
import pytest

from detectors.models import READY, WARMING
from detectors.models.robust_z import HIGHEST, WARMUP, RobustZ


def scored(x, learn=None, model=None, **params):
    x = np.asarray(x, np.float64)
    x = np.ascontiguousarray(x[:, None] if x.ndim == 1 else x)
    n = len(x)
    model = model or RobustZ(x.shape[1], **params)
    model.grow(1)
    learn = np.ones(n, np.bool_) if learn is None else learn
    return model.step(np.zeros(n, np.int32), x, np.full(n, np.nan), learn)


def test_warming_for_64_values_of_each_input():
    x = np.random.default_rng(0).normal(size=(200, 2))
    x[:50, 1] = np.nan
    score, status = scored(x)
    assert (status[: 50 + WARMUP] == WARMING).all()
    assert (status[50 + WARMUP :] == READY).all()
    assert np.isnan(score[: 50 + WARMUP]).all()
    assert np.isfinite(score[50 + WARMUP :]).all()


def test_the_first_score_is_that_of_the_exact_median_and_mad():
    x = np.random.default_rng(1).normal(10, 3, WARMUP + 1)
    median = np.median(x[:WARMUP])
    mad = np.median(np.abs(x[:WARMUP] - median))
    assert scored(x)[0][-1] == pytest.approx(abs(x[-1] - median) / (1.4826 * mad))


@pytest.mark.parametrize(("centre", "spread"), [(0, 1), (1e6, 0.5), (-3, 1e-9)])
def test_on_a_normal_stream_it_is_a_z_score(centre, spread):
    x = np.random.default_rng(2).normal(centre, spread, 20_000)
    score = scored(x)[0][2_000:]
    assert np.median(score) == pytest.approx(0.6745, rel=0.08)
    assert np.mean(score > 3) == pytest.approx(0.0027, rel=0.4)


def test_a_tenth_of_outliers_does_not_move_what_is_usual():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, 20_000)
    x[rng.random(20_000) < 0.1] = 1e9
    score = scored(x)[0][2_000:]
    assert np.median(score) == pytest.approx(0.75, rel=0.25)


def test_it_follows_a_new_level():
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(0, 1, 3_000), rng.normal(50, 1, 20_000)])
    score = scored(x)[0]
    assert score[3_000] > 40
    assert np.median(score[-3_000:]) < 1.5


def test_a_constant_input_scores_nothing_until_it_changes():
    x = np.full(500, 7.0)
    x[400] = 7.5
    score, _ = scored(x)
    assert (score[WARMUP:400] == 0).all()
    assert score[400] == HIGHEST
    assert np.isfinite(score[WARMUP:]).all()


def test_a_mostly_constant_input_has_a_spread_all_the_same():
    rng = np.random.default_rng(8)
    x = np.where(rng.random(10_000) < 0.8, 3.0, rng.normal(3, 1, 10_000))
    x[9_999] = 30.0
    score = scored(x)[0][WARMUP:]
    assert np.percentile(score, 75) < 0.1
    assert np.percentile(score, 99) < 20
    assert 30 < score[-1] < 300


def test_a_wild_value_in_a_constant_stream_does_no_harm():
    x = np.full(600, 7.0)
    x[300] = 1e12
    score = scored(x)[0]
    assert (np.delete(score, 300)[WARMUP:] == 0).all()


def test_nor_is_anything_measured_by_it_later():
    x = np.full(600, 7.0)
    x[300] = 1e12
    x[400:] = 7.5
    x[599] = 1000.0
    score = scored(x)[0]
    assert score[450:599].max() < 10
    assert score[599] > 1000


def test_the_strangest_input_decides():
    x = np.random.default_rng(5).normal(size=(300, 3))
    x[299] = [0.1, 8.0, 0.1]
    each = [scored(x[:, j])[0][299] for j in range(3)]
    assert scored(x)[0][299] == max(each) == each[1]


def test_a_missing_input_is_left_out_of_its_row():
    x = np.random.default_rng(6).normal(size=(300, 2))
    x[298] = [1.0, np.nan]
    x[299] = np.nan
    score, status = scored(x)
    assert score[298] == scored(x[:, 0])[0][298]
    assert np.isnan(score[299])
    assert status[299] == READY
