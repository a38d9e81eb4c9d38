"""The features of a plan, computed together batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import Columns, State
from detectors.features.baselines import Baseline, Baselines
from detectors.features.family import Convert, Family, Node, Unit
from detectors.features.feature_rows import FeatureRows
from detectors.features.names import Feature, parse_feature
from detectors.features.registry import FAMILIES
from detectors.features.series_banks import Banks, SharedCopies
from detectors.fields import FIELDS
from detectors.slot_arrays import StateMismatchError
from detectors.time_units import NS_PER_SECOND


class FeatureSet:
    """The requested features, for every instrument of a task.

    What two features share (the same window under two names, the mean and the z of one base) is computed
    once.

    Parameters
    ----------
    names
        Feature names; see `parse_feature`.

    Raises
    ------
    UnknownFeatureError
        When a name is not that of a feature.

    Examples
    --------
    >>> features = FeatureSet(["return_bps_10s", "size_mean_1h"])
    >>> sorted(features.needs)
    ['price', 'size']
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._features = {name: parse_feature(name) for name in names}
        self._banks = Banks()
        self._nodes: dict[str, Node] = {}
        self._converted: dict[str, tuple[str, Convert]] = {}
        self._bank = Baselines()
        self._baselines: dict[str, Baseline] = {}
        self._inputs: list[tuple[bool, str]] = []  # of baselines: whether a field; name or spec
        self._n_slots = 0
        for feature in self._features.values():
            self._add(feature)

    def _add(self, feature: Feature) -> None:
        if feature.family is not None:
            self._add_node(feature, feature.family)
            return
        if isinstance(feature.base, Feature):
            self._add(feature.base)
        if feature.spec not in self._baselines:
            self._baselines[feature.spec] = self._baseline(feature)
        if feature.statistic is not None:
            self._baselines[feature.spec].request(feature.statistic)

    def _baseline(self, feature: Feature) -> Baseline:
        field = feature.base if isinstance(feature.base, str) else None
        node = feature.base.spec if isinstance(feature.base, Feature) else None
        source = field is not None, field or node or ""
        if source not in self._inputs:
            self._inputs.append(source)
        by_kind = field is not None and len(FIELDS[field].kinds) > 1
        x = self._inputs.index(source)
        return self._bank.add(feature.horizon_ns, feature.fed_by, x, by_kind=by_kind)

    def _add_node(self, feature: Feature, family: Family) -> None:
        if family.of is not None and family.convert is not None:
            source = parse_feature(f"{family.of}_{feature.window_ns // NS_PER_SECOND}s")
            self._add(source)
            self._converted[feature.spec] = (source.spec, family.convert)
        elif family.build is not None and feature.spec not in self._nodes:
            self._nodes[feature.spec] = family.build(feature.window_ns, self._banks)

    @property
    def names(self) -> tuple[str, ...]:
        """The requested names, each once, in order."""
        return tuple(self._features)

    @property
    def needs(self) -> frozenset[str]:
        """Every numeric event field that is read."""
        return frozenset().union(*(feature.needs for feature in self._features.values()))

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        if n_slots <= self._n_slots:
            return
        self._banks.grow(n_slots)
        for node in self._nodes.values():
            node.grow(n_slots)
        self._bank.grow(n_slots)
        self._n_slots = n_slots

    def step(self, columns: Columns) -> dict[str, NDArray[np.float64]]:
        """Every feature at every row.

        Parameters
        ----------
        columns
            The batch; room is made for its `n_slots`.

        Returns
        -------
        dict
            float64[n] by name, NaN until known. Timer rows get the value at their time and change nothing.
        """
        self.grow(columns.n_slots)
        rows = FeatureRows(columns)
        self._banks.step(rows)
        values = {spec: node.step(rows) for spec, node in self._nodes.items()}
        values |= {spec: convert(values[source]) for spec, (source, convert) in self._converted.items()}
        x = np.empty((len(self._inputs), len(rows)))
        for number, (is_field, name) in enumerate(self._inputs):
            x[number] = rows.column(name) if is_field else values[name]
        self._bank.step(rows, x)
        return {
            name: values[feature.spec]
            if feature.statistic is None
            else self._baselines[feature.spec].value(feature.statistic)
            for name, feature in self._features.items()
        }

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back in time: its clock was wrong, and no time of it stays later than `to`.

        A window that has moved past `to` begins anew, so its feature is NaN until known again, as for a new
        instrument; one that has not stays. Baselines keep what they have learnt.

        Parameters
        ----------
        slot
            The slot; room is made for it.
        to
            ns; the slot's rows go on at this time or later.

        Examples
        --------
        >>> features, two_trades = FeatureSet(["silence_s"]), (np.zeros(2, np.int32), np.zeros(2, np.int8))
        >>> def silence(seconds):
        ...     clock = np.array(seconds) * NS_PER_SECOND
        ...     return features.step(Columns(*two_trades, clock, {}, 1))["silence_s"]
        >>> silence([100, 3700])
        array([  nan, 3600.])
        >>> features.rebase(0, 102 * NS_PER_SECOND)
        >>> silence([102, 103])
        array([nan,  1.])
        """
        self.grow(slot + 1)
        self._banks.rebase(slot, to)
        for node in self._nodes.values():
            node.rebase(slot, to)
        self._bank.rebase(slot, to)

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row, to the bit: another instrument takes its place.

        Parameters
        ----------
        slot
            The slot; room is made for it.
        """
        self.grow(slot + 1)
        self._banks.forget(slot)
        for node in self._nodes.values():
            node.forget(slot)
        self._bank.forget(slot)

    def state(self) -> State:
        """An exact copy of the state, by part and array."""
        copies = SharedCopies()
        return {
            f"{name}/{key}": array
            for name, part in self._parts().items()
            for key, array in part.state(copies).items()
        }

    def restore(self, state: State) -> None:
        """Continue from the `state()` of a feature set with the same features.

        Raises
        ------
        StateMismatchError
            When it is the state of other features.
        """
        self._n_slots = 0  # restoring may shrink the arrays, and growing them again may fail
        by_part, parts = _by_part(state), self._parts()
        for name in by_part.keys() - parts.keys():
            raise StateMismatchError(f"{name!r} is not part of these features")
        for name, part in parts.items():
            part.restore(by_part.get(name, {}))

    def restore_known(self, state: State) -> None:
        """Restore the parts that another feature set's `state()` contains; leave the rest as they are."""
        by_part = _by_part(state)
        self._n_slots = 0
        for name, part in self._parts().items():
            if name in by_part:
                part.restore(by_part[name])

    def _parts(self) -> dict[str, Node | Baseline]:
        return {**self._nodes, **self._baselines}


def _by_part(state: State) -> dict[str, State]:
    by_part: dict[str, State] = {}
    for key, array in state.items():
        part, _, name = key.partition("/")
        by_part.setdefault(part, {})[name] = array
    return by_part


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A family of features as listed for users.

    Parameters
    ----------
    stem
        The name without the window.
    doc, unit
        What it is, and its unit.
    fed_by
        Kinds of rows that feed it.
    windowed
        Whether a window must follow the stem.
    """

    stem: str
    doc: str
    unit: Unit
    fed_by: frozenset[int]
    windowed: bool


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every family of features, in the registry's order.

    Examples
    --------
    >>> [entry.stem for entry in catalogue()][:2]
    ['return_bps', 'trade_rate']
    """
    return tuple(
        CatalogueEntry(family.stem, family.doc, family.unit, family.fed_by, family.windowed)
        for family in FAMILIES.values()
    )
