"""How much an alert matters."""

from __future__ import annotations

from typing import Literal

Severity = Literal["info", "warning", "critical"]
"""The severities by name."""

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""In ascending order; a severity's position here is its code in columns."""


def severity_rank(name: str) -> int:
    """A severity's position in `SEVERITIES`; an unknown name ranks above all of them.

    Examples
    --------
    >>> severity_rank("info") < severity_rank("critical") < severity_rank("enormous")
    True
    """
    return SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES)
