"""Calibrators by name: from scores to rarities. A new one is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors.calibration.calibrator import (
    LONGEST_OF_WATCHED,
    LONGEST_S,
    SMALLEST_CHANCE,
    Calibrator,
    Rarity,
)
from detectors.calibration.cascade_calibrator import Cascade

__all__ = [
    "CALIBRATORS",
    "DEFAULT",
    "LONGEST_OF_WATCHED",
    "LONGEST_S",
    "SMALLEST_CHANCE",
    "Calibrator",
    "Rarity",
    "build_calibrator",
]

CALIBRATORS: Mapping[str, Callable[[], Calibrator]] = MappingProxyType({"cascade": Cascade})
"""What makes each of them."""

DEFAULT = "cascade"
"""The one that every detector has."""


def build_calibrator(name: str = DEFAULT) -> Calibrator:
    """A fresh calibrator.

    Raises
    ------
    KeyError
        When there is none of the name.
    """
    return CALIBRATORS[name]()
