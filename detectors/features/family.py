"""What a family of features is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import Banks, Copies
from detectors.fields import Shape

Unit = Literal["bps", "ratio", "per_second", "seconds", "number"]


class Node(Protocol):
    """A running computation: one value on every row, one state for every slot."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        """The value as of each row, float64[n]; `TIMER` rows change nothing."""

    def state(self, copies: Copies) -> State:
        """An exact copy of the state, of arrays that `copies` copies."""

    def restore(self, state: State) -> None:
        """Go on from a copy."""


Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Makes other values of a feature's, row by row; what it is given it leaves as it is."""


@dataclass(frozen=True, slots=True)
class Family:
    """A feature by its stem: what it measures, and how to compute it for one window.

    Parameters
    ----------
    stem
        The name without its window.
    doc
        One line for people.
    unit, shape
        What its values are measured in, and how they behave.
    fed_by
        The kinds of rows on which its value can change by what the row says.
    needs
        The event fields it reads.
    build
        Makes the node for a window in ns (0 where `windowed` is false); what it shares with others is
        among the banks.
    windowed
        Whether its name ends in a window.
    version
        Goes up whenever the same events would give other values, or a state looks otherwise.
    of, convert
        For what is made, row by row, of another family's values over the same window: its stem, and
        the function. Such a family has no state of its own, and `build` is None.
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
