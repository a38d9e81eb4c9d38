"""Every drift monitor keeps to the contract, which catches those that do not."""

import numpy as np
import pytest
from contracts import monitors as contract
from contracts.monitors import CHECKS
from contracts.refused import refused

from detectors.drift import MONITORS, Evidence


def called(check):
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_monitor(check, name):
    check(name, MONITORS[name])


class Far:
    """Ten values in a row far from the middle of the reference: a monitor that keeps to the contract."""

    name, version = "far", "far.1"

    def __init__(self):
        self.middle, self.away = np.zeros(0), np.zeros(0, np.int64)

    def needs(self, span_s):
        return 100

    def grow(self, n_series):
        self.middle = np.append(self.middle, np.zeros(n_series - len(self.middle)))
        self.away = np.append(self.away, np.zeros(n_series - len(self.away), np.int64))

    def start(self, series, reference, scale_floor):
        self.middle[series], self.away[series] = np.median(reference), 0

    def feed(self, series, value):
        far = abs(value - self.middle[series]) > 3
        self.away[series] = self.away[series] + 1 if far else 0
        return Evidence(self.name) if self.away[series] >= 6 else None

    def forget(self, series):
        self.middle[series], self.away[series] = 0.0, 0

    def state(self):
        return {"middle": self.middle.copy(), "away": self.away.copy()}

    def restore(self, state):
        self.middle, self.away = state["middle"].copy(), state["away"].copy()


class OutOfOrder(Far):
    def __init__(self):
        raise RuntimeError("out of order")


class UnderAnotherName(Far):
    name = "near"


class AsksForTooMuch(Far):
    def needs(self, span_s):
        return 1_000


class CriesWolf(Far):
    def feed(self, series, value):
        return Evidence(self.name) if abs(value) > 2 else None


class SaysNothing(Far):
    def feed(self, series, value):
        return None


class SpeaksForAnother(Far):
    def feed(self, series, value):
        return super().feed(series, value) and Evidence("mean")


class ByChance(Far):
    def feed(self, series, value):
        return super().feed(series, value) and Evidence(self.name, np.random.default_rng().random())


class LendsItsState(Far):
    def state(self):
        return {"middle": self.middle, "away": self.away}


class ForgetsItsState(Far):
    def restore(self, state):
        super().restore(state)
        self.middle[:] = 0.0
        self.away[:] = -20


class OneForAll(Far):
    def feed(self, series, value):
        return super().feed(0, value)


class ForgetsWhenItGrows(Far):
    def grow(self, n_series):
        self.middle, self.away = np.full(n_series, 50.0), np.zeros(n_series, np.int64)


class KeepsTheOldReference(Far):
    def start(self, series, reference, scale_floor):
        if self.middle[series] == 0.0:
            super().start(series, reference, scale_floor)


class SortsTheReference(Far):
    def start(self, series, reference, scale_floor):
        reference.sort()
        super().start(series, reference, scale_floor)


class LooksAtTheReferenceLater(Far):
    def start(self, series, reference, scale_floor):
        self.reference = reference

    def feed(self, series, value):
        self.middle[series] = np.median(self.reference)
        return super().feed(series, value)


class CannotForget(Far):
    forget = None


class ForgetsHalf(Far):
    def forget(self, series):
        self.middle[series] = 0.0


class ForgetsEverybody(Far):
    def forget(self, series):
        self.middle[:], self.away[:] = 0.0, 0


@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_a_monitor_that_is_right_passes(check):
    check("far", Far)


@pytest.mark.parametrize(
    ("make", "check", "because"),
    [
        (OutOfOrder, contract.check_the_same_again, RuntimeError),
        (UnderAnotherName, contract.check_registration, None),
        (AsksForTooMuch, contract.check_it_asks_for_a_reference_it_can_get, None),
        (CriesWolf, contract.check_it_is_silent_where_nothing_changes, None),
        (SaysNothing, contract.check_it_goes_on_from_its_state, None),
        (SpeaksForAnother, contract.check_it_finds_a_change_and_says_so, None),
        (ByChance, contract.check_the_same_again, None),
        (LendsItsState, contract.check_it_goes_on_from_its_state, None),
        (ForgetsItsState, contract.check_it_goes_on_from_its_state, None),
        (OneForAll, contract.check_series_do_not_change_each_other, None),
        (ForgetsWhenItGrows, contract.check_more_room_changes_nothing, None),
        (KeepsTheOldReference, contract.check_it_begins_anew_with_another_reference, None),
        (SortsTheReference, contract.check_the_reference_is_left_as_it_is, None),
        (LooksAtTheReferenceLater, contract.check_the_reference_is_left_as_it_is, None),
        (CannotForget, contract.check_a_forgotten_series_is_as_one_never_started, TypeError),
        (ForgetsHalf, contract.check_a_forgotten_series_is_as_one_never_started, None),
        (ForgetsEverybody, contract.check_a_forgotten_series_is_as_one_never_started, None),
    ],
)
def test_a_monitor_that_is_wrong_is_caught(make, check, because):
    with refused(because):
        check("far", make)
