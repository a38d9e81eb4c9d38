"""Drift: a lasting change of a series' mean or distribution."""

from __future__ import annotations

from detectors.drift.drift_bank import Drift, DriftBank, Level
from detectors.drift.monitor import Evidence, Monitor
from detectors.drift.registry import MONITORS

__all__ = ["MONITORS", "Drift", "DriftBank", "Evidence", "Level", "Monitor"]
