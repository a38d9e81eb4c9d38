"""The features that a plan asks for, computed together batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import Columns, State
from detectors.features.baselines import Baseline, Baselines
from detectors.features.family import Convert, Family, Node, Unit
from detectors.features.feature_rows import NS, FeatureRows
from detectors.features.names import Feature, parse_feature
from detectors.features.registry import FAMILIES
from detectors.features.series_banks import Banks, Copies
from detectors.fields import FIELDS, Shape
from detectors.slot_arrays import StateMismatchError


@dataclass(frozen=True, slots=True)
class _Of:
    """A baseline, and the node (by its spec) that it is of, None for a field's."""

    baseline: Baseline
    node: str | None


class FeatureSet:
    """Exactly the features that were asked for, of every instrument of a task.

    What two features have in common (the same window under two names, the mean and the z of one
    base) is computed once.

    Parameters
    ----------
    names
        Feature names; see `parse_feature`.

    Raises
    ------
    UnknownFeatureError
        When a name is not a feature's.

    Examples
    --------
    >>> features = FeatureSet(["return_bps_10s", "size_mean_1h"])
    >>> sorted(features.needs)
    ['price', 'size']
    >>> features.unit("return_bps_10s")
    'bps'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._features = {name: parse_feature(name) for name in names}
        self._banks = Banks()
        self._nodes: dict[str, Node] = {}
        self._converted: dict[str, tuple[str, Convert]] = {}
        self._bank = Baselines()
        self._baselines: dict[str, _Of] = {}
        self._observed: list[tuple[bool, str]] = []  # what baselines are of: is it a field, its name or spec
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
            self._baselines[feature.spec].baseline.ask(feature.statistic)

    def _baseline(self, feature: Feature) -> _Of:
        field = feature.base if isinstance(feature.base, str) else None
        node = feature.base.spec if isinstance(feature.base, Feature) else None
        observed = field is not None, field or node or ""
        if observed not in self._observed:
            self._observed.append(observed)
        by_kind = field is not None and len(FIELDS[field].kinds) > 1
        x = self._observed.index(observed)
        return _Of(self._bank.add(feature.horizon_ns, feature.fed_by, x, by_kind=by_kind), node)

    def _add_node(self, feature: Feature, family: Family) -> None:
        if family.of is not None and family.convert is not None:
            source = parse_feature(f"{family.of}_{feature.window_ns // NS}s")
            self._add(source)
            self._converted[feature.spec] = (source.spec, family.convert)
        elif family.build is not None and feature.spec not in self._nodes:
            self._nodes[feature.spec] = family.build(feature.window_ns, self._banks)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that were asked for, each once, in order."""
        return tuple(self._features)

    @property
    def needs(self) -> frozenset[str]:
        """Every numeric event field that is read."""
        return frozenset().union(*(feature.needs for feature in self._features.values()))

    def fed_by(self, name: str) -> frozenset[int]:
        """The kinds of rows that feed a feature."""
        return self._features[name].fed_by

    def unit(self, name: str) -> Unit:
        """What a feature is measured in."""
        return self._features[name].unit

    def shape(self, name: str) -> Shape:
        """How a feature's values behave."""
        return self._features[name].shape

    def spec(self, name: str) -> str:
        """What a feature computes, in words that differ whenever its values could.

        State may go from one feature set to another wherever this is the same.
        """
        return self._features[name].spec

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
        """Every feature as of every row.

        Parameters
        ----------
        columns
            The batch; room is made for its `n_slots`.

        Returns
        -------
        dict
            float64[n] by name, NaN until known. `TIMER` rows see the value at their time and
            change nothing.
        """
        self.grow(columns.n_slots)
        rows = FeatureRows(columns)
        self._banks.step(rows)
        found = {spec: node.step(rows) for spec, node in self._nodes.items()}
        found |= {spec: convert(found[source]) for spec, (source, convert) in self._converted.items()}
        x = np.empty((len(self._observed), len(rows)))
        for number, (is_field, name) in enumerate(self._observed):
            x[number] = rows.column(name) if is_field else found[name]
        self._bank.step(rows, x)
        return {
            name: found[feature.spec]
            if feature.statistic is None
            else self._baselines[feature.spec].baseline.value(feature.statistic)
            for name, feature in self._features.items()
        }

    def state(self) -> State:
        """An exact copy of everything kept, by part and array."""
        return _state(self._parts())

    def restore(self, state: State) -> None:
        """Go on from what `state()` of an equal feature set gave.

        Raises
        ------
        StateMismatchError
            When it is the state of other features.
        """
        self._n_slots = 0  # there may be no memory for as many as before
        self._restore(state, self._parts())

    def restore_known(self, state: State) -> None:
        """Give every part what `state()` of another feature set has of it; the rest is left as it is."""
        by_part = _by_part(state)
        self._n_slots = 0
        for part, kept in self._parts().items():
            if part in by_part:
                kept.restore(by_part[part])

    def state_of(self, name: str) -> State:
        """An exact copy of what one feature rests on."""
        return _state(self._parts_of(name))

    def restore_of(self, name: str, state: State) -> None:
        """Give one feature what `state_of` of a feature of the same spec gave.

        Raises
        ------
        StateMismatchError
            When it is the state of another feature.
        """
        self._n_slots = 0
        self._restore(state, self._parts_of(name))

    def _parts(self) -> dict[str, Node | Baseline]:
        return {**self._nodes, **{spec: of.baseline for spec, of in self._baselines.items()}}

    def _parts_of(self, name: str) -> dict[str, Node | Baseline]:
        feature = self._features[name]
        if feature.family is not None:
            return self._node_of(feature.spec)
        of = self._baselines[feature.spec]
        return {feature.spec: of.baseline, **(self._node_of(of.node) if of.node is not None else {})}

    def _node_of(self, spec: str) -> dict[str, Node | Baseline]:
        source, _ = self._converted.get(spec, (spec, None))
        return {source: self._nodes[source]}

    @staticmethod
    def _restore(state: State, parts: dict[str, Node | Baseline]) -> None:
        by_part = _by_part(state)
        for part in by_part.keys() - parts.keys():
            raise StateMismatchError(f"{part!r} is no part of these features")
        for part, kept in parts.items():
            kept.restore(by_part.get(part, {}))


def _state(parts: Mapping[str, Node | Baseline]) -> State:
    copies = Copies()
    return {f"{part}/{name}": a for part, kept in parts.items() for name, a in kept.state(copies).items()}


def _by_part(state: State) -> dict[str, State]:
    found: dict[str, State] = {}
    for key, array in state.items():
        part, _, name = key.partition("/")
        found.setdefault(part, {})[name] = array
    return found


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A feature as it is listed for people.

    Parameters
    ----------
    stem
        Its name without the window.
    doc, unit
        What it is, and what it is measured in.
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
