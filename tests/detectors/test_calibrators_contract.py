"""Every calibrator keeps to the contract, which catches those that do not."""

from dataclasses import replace

import numpy as np
import pytest
from contracts import calibrators as contract
from contracts.calibrators import CHECKS
from contracts.refused import refused

from detectors.calibration import CALIBRATORS, DEFAULT, build_calibrator


def called(check):
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("kind", CALIBRATORS)
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_calibrator(check, kind):
    check(CALIBRATORS[kind])


@pytest.mark.parametrize("kind", CALIBRATORS)
def test_each_is_built_by_its_name(kind):
    assert type(build_calibrator(kind)) is type(CALIBRATORS[kind]())
    assert build_calibrator().spec == build_calibrator(DEFAULT).spec


Right = CALIBRATORS["cascade"]


class OutOfOrder(Right):
    def __init__(self):
        raise RuntimeError("out of order")


class NeverTheSame(Right):
    made = 0

    @property
    def spec(self):
        NeverTheSame.made += 1
        return f"{super().spec} {self.made}"


class OneTooFew(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, probability=found.probability[1:], seconds=found.seconds[1:])


class ByChance(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=found.seconds + np.random.default_rng().random())


class OfTheBatch(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=found.seconds + len(columns[0]))


class ForgetsItsState(Right):
    def restore(self, state):
        unused = Right()
        unused.grow(3)
        super().restore(unused.state())


class LendsItsState(Right):
    lent = None

    def state(self):
        self.lent = self.lent or super().state()
        return self.lent

    def step(self, *columns):
        found = super().step(*columns)
        if self.lent:
            for name, array in super().state().items():
                self.lent[name] = array
        return found


class LooksAhead(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=found.seconds + np.nanmax(columns[3]))


class WithoutEnd(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=found.seconds * 1e9)


class TheHigherTheMoreUsual(Right):
    def step(self, slot, clock, instrument, score):
        return super().step(slot, clock, instrument, -score)


class TakesMissingForZero(Right):
    def step(self, slot, clock, instrument, score):
        return super().step(slot, clock, instrument, np.nan_to_num(score, posinf=0.0, neginf=0.0))


class ReadyAtOnce(Right):
    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=np.nan_to_num(found.seconds))


class WritesIntoItsInputs(Right):
    def step(self, slot, clock, instrument, score):
        np.nan_to_num(score, copy=False)
        return super().step(slot, clock, instrument, score)


class KnowsMoreThanThereAre(Right):
    slots = 0

    def grow(self, n_slots):
        super().grow(n_slots)
        self.slots = n_slots

    def ready(self):
        return self.slots


class WatchesTwice(Right):
    def watched_s(self):
        return 2 * super().watched_s()


class NoWayBack(Right):
    rebase = None


class KeepsItsTimes(Right):
    def rebase(self, slot, to):
        pass


class RebasesEverybody(Right):
    def rebase(self, slot, to):
        for each in range(3):
            super().rebase(each, to - 60 * 10**9)


class CountsTheLie(Right):
    def rebase(self, slot, to):
        watched = self._pool["body"].copy()
        super().rebase(slot, to)
        self._pool["body"][:] = watched


class KeepsTheLongGap(Right):
    def rebase(self, slot, to):
        rates = self._own["rates"][slot].copy()
        super().rebase(slot, to)
        self._own["rates"][slot] = rates


class TakesBackTooMuch(Right):
    def rebase(self, slot, to):
        super().rebase(slot, to)
        self._pool["body"][0] = np.maximum(self._pool["body"][0] - 3_600, 0)


class RebasesOutsideItsState(Right):
    late = 0

    def rebase(self, slot, to):
        super().rebase(slot, to)
        self.late = 1

    def step(self, *columns):
        found = super().step(*columns)
        return replace(found, seconds=found.seconds + self.late)


class CannotForget(Right):
    forget = None


class NeverForgets(Right):
    def forget(self, slot):
        pass


class ForgetsThePoolAsWell(Right):
    def forget(self, slot):
        super().forget(slot)
        self._pool["body"][:] = 0.0


class ForgetsEverybody(Right):
    def forget(self, slot):
        for each in range(3):
            super().forget(each)


class ForgetsTheSlot(Right):
    def rebase(self, slot, to):
        for name in ("body", "rates", "last"):
            self._own[name][slot] = 0


@pytest.mark.parametrize(
    ("make", "check", "because"),
    [
        (OutOfOrder, contract.check_versions_tell_calibrators_apart, RuntimeError),
        (NeverTheSame, contract.check_versions_tell_calibrators_apart, None),
        (OneTooFew, contract.check_it_warms_up_then_is_never_missing_and_never_out_of_its_range, None),
        (ByChance, contract.check_no_cut_changes_a_bit, None),
        (OfTheBatch, contract.check_no_cut_changes_a_bit, None),
        (ForgetsItsState, contract.check_it_goes_on_from_its_state, None),
        (LendsItsState, contract.check_it_goes_on_from_its_state, None),
        (LooksAhead, contract.check_a_score_is_judged_before_it_is_learnt, None),
        (WithoutEnd, contract.check_it_warms_up_then_is_never_missing_and_never_out_of_its_range, None),
        (ReadyAtOnce, contract.check_it_warms_up_then_is_never_missing_and_never_out_of_its_range, None),
        (TheHigherTheMoreUsual, contract.check_the_higher_the_rarer, None),
        (TakesMissingForZero, contract.check_what_is_missing_leaves_no_trace, None),
        (KnowsMoreThanThereAre, contract.check_unknown_instruments_change_nothing_for_those_there, None),
        (WritesIntoItsInputs, contract.check_inputs_are_left_as_they_are, None),
        (NoWayBack, contract.check_a_clock_that_was_wrong_steps_back, TypeError),
        (KeepsItsTimes, contract.check_a_clock_that_was_wrong_steps_back, None),
        (RebasesEverybody, contract.check_a_clock_that_was_wrong_steps_back, None),
        (CountsTheLie, contract.check_a_clock_that_was_wrong_steps_back, None),
        (KeepsTheLongGap, contract.check_a_busy_instrument_is_as_rare_as_before_its_lie, None),
        (TakesBackTooMuch, contract.check_a_new_instrument_that_lied_takes_nothing_from_the_others, None),
        (
            RebasesOutsideItsState,
            contract.check_stepping_back_agrees_however_scores_are_cut_and_states_kept,
            None,
        ),
        (ForgetsTheSlot, contract.check_stepping_back_to_what_is_no_earlier_changes_nothing, None),
        *(
            (
                wrong,
                contract.check_a_forgotten_instrument_is_as_one_never_seen_and_the_pool_keeps_what_it_gave,
                because,
            )
            for wrong, because in (
                (CannotForget, TypeError),
                (NeverForgets, None),
                (ForgetsThePoolAsWell, None),
                (ForgetsEverybody, None),
            )
        ),
        (
            WatchesTwice,
            contract.check_time_is_watched_from_the_first_rarity_on_and_a_silence_counts_for_an_hour,
            None,
        ),
    ],
)
def test_a_calibrator_that_is_wrong_is_caught(make, check, because):
    with refused(because):
        check(make)
