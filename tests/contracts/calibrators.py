"""What every calibrator keeps to, however it finds out how rare a score is.

A check takes what makes a calibrator. A new one needs nothing here.
"""

import itertools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.calibration import LONGEST_OF_WATCHED, LONGEST_S
from detectors.slot_arrays import StateMismatchError

S = 1_000_000_000
START = 1_700_000_000 * S
PARTS = ("probability", "seconds")
NAMED = np.random.default_rng(9).integers(-(2**63), 2**63 - 1, 50)  # as hashes of names are


def stream(n, slots=3, seed=1, digits=None, missing=0.02):
    chance = np.random.default_rng(seed)
    slot = chance.integers(0, slots, n).astype(np.int32)
    score = chance.standard_t(3, n) * (1 + slot)
    score = score if digits is None else np.round(score, digits)
    score[chance.random(n) < missing] = np.nan
    clock = START + np.cumsum(chance.exponential(5 * S, n)).astype(np.int64)
    return slot, clock, NAMED[slot], score


def fresh(make, slots=3):
    calibrator = make()
    calibrator.grow(slots)
    return calibrator


def fed(calibrator, columns, edges):
    parts = [calibrator.step(*(column[a:b] for column in columns)) for a, b in itertools.pairwise(edges)]
    return tuple(np.concatenate([getattr(part, what) for part in parts]) for what in PARTS)


def one(score, clock=None):
    n = len(score)
    at = START + np.arange(n, dtype=np.int64) * 15 * S if clock is None else clock
    return np.zeros(n, np.int32), at, np.full(n, NAMED[0]), np.asarray(score, np.float64)


def same(a, b):
    return set(a) == set(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)


def check_no_cut_changes_a_bit(make):
    @settings(deadline=None, max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(st.integers(0, 1000), st.sampled_from([None, 0]), st.lists(st.integers(1, 900), max_size=9))
    def holds(seed, digits, cuts):
        cut_into(make, seed, digits, cuts)

    holds()


def cut_into(make, seed, digits, cuts):
    columns = stream(3_000, seed=seed, digits=digits)
    edges = [0, *np.minimum(np.cumsum(cuts, dtype=int), 3_000).tolist(), 3_000]
    whole, cut = fresh(make), fresh(make)
    expected, found = fed(whole, columns, [0, 3_000]), fed(cut, columns, edges)
    assert [part.tobytes() for part in expected] == [part.tobytes() for part in found]
    assert same(whole.state(), cut.state())


def check_it_goes_on_from_its_state(make):
    columns = stream(5_000)
    first, rest = [c[:2_500] for c in columns], [c[2_500:] for c in columns]
    original = fresh(make)
    original.step(*first)
    kept = original.state()
    before = {name: array.copy() for name, array in kept.items()}
    copy = make()
    copy.restore(kept)
    expected = original.step(*rest)
    assert same(kept, before), "a state is a copy"
    assert copy.step(*rest).seconds.tobytes() == expected.seconds.tobytes()
    assert same(copy.state(), original.state())
    assert copy.ready() == 3
    with pytest.raises(StateMismatchError):
        copy.restore({})


def check_a_score_is_judged_before_it_is_learnt(make):
    columns = stream(4_000, missing=0)
    other = [column.copy() for column in columns]
    other[3][3_000:] = 1e9
    a, b = fresh(make).step(*columns), fresh(make).step(*other)
    assert a.seconds[:3_000].tobytes() == b.seconds[:3_000].tobytes()


def check_what_is_missing_leaves_no_trace(make):
    columns = stream(3_000, missing=0)
    holes = [column.copy() for column in stream(3_000, missing=0)]
    holes[3][::3] = np.tile([np.nan, np.inf, -np.inf, np.nan], 250)
    kept = np.arange(3_000) % 3 > 0
    a, b = fresh(make).step(*holes), fresh(make).step(*(column[kept] for column in columns))
    assert np.isnan(a.seconds[~kept]).all()
    assert a.seconds[kept].tobytes() == b.seconds.tobytes()


def check_unknown_instruments_change_nothing_for_those_there(make):
    columns = stream(3_000)
    few, many = fresh(make), fresh(make)
    many.grow(50)
    assert few.step(*columns).seconds.tobytes() == many.step(*columns).seconds.tobytes()
    assert (few.ready(), many.ready()) == (3, 3)


def check_it_warms_up_then_is_never_missing_and_never_out_of_its_range(make):
    n = 20_000
    columns = one(np.random.default_rng(3).standard_normal(n))
    found = fresh(make, 1).step(*columns)
    assert len(found.seconds) == len(found.probability) == n
    warming = np.isnan(found.seconds)
    assert warming[: warming.sum()].all()
    assert 64 <= warming.sum() <= 1_000
    assert (np.isnan(found.probability) == warming).all()
    seconds, chance = found.seconds[~warming], found.probability[~warming]
    assert seconds.min() == 0.0
    assert seconds.max() <= LONGEST_S
    watched = (columns[1][~warming] - START) / S
    assert (seconds <= LONGEST_OF_WATCHED * watched).all()
    assert chance.min() > 0.0
    assert chance.max() == 1.0


def check_the_higher_the_rarer(make):
    history = np.random.default_rng(4).standard_normal(30_000)
    rarities = []
    for last in (0.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 9.0, 1e9, 1e308):
        found = fresh(make, 1).step(*one(np.append(history, last)))
        rarities.append(found.seconds[-1])
    assert rarities[0] == 0.0
    assert rarities == sorted(rarities)
    assert 600 < rarities[4] < 86_400, "once in 740 scores of 15 s: some three hours"
    assert rarities[-1] > 86_400


CONSTANT = (np.full(2_000, 0.3), np.zeros(2_000), np.full(2_000, 1e308))


def check_a_constant_is_common_and_its_first_change_bounded(make):
    for score in CONSTANT:
        constant(make, score)


def constant(make, score):
    calibrator = fresh(make, 1)
    found = calibrator.step(*one(score))
    assert set(found.seconds[~np.isnan(found.seconds)]) == {0.0}
    jump = calibrator.step(*one([-1e308, 1e308, 5.0, 0.3], START + np.arange(4) * S + 2_000 * 15 * S))
    assert np.isfinite(jump.seconds).all()
    assert jump.seconds.max() <= LONGEST_S
    assert all(np.isfinite(array).all() for array in calibrator.state().values())


def check_scores_all_at_one_moment_do_no_harm(make):
    n = 3_000
    found = fresh(make, 1).step(*one(np.random.default_rng(5).standard_normal(n), np.full(n, START)))
    assert np.isfinite(found.seconds[-2_000:]).all()


def check_time_is_watched_from_the_first_rarity_on_and_a_silence_counts_for_an_hour(make):
    columns = stream(3_000, missing=0.0)
    slot, clock = columns[:2]
    clock[2_000:] += 9 * 3_600 * S
    calibrator = fresh(make)
    found = calibrator.step(*columns)
    due = 0.0
    for number in range(3):
        mine = np.flatnonzero(slot == number)
        first = np.flatnonzero(~np.isnan(found.seconds[mine]))[0]
        due += float(np.minimum(np.diff(clock[mine[first - 1 :]]) / S, 3_600.0).sum())
    assert calibrator.watched_s() == pytest.approx(due)
    assert fresh(make).watched_s() == 0.0


LIAR, HOUR_S = 1, 3_600
BEFORE, AFTER = 1, 2


def lie(seed=6):
    """Honest scores, the same with a slot an hour ahead for a while, the row that ends it, its time."""
    honest = stream(9_000, seed=seed, missing=0.0)
    slot, clock = honest[:2]
    end = int(np.flatnonzero(slot == LIAR)[np.flatnonzero(slot == LIAR) >= 4_000][0])
    ahead = clock.copy()
    ahead[3_900:end][slot[3_900:end] == LIAR] += HOUR_S * S
    return honest, (slot, ahead, *honest[2:]), end, int(clock[end])


def copy_of(make, calibrator):
    copy = make()
    copy.restore(calibrator.state())
    return copy


def stepped_back(make, size=9_000, restored=0):
    """Rarities of scores with a lie that is taken back; the calibrator, and its state right after that."""
    _, lying, end, to = lie()
    calibrator = fresh(make)
    before = fed(calibrator, [c[:end] for c in lying], [*range(0, end, size), end])
    calibrator = copy_of(make, calibrator) if restored == BEFORE else calibrator
    calibrator.rebase(LIAR, to)
    state = {name: array.copy() for name, array in calibrator.state().items()}
    calibrator = copy_of(make, calibrator) if restored == AFTER else calibrator
    rest = 9_000 - end
    after = fed(calibrator, [c[end:] for c in lying], [*range(0, rest, size), rest])
    return [np.concatenate(both) for both in zip(before, after, strict=True)], calibrator, state


def of_slots(state, slots):
    return {name: array[slots] for name, array in state.items() if len(array) == 3}


def check_a_clock_that_was_wrong_steps_back(make):
    honest, lying, end, to = lie()
    calibrator, other = fresh(make), fresh(make)
    calibrator.step(*(c[:end] for c in lying))
    before, watched = calibrator.state(), calibrator.watched_s()
    before = {name: array.copy() for name, array in before.items()}
    calibrator.rebase(LIAR, to)
    after = calibrator.state()
    assert same(of_slots(before, [0, 2]), of_slots(after, [0, 2])), "others have nothing to do with it"
    assert all(array.max() <= to for array in of_slots(after, LIAR).values() if array.dtype == np.int64)
    other.step(*(c[:end] for c in honest))
    assert watched > other.watched_s() + HOUR_S - 300
    assert calibrator.watched_s() == pytest.approx(other.watched_s(), abs=300)
    again = calibrator.watched_s()
    calibrator.rebase(LIAR, to)
    assert calibrator.watched_s() == again
    found = calibrator.step(*(c[end:] for c in lying)).seconds
    expected = other.step(*(c[end:] for c in honest)).seconds
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert calibrator.watched_s() == pytest.approx(other.watched_s(), abs=300)
    late = np.flatnonzero((found > 0) & (expected > 0))
    off = np.log(found[late] / expected[late])
    assert abs(np.median(off[lying[0][end:][late] == LIAR])) < 0.1
    assert abs(np.median(off[lying[0][end:][late] != LIAR])) < 0.1


def check_a_busy_instrument_is_as_rare_as_before_its_lie(make):
    """An hour is thousands of its usual gaps; most of the lie's scores came after the one that jumped."""
    n, end, lies = 12_000, 6_000, 1_000
    score = np.random.default_rng(8).standard_normal(n)
    clock = START + np.arange(n, dtype=np.int64) * (S // 20)
    ahead = clock.copy()
    ahead[end - lies : end] += HOUR_S * S
    lying, honest = fresh(make, 1), fresh(make, 1)
    lying.step(*(c[:end] for c in one(score, ahead)))
    lying.rebase(0, int(clock[end]))
    found = lying.step(*(c[end:] for c in one(score, clock))).seconds
    expected = honest.step(*one(score, clock)).seconds[end:]
    known = (found > 0) & (expected > 0)
    assert known.sum() > 500
    off = found[known] / expected[known]
    assert 0.7 < np.quantile(off, 0.1) < np.quantile(off, 0.9) < 1.5


def check_a_new_instrument_that_lied_takes_nothing_from_the_others(make):
    columns = stream(3_000, slots=2, missing=0.0)
    calibrator = fresh(make)
    calibrator.step(*columns)
    watched, at = calibrator.watched_s(), int(columns[1][-1])
    for n in (1, 2, 300):
        lies = one(np.random.default_rng(n).standard_normal(n), at + (HOUR_S + np.arange(n)) * S)
        calibrator.step(np.full(n, 2, np.int32), *lies[1:])
        calibrator.rebase(2, at)
        assert calibrator.watched_s() >= watched - 1e-6
        watched = min(calibrator.watched_s(), watched)


def check_stepping_back_agrees_however_scores_are_cut_and_states_kept(make):
    expected, calibrator, state = stepped_back(make)
    for size, restored in ((7, BEFORE), (500, AFTER)):
        found, other, after = stepped_back(make, size, restored)
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]
        assert same(after, state)
        assert same(other.state(), calibrator.state())


def check_stepping_back_to_what_is_no_earlier_changes_nothing(make):
    columns = stream(3_000, missing=0.0)
    calibrator = fresh(make)
    calibrator.step(*columns)
    before = {name: array.copy() for name, array in calibrator.state().items()}
    calibrator.rebase(LIAR, int(columns[1][columns[0] == LIAR][-1]))
    assert same(calibrator.state(), before)


def check_a_forgotten_instrument_is_as_one_never_seen_and_the_pool_keeps_what_it_gave(make):
    columns = stream(9_000, missing=0.0)
    first, rest = [c[:6_000] for c in columns], [c[6_000:] for c in columns]
    calibrator = fresh(make)
    calibrator.step(*first)
    before, unused = calibrator.state(), fresh(make).state()
    before = {name: array.copy() for name, array in before.items()}
    watched = calibrator.watched_s()
    calibrator.forget(LIAR)
    after = calibrator.state()
    assert same(of_slots(after, LIAR), of_slots(unused, LIAR)), "not a bit of it is left"
    assert same(of_slots(after, [0, 2]), of_slots(before, [0, 2])), "others keep theirs"
    pool = [name for name, array in before.items() if len(array) != 3]
    assert same({name: after[name] for name in pool}, {name: before[name] for name in pool})
    assert calibrator.watched_s() == watched
    assert calibrator.ready() == 2
    copy = copy_of(make, calibrator)
    found, again = calibrator.step(*rest), copy.step(*rest)
    assert found.seconds.tobytes() == again.seconds.tobytes()
    own = rest[0] == LIAR
    assert np.isnan(found.seconds[own][:200]).all(), "who takes its place warms up anew"
    assert calibrator.ready() == 3


def check_versions_tell_calibrators_apart(make):
    assert isinstance(make().spec, str)
    assert make().spec
    assert make().spec == make().spec


def check_inputs_are_left_as_they_are(make):
    columns = stream(2_000)
    before = [column.tobytes() for column in columns]
    fresh(make).step(*columns)
    assert [column.tobytes() for column in columns] == before


CHECKS = (
    check_versions_tell_calibrators_apart,
    check_inputs_are_left_as_they_are,
    check_no_cut_changes_a_bit,
    check_it_goes_on_from_its_state,
    check_a_score_is_judged_before_it_is_learnt,
    check_what_is_missing_leaves_no_trace,
    check_unknown_instruments_change_nothing_for_those_there,
    check_it_warms_up_then_is_never_missing_and_never_out_of_its_range,
    check_the_higher_the_rarer,
    check_a_constant_is_common_and_its_first_change_bounded,
    check_scores_all_at_one_moment_do_no_harm,
    check_time_is_watched_from_the_first_rarity_on_and_a_silence_counts_for_an_hour,
    check_a_clock_that_was_wrong_steps_back,
    check_a_busy_instrument_is_as_rare_as_before_its_lie,
    check_a_new_instrument_that_lied_takes_nothing_from_the_others,
    check_stepping_back_agrees_however_scores_are_cut_and_states_kept,
    check_stepping_back_to_what_is_no_earlier_changes_nothing,
    check_a_forgotten_instrument_is_as_one_never_seen_and_the_pool_keeps_what_it_gave,
)
