"""What a drift monitor is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a monitor says that a series has drifted.

    Parameters
    ----------
    monitor
        Its name.
    statistic, threshold
        What it measured, and beyond which it speaks; None where it does not tell.
    """

    monitor: str
    statistic: float | None = None
    threshold: float | None = None


class Monitor(Protocol):
    """Watches many series of numbers, each against a reference of its own."""

    @property
    def name(self) -> str:
        """What it is called in alerts."""

    @property
    def version(self) -> str:
        """Differs whenever the same values could give other findings."""

    def needs(self, span_s: int) -> int:
        """How many values its reference takes (at most `MOST_VALUES`), where one covers `span_s` seconds."""

    def grow(self, n_series: int) -> None:
        """Make room for `n_series` series, none of which has a reference yet."""

    def start(self, series: int, reference: NDArray[np.float64], scale_floor: float) -> None:
        """Begin anew for one series.

        Parameters
        ----------
        series
            Its number.
        reference
            float64[needs], finite: how the series is when nothing is wrong.
        scale_floor
            The least spread that counts, in the series' unit.
        """

    def feed(self, series: int, value: float) -> Evidence | None:
        """Take the next finite value of a series that has been started; the evidence of a drift, if any."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Go on from a copy."""


MOST_VALUES = 600
"""The longest reference that a monitor may ask for."""

Factory = Callable[[], Monitor]
"""Makes a monitor of no series."""
