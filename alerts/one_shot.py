"""Alerts that fire once and are never resolved."""

from __future__ import annotations

from typing import Final

DRIFT: Final = "drift"
"""The rule name of drift alerts, reserved for them: what has drifted stays so, or drifts again."""
