"""The drift monitor interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a monitor reports that a series has drifted.

    Parameters
    ----------
    monitor
        The monitor's name.
    statistic, threshold
        What it measured, and the threshold it exceeded; None for a monitor without them.
    """

    monitor: str
    statistic: float | None = None
    threshold: float | None = None


class Monitor(Protocol):
    """Watches many series of numbers, each against a reference of its own."""

    @property
    def name(self) -> str:
        """Its name in alerts."""

    @property
    def version(self) -> str:
        """Changes whenever the same values could give different drifts."""

    def needs(self, span_s: int) -> int:
        """Values in its reference, at most `MOST_VALUES`, if one covers `span_s` seconds."""

    def grow(self, n_series: int) -> None:
        """Make room for `n_series` series; new ones have no reference yet."""

    def start(self, series: int, reference: NDArray[np.float64], scale_floor: float) -> None:
        """Start one series with a new reference.

        Parameters
        ----------
        series
            The series' number.
        reference
            float64[needs], finite: the series' usual values.
        scale_floor
            A lower limit of the reference's spread, in the series' unit.
        """

    def feed(self, series: int, value: float) -> Evidence | None:
        """Take the next finite value of a started series; returns the evidence of a drift, if any."""

    def forget(self, series: int) -> None:
        """Make one series as it was before `start`, to the bit."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Continue from a copy."""


MOST_VALUES = 600
"""The largest reference that a monitor may need."""

Factory = Callable[[], Monitor]
"""Makes a monitor without series."""
