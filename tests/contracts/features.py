"""What every feature keeps to, whatever it measures.

A check takes a feature's name. A new family needs nothing here: its name comes from the registry. Where it
reads an event field that no feature has read so far, `random_columns` of `market_rows` has to carry it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
from market_rows import batches, columns_of, part, random_columns, same, same_state

from detectors.event_columns import TIMER, Columns, State
from detectors.features import FeatureSet
from detectors.features.baselines import STATISTICS
from detectors.features.family import Family, Unit
from detectors.features.names import parse_feature
from detectors.fields import FIELDS, Shape

ROWS = 900
HOUR_NS = 3_600_000_000_000
LIAR = 1
BYTES_AN_INSTRUMENT = 9_000


def names_of(families: Mapping[str, Family]) -> tuple[str, ...]:
    """One feature of each family, over 10 s where it takes a window."""
    return tuple(f"{stem}_10s" if family.windowed else stem for stem, family in families.items())


def fresh(name: str, n_slots: int = 3) -> FeatureSet:
    features = FeatureSet([name])
    features.grow(n_slots)
    return features


@cache
def market(seed: int, rows: int = ROWS, n_slots: int = 3):
    return random_columns(seed, rows, n_slots=n_slots)


def check_family(stem: str, family: Family) -> None:
    assert family.stem == stem
    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", stem)
    assert family.windowed or stem not in FIELDS, "this is a field's name"
    assert not stem.endswith(tuple(f"_{statistic}" for statistic in STATISTICS)), "this is a baseline's name"
    assert family.doc
    assert family.unit in get_args(Unit)
    assert family.shape in get_args(Shape)
    assert family.fed_by <= frozenset(range(TIMER + 1))
    assert family.fed_by - {TIMER}
    missing = family.needs - set(market(1).fields)
    assert not missing, f"random_columns of market_rows has to carry {sorted(missing)}"
    assert family.version >= 1
    made_of_another = family.of is not None and family.convert is not None
    assert made_of_another == (family.build is None), "it is built, or made of another family's values"


def check_a_value_on_every_row(name: str) -> None:
    found = fresh(name).step(market(2, 1500))
    assert list(found) == [name]
    assert found[name].dtype == np.float64
    assert found[name].shape == (1500,)
    assert np.isfinite(found[name]).any(), "it is never known"


def check_the_same_again(name: str) -> None:
    one, other = fresh(name), fresh(name)
    assert same(one.step(market(1))[name], other.step(market(1))[name])
    assert same_state(one.state(), other.state())


def check_batch_sizes_change_nothing(name: str) -> None:
    whole = fresh(name)
    expected = whole.step(market(1))[name]
    for size in (1, 7, 500):
        pieces = fresh(name)
        found = np.concatenate([pieces.step(piece)[name] for piece in batches(market(1), size)])
        assert same(expected, found), size
        assert same_state(whole.state(), pieces.state()), size


def check_it_goes_on_from_its_state(name: str) -> None:
    columns = market(2, 1500)
    first, rest = part(columns, slice(0, 900)), part(columns, slice(900, None))
    original = fresh(name)
    original.step(first)
    state = original.state()
    kept = {key: array.copy() for key, array in state.items()}
    copy = FeatureSet([name])
    copy.restore(state)
    expected = original.step(rest)[name]
    assert same_state(state, kept), "a state is a copy"
    assert same(copy.step(rest)[name], expected)
    assert same_state(copy.state(), original.state())
    assert np.isfinite(expected).any()


def check_nothing_is_shared_with_what_goes_in_or_came_out(name: str) -> None:
    columns = market(10, 300)
    expected = fresh(name).step(columns)[name].copy()
    features = fresh(name)
    given = features.step(columns)[name]
    assert not any(np.shares_memory(given, array) for array in columns.fields.values())
    features.step(market(11, 300))
    assert same(given, expected), "values that were given are not written over"
    locked = replace(columns, fields={key: values.copy() for key, values in columns.fields.items()})
    for array in locked.fields.values():
        array.flags.writeable = False
    assert same(fresh(name).step(locked)[name], expected)


def check_it_reads_the_fields_it_states(name: str) -> None:
    columns, needs = market(4), parse_feature(name).needs
    stated = replace(columns, fields={field: columns.fields[field] for field in needs})
    assert same(fresh(name).step(stated)[name], fresh(name).step(columns)[name])


def check_other_kinds_of_rows_do_not_feed_it(name: str) -> None:
    """A row of another kind may be remembered, but says nothing of the value on that row itself."""
    columns, fed_by = market(5), parse_feature(name).fed_by
    others = np.flatnonzero(~np.isin(columns.kind, [*fed_by, TIMER]))[::25]
    features, before = fresh(name), 0
    for row in others.tolist():
        features.step(part(columns, slice(before, row)))
        blank = FeatureSet([name])
        blank.restore(features.state())
        found = features.step(part(columns, slice(row, row + 1)))[name]
        assert same(found, blank.step(replace(part(columns, slice(row, row + 1)), fields={}))[name])
        before = row + 1


def check_instruments_do_not_change_each_other(name: str) -> None:
    columns = market(6)
    rows = np.flatnonzero(columns.slot == 1)
    together, alone = fresh(name).step(columns)[name], fresh(name).step(part(columns, rows))[name]
    assert same(alone, together[rows])


def check_instruments_that_come_later_change_nothing(name: str) -> None:
    columns = market(3, n_slots=5)
    columns = part(columns, np.argsort(columns.slot, kind="stable"))
    growing = FeatureSet([name])
    pieces = [replace(piece, n_slots=int(piece.slot.max()) + 1) for piece in batches(columns, 30)]
    found = np.concatenate([growing.step(piece)[name] for piece in pieces])
    assert same(found, fresh(name, 5).step(columns)[name])


def check_timers_only_look(name: str) -> None:
    columns = market(7)
    events = np.flatnonzero(columns.kind != TIMER)
    with_timers, without = fresh(name), fresh(name)
    assert same(with_timers.step(columns)[name][events], without.step(part(columns, events))[name])
    assert same_state(with_timers.state(), without.state())


def check_values_that_are_not_finite_never_enter(name: str) -> None:
    columns = market(8)
    spoilt = {field: values.copy() for field, values in columns.fields.items()}
    for field, values in spoilt.items():
        at = np.flatnonzero(np.isnan(columns.fields[field]))
        values[at[::2]] = np.inf
        values[at[1::4]] = -np.inf
    found = fresh(name).step(columns_of(columns.slot, columns.kind, columns.clock, spoilt))[name]
    assert same(fresh(name).step(columns)[name], found)
    assert not np.isinf(found).any()


def check_missing_columns_are_missing_values(name: str) -> None:
    columns = market(9, 300)
    nan = np.full(len(columns), np.nan)
    bare = replace(columns, fields={})
    full = replace(columns, fields=dict.fromkeys(columns.fields, nan))
    assert same(fresh(name).step(bare)[name], fresh(name).step(full)[name])


def check_an_empty_batch_is_no_trouble(name: str) -> None:
    features = fresh(name)
    before = features.state()
    assert len(features.step(part(market(1), slice(0, 0)))[name]) == 0
    assert same_state(before, features.state())


def check_memory_of_an_instrument_is_bounded(name: str) -> None:
    features = fresh(name)
    sizes = []
    for seed in range(1, 4):
        features.step(market(seed, 500))
        sizes.append(sum(array.nbytes for array in features.state().values()))
    assert len(set(sizes)) == 1
    assert sizes[0] / 3 <= BYTES_AN_INSTRUMENT


@cache
def lie(seed: int, rows: int = 1500) -> tuple[Columns, Columns, int, int]:
    """Honest rows, the same with a slot's clock an hour ahead for a while, the row that ends it, its time."""
    honest = market(seed, rows)
    own = np.flatnonzero((honest.slot == LIAR) & (honest.kind != TIMER))
    end = int(own[own >= 800][0])
    clock = honest.clock.copy()
    clock[600:end][honest.slot[600:end] == LIAR] += HOUR_NS
    return honest, replace(honest, clock=clock), end, int(honest.clock[end])


def stepped_back(name: str, seed: int = 12, size: int = 10_000, restored: int = 0) -> Stepped:
    """The values of a stream with a lie that is taken back; the states right after that and in the end."""
    _, lying, end, to = lie(seed)
    features = fresh(name)
    values = [features.step(piece)[name] for piece in batches(part(lying, slice(0, end)), size)]
    features = copy_of(features) if restored == BEFORE else features
    features.rebase(LIAR, to)
    after = {key: array.copy() for key, array in features.state().items()}
    features = copy_of(features) if restored == AFTER else features
    values += [features.step(piece)[name] for piece in batches(part(lying, slice(end, None)), size)]
    return np.concatenate(values), after, features.state()


Stepped = tuple[np.ndarray, State, State]
BEFORE, AFTER = 1, 2


def copy_of(features: FeatureSet) -> FeatureSet:
    copy = FeatureSet(features.names)
    copy.restore(features.state())
    copy.grow(3)
    return copy


def own_entries(array: np.ndarray) -> np.ndarray:
    return array.reshape(3, -1)[LIAR]


def check_a_clock_that_was_wrong_steps_back(name: str) -> None:
    honest, _, end, to = lie(12)
    found, state, _ = stepped_back(name)
    expected, others = fresh(name).step(honest)[name], honest.slot != LIAR
    assert same(found[others], expected[others]), "other instruments have nothing to do with it"
    for key, array in state.items():
        assert array.dtype != np.int64 or own_entries(array).max() <= to, key
    own = np.flatnonzero(~others & (np.arange(len(honest)) >= end))
    new = fresh(name).step(part(honest, slice(end, None)))[name][own - end]
    values = found[own]
    assert not np.isinf(values).any()
    assert np.isfinite(values[np.isfinite(new)]).all(), "it is known where that of a new instrument is"
    assert parse_feature(name).shape != "positive" or not (values < 0).any()


def check_stepping_back_agrees_however_rows_are_cut_and_states_kept(name: str) -> None:
    values, after, last = stepped_back(name)
    for size, restored in ((1, 0), (7, BEFORE), (500, AFTER)):
        found = stepped_back(name, size=size, restored=restored)
        assert same(found[0], values), size
        assert same_state(found[1], after), size
        assert same_state(found[2], last), size


def check_stepping_back_to_what_is_no_earlier_changes_nothing(name: str) -> None:
    features, columns = fresh(name), market(13)
    features.step(columns)
    before = {key: array.copy() for key, array in features.state().items()}
    own = columns.clock[(columns.slot == LIAR) & (columns.kind != TIMER)]
    for to in (int(own[-1]), int(own[-1]) + 1):
        features.rebase(LIAR, to)
        assert same_state(features.state(), before)


def check_a_forgotten_instrument_is_as_one_never_seen(name: str) -> None:
    columns = market(14, 1500)
    first, rest = part(columns, slice(0, 900)), part(columns, slice(900, None))
    features, never = fresh(name), fresh(name)
    features.step(first)
    never.step(part(first, np.flatnonzero(first.slot != LIAR)))
    features.forget(LIAR)
    assert same_state(features.state(), never.state()), "not a bit of it is left, and others keep theirs"
    assert same(features.step(rest)[name], never.step(rest)[name]), "who takes its place begins anew"
    assert same_state(features.state(), never.state())


Check = Callable[[str], None]

CHECKS: tuple[Check, ...] = (
    check_a_value_on_every_row,
    check_the_same_again,
    check_batch_sizes_change_nothing,
    check_it_goes_on_from_its_state,
    check_nothing_is_shared_with_what_goes_in_or_came_out,
    check_it_reads_the_fields_it_states,
    check_other_kinds_of_rows_do_not_feed_it,
    check_instruments_do_not_change_each_other,
    check_instruments_that_come_later_change_nothing,
    check_timers_only_look,
    check_values_that_are_not_finite_never_enter,
    check_missing_columns_are_missing_values,
    check_an_empty_batch_is_no_trouble,
    check_memory_of_an_instrument_is_bounded,
    check_a_clock_that_was_wrong_steps_back,
    check_stepping_back_agrees_however_rows_are_cut_and_states_kept,
    check_stepping_back_to_what_is_no_earlier_changes_nothing,
    check_a_forgotten_instrument_is_as_one_never_seen,
)
"""For every feature, by name; `check_family` is for what is registered."""
