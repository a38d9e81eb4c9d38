"""Calibrators by name: they turn scores into rarities. A new one is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors.calibration.calibrator import (
    LONGEST_OF_WATCHED,
    LONGEST_S,
    SMALLEST_PROBABILITY,
    Calibrator,
    Rarity,
)
from detectors.calibration.cascade_calibrator import Cascade

__all__ = [
    "CALIBRATORS",
    "DEFAULT",
    "LONGEST_OF_WATCHED",
    "LONGEST_S",
    "SMALLEST_PROBABILITY",
    "Calibrator",
    "Rarity",
    "build_calibrator",
]

CALIBRATORS: Mapping[str, Callable[[], Calibrator]] = MappingProxyType({"cascade": Cascade})
"""A factory for each calibrator."""

DEFAULT = "cascade"
"""The calibrator that every detector uses."""


def build_calibrator(name: str = DEFAULT) -> Calibrator:
    """A new calibrator without state.

    Raises
    ------
    KeyError
        When no calibrator has this name.
    """
    return CALIBRATORS[name]()
