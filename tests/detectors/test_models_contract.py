"""Every compiled model keeps to the contract, which catches those that do not."""

import numpy as np
import pytest
from contracts import models as contract
from contracts.models import CHECKS
from contracts.refused import refused

from detectors.models import MODELS, READY, WARMING, robust_z
from detectors.models.params import integer_params


def called(check):
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_model(check, name):
    check(name, MODELS[name])


class Spread:
    """How far the inputs lie from their means so far: a model that keeps to the contract."""

    version = "Spread.1"

    def __init__(self, n_inputs):
        self.seen = np.zeros((0, n_inputs, 2))

    def grow(self, n_slots):
        self.seen = np.concatenate([self.seen, np.zeros((n_slots - len(self.seen), *self.seen.shape[1:]))])

    def step(self, slot, x, y, learn):
        score, status = np.empty(len(slot)), np.empty(len(slot), np.int8)
        for row in range(len(slot)):
            seen = self.seen[slot[row]]
            status[row] = READY if self.ready(seen) else WARMING
            score[row] = self.judge(seen, x[row]) if status[row] == READY else np.nan
            if self.learns(learn[row]):
                usable = np.isfinite(x[row]) & (np.abs(x[row]) < 1e9)
                seen[usable] += np.stack([np.ones(usable.sum()), x[row][usable]], axis=1)
        return score, status

    def ready(self, seen):
        return (seen[:, 0] >= 50).all()

    def judge(self, seen, x):
        usable = np.isfinite(x)
        far = np.abs(np.clip(x[usable], -1e9, 1e9) - (seen[:, 1] / seen[:, 0])[usable])
        return far.max() if usable.any() else np.nan

    def learns(self, learn):
        return learn

    def rebase(self, slot, to):
        pass

    def forget(self, slot):
        self.seen[slot] = 0.0

    def quarantined(self):
        return {}

    def state(self):
        return {"seen": self.seen.copy()}

    def restore(self, state):
        self.seen = state["seen"].copy()


class OutOfOrder(Spread):
    def __init__(self, n_inputs):
        raise RuntimeError("out of order")


class Nameless(Spread):
    version = "1"


class NeverReady(Spread):
    def ready(self, seen):
        return False


class TurnedAround(Spread):
    def judge(self, seen, x):
        return -super().judge(seen, x)


class LeavesOutHalf(Spread):
    def step(self, slot, x, y, learn):
        half = len(slot) // 2
        return super().step(slot[:half], x[:half], y[:half], learn[:half])


class ByChance(Spread):
    def judge(self, seen, x):
        return super().judge(seen, x) + np.random.default_rng().random() * 1e-9


class CountsBatches(Spread):
    def step(self, slot, x, y, learn):
        found = super().step(slot, x, y, learn)
        self.seen[:, :, 0] += 1e-6
        return found


class LooksAhead(Spread):
    def step(self, slot, x, y, learn):
        score, status = super().step(slot, x, y, learn)
        return score + np.nanmean(x), status


class LendsItsState(Spread):
    def state(self):
        return {"seen": self.seen}


class ForgetsItsState(Spread):
    def restore(self, state):
        self.seen = np.zeros_like(state["seen"])


class LearnsEverything(Spread):
    def learns(self, learn):
        return True


class OneForAll(Spread):
    def step(self, slot, x, y, learn):
        return super().step(np.zeros_like(slot), x, y, learn)


class WritesIntoItsInputs(Spread):
    def step(self, slot, x, y, learn):
        x[np.isnan(x)] = 0.0
        return super().step(slot, x, y, learn)


class ForgetsWhenItGrows(Spread):
    def grow(self, n_slots):
        self.seen = np.zeros((n_slots, *self.seen.shape[1:]))


class NoWayBack(Spread):
    rebase = None


class BeginsAnew(Spread):
    def rebase(self, slot, to):
        self.seen[slot] = 0.0


class CannotForget(Spread):
    forget = None


class NeverForgets(Spread):
    def forget(self, slot):
        pass


class ForgetsEverybody(Spread):
    def forget(self, slot):
        self.seen[:] = 0.0


class ForgetsOnlyItsState(Spread):
    forgot = 0

    def forget(self, slot):
        super().forget(slot)
        self.forgot = 1

    def judge(self, seen, x):
        return super().judge(seen, x) + self.forgot


class GivesInfinity(Spread):
    def judge(self, seen, x):
        found = super().judge(seen, x)
        return np.inf if found > 100 else found


def of(model):
    def make(settings):
        integer_params(settings, {})
        return model(len(settings.features))

    return make


def takes_any_parameter(settings):
    return Spread(len(settings.features))


@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_a_model_that_is_right_passes(check):
    check("Spread", of(Spread))


@pytest.mark.parametrize(
    ("make", "check", "because"),
    [
        (of(OutOfOrder), contract.check_the_same_again, RuntimeError),
        (of(Nameless), contract.check_versions_tell_models_apart, None),
        (takes_any_parameter, contract.check_unknown_parameters_are_refused_in_their_place, None),
        (of(NeverReady), contract.check_it_warms_up_and_then_scores, None),
        (of(LeavesOutHalf), contract.check_it_warms_up_and_then_scores, None),
        (of(TurnedAround), contract.check_the_strange_scores_high, None),
        (of(ByChance), contract.check_the_same_again, None),
        (of(CountsBatches), contract.check_no_cut_changes_a_bit, None),
        (of(LooksAhead), contract.check_a_row_is_scored_before_it_is_learnt, None),
        (of(LendsItsState), contract.check_it_goes_on_from_its_state, None),
        (of(ForgetsItsState), contract.check_it_goes_on_from_its_state, None),
        (of(LearnsEverything), contract.check_rows_that_are_not_learnt_leave_no_trace, None),
        (of(OneForAll), contract.check_instruments_do_not_change_each_other, None),
        (of(ForgetsWhenItGrows), contract.check_more_room_changes_nothing, None),
        (of(WritesIntoItsInputs), contract.check_inputs_are_left_as_they_are, None),
        (of(GivesInfinity), contract.check_nothing_that_comes_quarantines_it, None),
        (of(NoWayBack), contract.check_a_clock_that_steps_back_takes_nothing_from_it, TypeError),
        (of(BeginsAnew), contract.check_a_clock_that_steps_back_takes_nothing_from_it, None),
        (of(CannotForget), contract.check_a_forgotten_instrument_is_as_one_never_seen, TypeError),
        (of(NeverForgets), contract.check_a_forgotten_instrument_is_as_one_never_seen, None),
        (of(ForgetsEverybody), contract.check_a_forgotten_instrument_is_as_one_never_seen, None),
        (of(ForgetsOnlyItsState), contract.check_a_forgotten_instrument_is_as_one_never_seen, None),
    ],
)
def test_a_model_that_is_wrong_is_caught(make, check, because):
    with refused(because):
        check("Spread", make)


def test_a_model_under_another_name_is_caught():
    with refused():
        contract.check_versions_tell_models_apart("RobustY", robust_z.build)
