"""What every compiled model keeps to, as it is without parameters.

A check takes the name that it is registered as and what makes it. A new model needs nothing here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from detectors.detector_settings import DetectorSettings
from detectors.models import QUARANTINED, READY, WARMING, Factory, Model, ModelError
from detectors.slot_arrays import StateMismatchError

N, SLOTS = 3_000, 3
INPUTS = ("price", "size")


@dataclass
class Rows:
    """What a model is given, in the order of `Model.step`; inputs are in [0, 1] and sometimes missing."""

    slot: np.ndarray
    x: np.ndarray
    y: np.ndarray
    learn: np.ndarray

    def part(self, rows) -> Rows:
        return Rows(*(np.ascontiguousarray(column[rows]) for column in vars(self).values()))


def market(seed: int = 1, n: int = N) -> Rows:
    chance = np.random.default_rng(seed)
    x = np.clip(chance.normal(0.4, 0.05, (n, len(INPUTS))), 0.0, 1.0)
    x[chance.random((n, len(INPUTS))) < 0.02] = np.nan
    slot = chance.integers(0, SLOTS, n).astype(np.int32)
    return Rows(slot, x, np.full(n, np.nan), chance.random(n) < 0.95)


def made(name: str, make: Factory) -> Model:
    model = make(DetectorSettings(model=name, features=INPUTS))
    model.grow(SLOTS)
    return model


def run(model: Model, rows: Rows, edges=(0, None)) -> tuple[np.ndarray, np.ndarray]:
    """Scores and states, with rows cut at the edges."""
    pieces = [rows.part(slice(*cut)) for cut in itertools.pairwise([*edges[:-1], len(rows.slot)])]
    found = [model.step(piece.slot, piece.x, piece.y, piece.learn) for piece in pieces]
    score, status = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return score, status


def same(one, other) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def same_state(one, other) -> bool:
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


def check_versions_tell_models_apart(name: str, make: Factory) -> None:
    assert made(name, make).version.startswith(f"{name}.")
    assert made(name, make).version == made(name, make).version


def check_unknown_parameters_are_refused_in_their_place(name: str, make: Factory) -> None:
    settings = DetectorSettings(model=name, features=INPUTS, params={"no_such_parameter": 1})
    with pytest.raises(ModelError, match="no_such_parameter") as raised:
        make(settings)
    assert raised.value.path == ("params", "no_such_parameter")


def check_it_warms_up_and_then_scores(name: str, make: Factory) -> None:
    score, status = run(made(name, make), market())
    assert (score.dtype, status.dtype) == (np.float64, np.int8)
    assert len(score) == len(status) == N
    assert set(status.tolist()) <= {WARMING, READY, QUARANTINED}
    for slot in range(SLOTS):
        ready = status[market().slot == slot] == READY
        assert not ready[0]
        assert ready[-1]
        assert ready[np.argmax(ready) :].all(), "it does not go back to warming"
    assert np.isfinite(score[status == READY]).mean() > 0.9
    assert np.isnan(score[status != READY]).all()


def check_the_strange_scores_high(name: str, make: Factory) -> None:
    rows = market()
    rows.x[-SLOTS:] = 0.99
    rows.slot[-SLOTS:] = np.arange(SLOTS)
    score, status = run(made(name, make), rows)
    usual = score[:-SLOTS][status[:-SLOTS] == READY]
    assert (score[-SLOTS:] >= np.nanquantile(usual, 0.95)).all()


def check_the_same_again(name: str, make: Factory) -> None:
    one, other = made(name, make), made(name, make)
    assert same(run(one, market()), run(other, market()))
    assert same_state(one.state(), other.state())


def check_no_cut_changes_a_bit(name: str, make: Factory) -> None:
    whole, pieces = made(name, make), made(name, make)
    expected = run(whole, market())
    assert same(expected, run(pieces, market(), (0, 1, 2, 9, 500, 501, 2_000, None)))
    assert same_state(whole.state(), pieces.state())


def check_a_row_is_scored_before_it_is_learnt(name: str, make: Factory) -> None:
    strange = market()
    strange.x[2_000:] = 0.9
    expected, found = run(made(name, make), market()), run(made(name, make), strange)
    assert same([part[:2_000] for part in expected], [part[:2_000] for part in found])


def check_it_goes_on_from_its_state(name: str, make: Factory) -> None:
    first, rest = market().part(slice(0, 2_000)), market().part(slice(2_000, None))
    original = made(name, make)
    run(original, first)
    state = original.state()
    before = {key: array.copy() for key, array in state.items()}
    copy = make(DetectorSettings(model=name, features=INPUTS))
    copy.restore(state)
    expected = run(original, rest)
    assert same_state(state, before), "a state is a copy"
    assert same(expected, run(copy, rest))
    assert same_state(original.state(), copy.state())
    with pytest.raises((StateMismatchError, KeyError)):
        copy.restore({})


def check_rows_that_are_not_learnt_leave_no_trace(name: str, make: Factory) -> None:
    rows = market()
    learnt = rows.part(rows.learn)
    one, other = made(name, make), made(name, make)
    scores = run(one, rows)
    assert same([part[rows.learn] for part in scores], run(other, learnt))
    assert same_state(one.state(), other.state())


def check_instruments_do_not_change_each_other(name: str, make: Factory) -> None:
    rows = market()
    own = rows.slot == 1
    together, alone = run(made(name, make), rows), run(made(name, make), rows.part(own))
    assert same([part[own] for part in together], alone)


def check_more_room_changes_nothing(name: str, make: Factory) -> None:
    growing = made(name, make)
    first, rest = market().part(slice(0, 1_500)), market().part(slice(1_500, None))
    expected = run(made(name, make), market())
    found = [run(growing, first)]
    growing.grow(50)
    found.append(run(growing, rest))
    assert same(expected, [np.concatenate(parts) for parts in zip(*found, strict=True)])


def check_inputs_are_left_as_they_are(name: str, make: Factory) -> None:
    rows = market()
    before = {column: array.copy() for column, array in vars(rows).items()}
    made(name, make).step(rows.slot, rows.x, rows.y, rows.learn)
    assert all(array.tobytes() == before[column].tobytes() for column, array in vars(rows).items())


def check_nothing_that_comes_quarantines_it(name: str, make: Factory) -> None:
    odd = market()
    odd.x[1_500:] = np.random.default_rng(3).choice([np.nan, 0.0, 1.0, -1e300, 1e300, 5e-324], (1_500, 2))
    model = made(name, make)
    score, _ = run(model, odd)
    assert not np.isinf(score).any()
    assert dict(model.quarantined()) == {}


def check_a_clock_that_steps_back_takes_nothing_from_it(name: str, make: Factory) -> None:
    first, rest = market().part(slice(0, 2_000)), market().part(slice(2_000, None))
    model, other = made(name, make), made(name, make)
    run(model, first)
    run(other, first)
    model.rebase(1, 1_700_000_000_000_000_000)
    assert same_state(model.state(), other.state()), "a model has no times, only what it has learnt"
    assert same(run(model, rest), run(other, rest))


def check_a_forgotten_instrument_is_as_one_never_seen(name: str, make: Factory) -> None:
    first, rest = market().part(slice(0, 2_000)), market().part(slice(2_000, None))
    model, never = made(name, make), made(name, make)
    run(model, first)
    run(never, first.part(first.slot != 1))
    model.forget(1)
    assert same_state(model.state(), never.state()), "not a bit of it is left, and others keep theirs"
    assert same(run(model, rest), run(never, rest)), "who takes its place warms up anew"
    assert same_state(model.state(), never.state())


Check = Callable[[str, Factory], None]

CHECKS: tuple[Check, ...] = (
    check_versions_tell_models_apart,
    check_unknown_parameters_are_refused_in_their_place,
    check_it_warms_up_and_then_scores,
    check_the_strange_scores_high,
    check_the_same_again,
    check_no_cut_changes_a_bit,
    check_a_row_is_scored_before_it_is_learnt,
    check_it_goes_on_from_its_state,
    check_rows_that_are_not_learnt_leave_no_trace,
    check_instruments_do_not_change_each_other,
    check_more_room_changes_nothing,
    check_inputs_are_left_as_they_are,
    check_nothing_that_comes_quarantines_it,
    check_a_clock_that_steps_back_takes_nothing_from_it,
    check_a_forgotten_instrument_is_as_one_never_seen,
)
