"""Drift: what a series usually is has changed, in its mean or in its distribution."""

from __future__ import annotations

from detectors.drift.drift_bank import Drift, DriftBank, Level
from detectors.drift.monitor import Evidence, Monitor
from detectors.drift.registry import MONITORS

__all__ = ["MONITORS", "Drift", "DriftBank", "Evidence", "Level", "Monitor"]
