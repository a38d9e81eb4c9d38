"""Drift monitors on series of which it is known whether, and where, they drift."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.drift import DriftBank
from detectors.drift.psi import REFERENCE, WINDOW, DistributionMonitor, false_alarm_threshold
from detectors.drift.second_blocks import Blocks
from detectors.slot_arrays import StateMismatchError

DAY = 86_400


def bank_of(series=1, **settings):
    bank = DriftBank(settings.pop("block_s", 1), **settings)
    bank.grow(series)
    return bank


def drifts(values, bank=None, second=None):
    bank = bank or bank_of()
    second = np.arange(len(values)) if second is None else second
    return bank.step(np.zeros(len(values), np.int32), second, np.asarray(values, float))


def heavy(seed, n):
    return np.random.default_rng(seed).standard_t(3, n)


def autoregressive(seed, n, share):
    out, before = np.empty(n), 0.0
    for at, shock in enumerate(heavy(seed, n).tolist()):
        before = share * before + shock
        out[at] = before
    return out


def rolling(seed, n, window):
    total = np.cumsum(heavy(seed, n + window))
    return total[window:] - total[:-window]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 5))])
def test_a_stationary_heavy_tailed_day_raises_none(seed):
    bank = bank_of()
    assert drifts(heavy(seed, DAY), bank) == []
    assert bank.watched() == (1, 1, 0)


@pytest.mark.parametrize(
    ("name", "values", "block_s"),
    [
        ("exponential", lambda: np.random.default_rng(1).exponential(size=DAY), 1),
        ("log-normal", lambda: np.random.default_rng(2).lognormal(0, 1.5, DAY), 1),
        ("rare counts", lambda: np.random.default_rng(3).poisson(0.02, DAY), 1),
        ("a constant", lambda: np.full(DAY, 0.1), 1),
        ("neighbours at 0.35", lambda: autoregressive(4, DAY, 0.35), 1),
        ("neighbours at 0.9", lambda: autoregressive(5, DAY, 0.9), 1),
        ("a window of 10 s", lambda: rolling(6, DAY, 10), 10),
        ("a window of a minute", lambda: rolling(7, DAY, 60), 60),
    ],
)
def test_no_other_stationary_day_does_either(name, values, block_s):
    assert drifts(values(), bank_of(block_s=block_s)) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("change", "monitors", "within"),
    [
        (lambda x: x + 20, {"mean"}, 60),
        (lambda x: x + 1, {"mean", "distribution"}, 300),
        (lambda x: 2 * x, {"distribution"}, 400),
        (lambda x: x / 2, {"distribution"}, 400),
    ],
)
def test_a_drift_is_found_once_and_in_time(seed, change, monitors, within):
    values = heavy(seed, 12_000)
    values[5_000:] = change(values[5_000:])
    [found] = drifts(values)
    assert found.evidence.monitor in monitors
    assert 5_000 < found.row <= 5_000 + within


@pytest.mark.parametrize("seed", range(3))
def test_what_it_has_drifted_to_is_told(seed):
    values = heavy(seed, 6_000) + 100
    values[4_000:] += 20
    [found] = drifts(values)
    assert found.before.middle == pytest.approx(100, abs=0.3)
    assert found.after.middle == pytest.approx(120, abs=1)
    assert found.after.low < found.after.middle < found.after.high
    assert (found.span_s, found.series) == (1, 0)


def test_each_of_two_drifts_is_told():
    values = heavy(1, 9_000)
    values[3_000:6_000] += 20
    first, second = drifts(values)
    assert 3_000 < first.row < 3_100
    assert 6_000 < second.row < 6_100
    assert second.before.middle == pytest.approx(20, abs=0.3)


def test_a_constant_that_becomes_another_is_found():
    [found] = drifts(np.repeat([1.0, 2.0], 3_000))
    assert (found.before.middle, found.after.middle) == (1.0, 2.0)
    assert found.row < 3_060


def test_nothing_is_said_before_there_is_a_reference():
    values = heavy(2, 590)
    values[300:] += 50
    bank = bank_of()
    assert drifts(values, bank) == []
    assert bank.watched() == (0, 1, 0)


def test_values_that_hang_together_cover_more_time():
    values = autoregressive(8, 40_000, 0.9)
    values[30_000:] += 60
    [found] = drifts(values)
    assert found.span_s >= 8
    assert 30_000 < found.row < 30_000 + 60 * found.span_s


def test_wild_and_non_finite_values_leave_no_trace():
    values = heavy(3, 3_000)
    bad = np.array([np.nan, np.inf, -np.inf, 1e300, -1e101])
    second = np.arange(3_000)
    whole = bank_of()
    drifts(values, whole, second)
    dirty = np.concatenate([np.concatenate([[v], bad]) for v in values])
    spoilt = bank_of()
    assert drifts(dirty, spoilt, np.repeat(second, 6)) == []
    assert_same(whole.state(), spoilt.state())


def test_one_bearable_but_absurd_value_is_no_drift():
    values = heavy(3, 8_000)
    values[[2_000, 2_500, 3_000]] = 1e99
    assert drifts(values) == []


def assert_same(expected, found):
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert array.dtype == found[name].dtype
        assert array.tobytes() == found[name].tobytes(), name


def busy(seed, n=6_000, series=3):
    chance = np.random.default_rng(seed)
    value = chance.normal(size=n)
    value[n // 2 :] += 30
    value[chance.random(n) < 0.02] = np.nan
    return chance.integers(0, series, n).astype(np.int32), np.cumsum(chance.integers(0, 3, n)), value


def told(found):
    return [(each.series, each.evidence, each.before, each.after, each.span_s) for each in found]


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 50), st.lists(st.integers(0, 6_000), max_size=6), st.sets(st.integers(0, 6)))
def test_cuts_and_a_state_taken_elsewhere_change_no_bit(seed, cuts, put_away):
    series, second, value = busy(seed)
    whole, pieces = bank_of(3), bank_of(3)
    expected = whole.step(series, second, value)
    assert expected
    found, rows = [], []
    for number, (a, b) in enumerate(itertools.pairwise([0, *sorted(cuts), len(value)])):
        if number in put_away:
            state = pieces.state()
            pieces = DriftBank(1)
            pieces.restore({name: array.copy() for name, array in state.items()})
        part = pieces.step(series[a:b], second[a:b], value[a:b])
        rows += [a + each.row for each in part]
        found += part
    assert rows == [each.row for each in expected]
    assert told(found) == told(expected)
    assert_same(whole.state(), pieces.state())


def test_series_know_nothing_of_each_other():
    series, second, value = busy(7)
    together = bank_of(3).step(series, second, value)
    for one in range(3):
        own = series == one
        alone = bank_of().step(np.zeros(own.sum(), np.int32), second[own], value[own])
        assert [each.before for each in alone] == [each.before for each in together if each.series == one]


def test_a_bank_that_grows_keeps_what_it_has():
    values = heavy(4, 2_000)
    grown, plain = bank_of(), bank_of()
    drifts(values[:1_000], grown)
    drifts(values[:1_000], plain)
    grown.grow(5)
    found = drifts(np.concatenate([values[1_000:], values + 40]), grown, np.arange(1_000, 4_000))
    assert len(found) == 1
    assert grown.watched()[1] == 5


def test_a_state_that_is_not_whole_is_refused():
    bank = bank_of()
    drifts(heavy(1, 700), bank)
    state = bank.state()
    with pytest.raises(StateMismatchError):
        bank_of().restore({**state, "mean/pickles": state["mean/pickles"][:-1]})
    with pytest.raises((StateMismatchError, KeyError)):
        bank_of().restore({name: a for name, a in state.items() if not name.startswith("blocks/")})


def test_psi_is_what_its_definition_says():
    chance = np.random.default_rng(6)
    reference, recent = chance.normal(size=REFERENCE), chance.normal(0.8, 1, WINDOW)
    monitor = DistributionMonitor()
    monitor.grow(1)
    monitor.start(0, reference, 0.0)
    said = [monitor.feed(0, value) for value in recent.tolist()]
    assert said[:-1] == [None] * (WINDOW - 1)
    edges = np.sort(reference)[np.arange(1, 10) * REFERENCE // 10]
    p = np.bincount(np.searchsorted(edges, reference), minlength=10) + 0.5
    q = np.bincount(np.searchsorted(edges, recent), minlength=10) + 0.5
    p, q = p / p.sum(), q / q.sum()
    assert said[-1].statistic == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_the_stated_chance_is_that_of_the_index_where_nothing_changes():
    """The mean of (1/N + 1/M) chi-squared(9) is 9 (1/N + 1/M); a threshold of a millionth is never met."""
    chance, found = np.random.default_rng(7), []
    for _ in range(600):
        reference, recent = np.sort(chance.normal(size=REFERENCE)), chance.normal(size=WINDOW)
        edges = reference[np.arange(1, 10) * REFERENCE // 10]
        p = np.bincount(np.searchsorted(edges, reference), minlength=10) + 0.5
        q = np.bincount(np.searchsorted(edges, recent), minlength=10) + 0.5
        p, q = p / p.sum(), q / q.sum()
        found.append(float(((q - p) * np.log(q / p)).sum()))
    assert np.mean(found) == pytest.approx(9 * (1 / REFERENCE + 1 / WINDOW), rel=0.1)
    assert max(found) < false_alarm_threshold(9)
    for degrees, exact in ((9, 44.811), (2, 27.631), (1, 23.928)):  # chi-squared quantiles at 1 - 1e-6
        assert 1 < false_alarm_threshold(degrees) / (exact * (1 / REFERENCE + 1 / WINDOW)) < 1.16


class TestBlocks:
    def step(self, second, value, block_s=1, summed=False, blocks=None):
        blocks = blocks or Blocks(block_s, summed=summed)
        blocks.grow(1)
        one = np.zeros(len(second), np.int32)
        rows, values = blocks.step(one, np.array(second), np.array(value, float))
        return rows.tolist(), values.tolist()

    def test_seconds_count_alike_however_many_rows_they_have(self):
        assert self.step([0, 0, 0, 1, 2, 10], [1, 1, 1, 3, 5, 0], block_s=10) == ([5], [3.0])

    def test_a_count_is_summed_in_each_second(self):
        assert self.step([0, 0, 1, 4, 10], [1, 1, 0, 1, 0], block_s=10, summed=True) == ([4], [1.0])

    def test_a_night_gives_nothing(self):
        assert self.step([0, 1, 50_000, 50_001], [1, 2, 3, 4]) == ([1, 2, 3], [1.0, 2.0, 3.0])

    def test_a_second_of_bad_values_alone_closes_nothing(self):
        assert self.step([0, 1, 2], [1, math.nan, 3]) == ([2], [1.0])

    def test_an_amount_without_a_row_goes_into_the_open_second_where_there_is_one(self):
        blocks = Blocks(1, summed=True)
        blocks.grow(1)
        blocks.add(0, 5.0)
        self.step([7, 7], [0, 1], blocks=blocks)
        blocks.add(0, 2.0)
        assert self.step([8], [0], blocks=blocks) == ([0], [3.0])
