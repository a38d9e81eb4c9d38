"""The model interface, and the error of a model that cannot be built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.detector_settings import DetectorSettings
from detectors.event_columns import State

WARMING, READY, QUARANTINED = range(3)
STATUS_NAMES = ("warming", "ready", "quarantined")


class ModelError(ValueError):
    """A model cannot be built as configured.

    Parameters
    ----------
    message
        What is wrong, for a person.
    path
        The place in the detector's settings, such as ``("params", "height")``.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class ModelStateError(Exception):
    """A model's state cannot be copied: what it has learnt cannot be pickled.

    Parameters
    ----------
    reason
        Why, for a person.
    detector, version
        Whose model it is; empty where that is not known.
    """

    def __init__(self, reason: str, detector: str = "", version: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detector = detector
        self.version = version


class Model(Protocol):
    """A model for each slot; all slots are stepped together, in arrival order."""

    @property
    def version(self) -> str:
        """Changes whenever the same inputs could give different scores."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(
        self,
        slot: NDArray[np.int32],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        learn: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Score each row by the rows before it, then learn it.

        Parameters
        ----------
        slot
            int32[m].
        x
            float64[m, k], NaN where an input is missing.
        y
            float64[m], the target, NaN where there is none.
        learn
            bool[m]; a row that is not learnt leaves no trace.

        Returns
        -------
        score : float64[m]
            NaN unless the slot is ready.
        status : int8[m]
            The slot's status before the row was learnt, a position in `STATUS_NAMES`.
        """

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns: no time of it stays later, and what was learnt stays."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row, to the bit; a quarantine ends with it."""

    def quarantined(self) -> Mapping[int, str]:
        """The reason for each quarantined slot."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Continue from a copy."""


Factory = Callable[[DetectorSettings], Model]
"""Builds a model from a detector's settings, or raises `ModelError`."""
