"""The interface of a family of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import Banks, SharedCopies
from detectors.fields import Shape

Unit = Literal["bps", "ratio", "per_second", "seconds", "number"]


class Node(Protocol):
    """A running computation: one value on every row, one state for every slot."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        """The value at each row, float64[n]; timer rows change nothing."""

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns; see `FeatureSet.rebase`."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row; see `FeatureSet.forget`."""

    def state(self, copies: SharedCopies) -> State:
        """An exact copy of the state; `copies` copies arrays that are shared."""

    def restore(self, state: State) -> None:
        """Continue from a copy."""


Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Converts a feature's values row by row, into a new array."""


@dataclass(frozen=True, slots=True)
class Family:
    """Features of one stem: what they measure, and how to compute one for a window.

    Parameters
    ----------
    stem
        The name without its window.
    doc
        One line for people.
    unit, shape
        The unit of its values, and how they behave.
    fed_by
        The kinds of rows whose content can change its value.
    needs
        The event fields it reads.
    build
        Makes the node for a window in ns (0 if `windowed` is false), using banks for what features share.
    windowed
        Whether its name ends in a window.
    version
        Raised whenever the same events would give different values, or the layout of the state changes.
    of, convert
        For a family that converts another one's values over the same window, row by row: that family's stem,
        and the function. Such a family has no state of its own, and `build` is None.
    """

    stem: str
    doc: str
    unit: Unit
    shape: Shape
    fed_by: frozenset[int]
    needs: frozenset[str]
    build: Callable[[int, Banks], Node] | None
    windowed: bool = True
    version: int = 1
    of: str | None = None
    convert: Convert | None = None
