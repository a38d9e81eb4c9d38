"""How much an alert matters."""

from __future__ import annotations

from typing import Literal

Severity = Literal["info", "warning", "critical"]
"""The severities by name."""

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least to the most; a severity's place here is its code in columns."""
