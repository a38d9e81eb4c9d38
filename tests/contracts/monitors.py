"""What every drift monitor keeps to.

A check takes the name that it is registered as and what makes it. A new monitor needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.drift import Evidence, Monitor
from detectors.drift.monitor import MOST_VALUES, Factory

CHANGE = 1_500
"""Values after the reference, beyond which the series has another mean and another spread."""


def usual(seed: int, n: int = CHANGE) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, n)


def changed(seed: int) -> np.ndarray:
    values = usual(seed, 2 * CHANGE)
    values[CHANGE:] = 5 * values[CHANGE:] + 5
    return values


def started(make: Factory, seed: int = 5, series: int = 1) -> Monitor:
    monitor = make()
    monitor.grow(series + 1)
    monitor.start(series, usual(seed, monitor.needs(1)), 0.0)
    return monitor


def fed(monitor: Monitor, values: np.ndarray, series: int = 1) -> list[Evidence | None]:
    return [monitor.feed(series, value) for value in values.tolist()]


def same_state(one, other) -> bool:
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


def check_registration(name: str, make: Factory) -> None:
    assert make().name == name
    assert make().version
    assert make().version == make().version


def check_it_asks_for_a_reference_it_can_get(name: str, make: Factory) -> None:
    for span_s in (1, 7, 60, 3_600):
        assert isinstance(make().needs(span_s), int)
        assert 0 < make().needs(span_s) <= MOST_VALUES


def check_it_is_silent_where_nothing_changes(name: str, make: Factory) -> None:
    for seed in range(5):
        assert not any(fed(started(make, seed + 100), usual(seed)))


def check_it_finds_a_change_and_says_so(name: str, make: Factory) -> None:
    for seed in range(3):
        said = fed(started(make, seed + 100), changed(seed))
        assert not any(said[:CHANGE])
        evidence = next(filter(None, said))
        assert evidence.monitor == name
        if evidence.statistic is not None and evidence.threshold is not None:
            assert evidence.statistic >= evidence.threshold


def check_the_same_again(name: str, make: Factory) -> None:
    one, other = started(make), started(make)
    assert fed(one, changed(1)) == fed(other, changed(1))
    assert same_state(one.state(), other.state())


def check_it_goes_on_from_its_state(name: str, make: Factory) -> None:
    original, values = started(make), changed(2)
    fed(original, values[:1_000])
    state = original.state()
    before = {key: array.copy() for key, array in state.items()}
    copy = make()
    copy.restore(state)
    expected = fed(original, values[1_000:])
    assert same_state(state, before), "a state is a copy"
    assert any(expected)
    assert fed(copy, values[1_000:]) == expected
    assert same_state(original.state(), copy.state())


def check_series_do_not_change_each_other(name: str, make: Factory) -> None:
    alone = fed(started(make), changed(3))
    both, found = started(make), []
    both.start(0, usual(9, both.needs(1)), 0.0)
    for value, other in zip(changed(3).tolist(), usual(8, 2 * CHANGE).tolist(), strict=True):
        both.feed(0, other)
        found.append(both.feed(1, value))
    assert found == alone


def check_more_room_changes_nothing(name: str, make: Factory) -> None:
    growing, values = started(make), changed(4)
    found = fed(growing, values[:700])
    growing.grow(9)
    assert found + fed(growing, values[700:]) == fed(started(make), values)


def check_it_begins_anew_with_another_reference(name: str, make: Factory) -> None:
    again = started(make)
    fed(again, changed(6))
    reference = usual(11, again.needs(1)) + 50
    again.start(1, reference, 0.0)
    first = make()
    first.grow(2)
    first.start(1, reference, 0.0)
    values = np.concatenate([usual(12) + 50, usual(13) + 90])
    assert fed(again, values) == fed(first, values)


def check_the_reference_is_left_as_it_is(name: str, make: Factory) -> None:
    monitor = make()
    monitor.grow(1)
    reference = usual(7, monitor.needs(1))
    before = reference.copy()
    monitor.start(0, reference, 0.0)
    assert (reference == before).all()
    reference[:] = 1e6  # whoever gave it may use it again
    other = make()
    other.grow(1)
    other.start(0, before, 0.0)
    assert fed(monitor, changed(7), 0) == fed(other, changed(7), 0)


def check_a_forgotten_series_is_as_one_never_started(name: str, make: Factory) -> None:
    monitor, never = started(make), make()
    never.grow(2)
    for each in (monitor, never):
        each.start(0, usual(9, each.needs(1)), 0.0)
        fed(each, changed(9)[:900], 0)
    fed(monitor, changed(5)[: CHANGE + 3])
    monitor.forget(1)
    assert same_state(monitor.state(), never.state()), "not a bit of it is left, and others keep theirs"
    for each in (monitor, never):
        each.start(1, usual(10, each.needs(1)), 0.0)
    assert fed(monitor, changed(10)) == fed(never, changed(10))
    assert same_state(monitor.state(), never.state())


Check = Callable[[str, Factory], None]

CHECKS: tuple[Check, ...] = (
    check_registration,
    check_it_asks_for_a_reference_it_can_get,
    check_it_is_silent_where_nothing_changes,
    check_it_finds_a_change_and_says_so,
    check_the_same_again,
    check_it_goes_on_from_its_state,
    check_series_do_not_change_each_other,
    check_more_room_changes_nothing,
    check_it_begins_anew_with_another_reference,
    check_the_reference_is_left_as_it_is,
    check_a_forgotten_series_is_as_one_never_started,
)
