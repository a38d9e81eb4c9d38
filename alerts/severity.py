"""How much an alert matters."""

from __future__ import annotations

from typing import Literal

Severity = Literal["info", "warning", "critical"]
"""The severities by name."""

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least to the most; a severity's place here is its code in columns."""


def severity_rank(name: str) -> int:
    """A severity's place among them; what is none of them counts as more than the most.

    Examples
    --------
    >>> severity_rank("info") < severity_rank("critical") < severity_rank("enormous")
    True
    """
    return SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES)
