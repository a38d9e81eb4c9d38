"""Alerts that are told once: they fire, and nothing ever resolves them."""

from __future__ import annotations

from typing import Final

DRIFT: Final = "drift"
"""The rule name of drifts, and of no rule of anybody's own: what has drifted stays so, or drifts again."""
