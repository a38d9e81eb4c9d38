"""What is asked for is what comes: a small edition of `make quality`."""

import numpy as np
import pytest

from detectors.calibration import build_calibrator

N, EVERY_S, DAY_S = 60_000, 15.0, 86_400.0
S = 1_000_000_000


def autoregressive(chance, n):
    out, steps = np.empty(n), chance.standard_normal(n)
    at = 0.0
    for i in range(n):
        at = 0.95 * at + steps[i]
        out[i] = at
    return out


STREAMS = {
    "normal": lambda chance, n: chance.standard_normal(n),
    "heavy tails": lambda chance, n: chance.standard_t(3, n),
    "autocorrelated": autoregressive,
    "season": lambda chance, n: chance.standard_normal(n) * np.exp(0.8 * np.sin(np.arange(n) / 917)),
    "drift": lambda chance, n: chance.standard_normal(n) + np.linspace(0, 8, n),
    "shift": lambda chance, n: chance.standard_normal(n) * np.where(np.arange(n) < n // 2, 1, 3),
    "in [0, 1]": lambda chance, n: chance.beta(2, 8, n),
}
TIED = {
    "counts": lambda chance, n: chance.poisson(2, n).astype(float),
    "one digit": lambda chance, n: np.round(chance.standard_t(3, n), 1),
    "a maximum that is often reached": lambda chance, n: np.minimum(chance.exponential(1, n), 4.0),
    "two values": lambda chance, n: (chance.random(n) < 0.003).astype(float),
}


def judged(draw, seed=1, n=N):
    chance = np.random.default_rng(seed)
    calibrator = build_calibrator()
    calibrator.grow(1)
    clock = np.cumsum(chance.exponential(EVERY_S * S, n)).astype(np.int64)
    found = calibrator.step(np.zeros(n, np.int32), clock, np.zeros(n, np.int64), draw(chance, n))
    return clock, found


def ratios(clock, found):
    warm = ~np.isnan(found.probability)
    for asked in (1e-2, 1e-3):
        yield (found.probability[warm] <= asked).mean() / asked
    for asked_s, apart_s in ((3_600.0, 360.0), (DAY_S, 1_800.0)):
        rare = clock[warm & (found.seconds >= asked_s)] / S
        occasions = (len(rare) > 0) + int((np.diff(rare) > apart_s).sum())
        yield occasions * asked_s / (np.ptp(clock[warm]) / S)


@pytest.mark.parametrize("name", STREAMS)
def test_continuous_scores_come_as_often_as_asked(name):
    for ratio in ratios(*judged(STREAMS[name])):
        assert 0.5 <= ratio <= 2.0


@pytest.mark.parametrize("name", TIED)
def test_tied_scores_never_come_more_than_twice_as_often(name):
    for ratio in ratios(*judged(TIED[name])):
        assert ratio <= 2.0


def test_a_maximum_that_is_common_is_never_called_rare():
    _, found = judged(TIED["two values"])
    rare = found.seconds[found.seconds > 0]
    assert len(rare) > 100
    assert np.median(rare[len(rare) // 2 :]) < 4 * EVERY_S / 0.003


def test_many_young_instruments_help_each_other():
    chance = np.random.default_rng(2)
    many, each = 200, 1_000
    slot = np.tile(np.arange(many, dtype=np.int32), each)
    score = np.exp(chance.normal(0, 1, many))[slot] * (3 + chance.standard_t(4, many * each))
    clock = np.arange(many * each) * int(EVERY_S * S / many)
    calibrator = build_calibrator()
    calibrator.grow(many)
    found = calibrator.step(slot, clock, slot.astype(np.int64), score)
    warm = ~np.isnan(found.probability)
    for asked in (1e-2, 1e-3, 1e-4):
        assert 0.5 <= (found.probability[warm] <= asked).mean() / asked <= 2.0
    young = warm & (np.arange(many * each) // many < 400)
    assert 0.5 <= (found.probability[young] <= 1e-3).mean() / 1e-3 <= 2.0


def test_an_instruments_own_pace_decides_how_long_once_is():
    times = []
    for factor in (1, 10):
        clock, found = judged(STREAMS["normal"])
        calibrator = build_calibrator()
        calibrator.grow(1)
        n = len(clock)
        score = np.random.default_rng(3).standard_normal(n)
        found = calibrator.step(np.zeros(n, np.int32), clock * factor, np.zeros(n, np.int64), score)
        high = (found.probability > 5e-4) & (found.probability < 2e-3)
        times.append(np.median(found.seconds[high]))
    assert 5 < times[1] / times[0] < 20
