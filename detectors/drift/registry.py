"""Drift monitors by name. A new one is a new file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from detectors.drift import adwin, psi
from detectors.drift.monitor import Factory

MONITORS: Mapping[str, Factory] = MappingProxyType(
    {
        "mean": adwin.MeanMonitor,
        "distribution": psi.DistributionMonitor,
    }
)
"""Monitors by name; if several detect a drift at once, the first one reports it."""
