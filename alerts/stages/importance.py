"""How important a transition is among all that a receiver is owed: what the order of deliveries follows."""

from __future__ import annotations

from typing import Final

from alerts.severity import SEVERITIES, severity_rank

LATE: Final = 100
"""Added to the rank of what is late: all that is live comes first."""

CRITICAL_BEGINNING: Final = 0
RISE_TO_CRITICAL: Final = 1
CRITICALS_SUMMARY: Final = -1
"""The rank of a summary that names criticals: before all else."""
SERVICE_NEWS: Final = 11
"""The rank of heartbeats and of the other summaries."""
LATE_DIGEST: Final = LATE - 1
"""The rank of a digest of what is late."""

CRITICAL: Final = (CRITICAL_BEGINNING, RISE_TO_CRITICAL)
BEGINNINGS: Final = (2, 3, 4)
"""Ranks of beginnings, and rises, that are not critical."""
ENDS: Final = (5, 6, 7)
UPDATES: Final = (8, 9, 10)

_BEGINNING = {"critical": CRITICAL_BEGINNING, "warning": 2, "info": 4}
_RISE = {"critical": RISE_TO_CRITICAL, "warning": 3}
_RESOLVED = {"critical": 5, "warning": 6, "info": 7}
_UPDATED = {"critical": 8, "warning": 9, "info": 10}


def importance(transition: str, severity: str, told_severity: str | None, late: bool) -> int:
    """The rank of a transition at a receiver; the least is sent first.

    Beginnings come before resolves, and those before updates; critical before warning before info. A rise of
    severity comes right after the beginnings of the severity that it rises to. All that is late comes after
    all that is live.

    Parameters
    ----------
    transition
        ``fired``, ``updated`` or ``resolved``.
    severity
        As in the body; an unknown one counts as critical.
    told_severity
        The highest severity of the episode's earlier transitions that the receiver was or will be told of;
        None before the first, which makes an update a beginning.
    late
        Whether its record was far behind its log when it was fetched.

    Examples
    --------
    >>> importance("fired", "critical", None, False), importance("updated", "critical", "warning", False)
    (0, 1)
    >>> importance("resolved", "critical", "critical", False), importance("updated", "info", "warning", True)
    (5, 110)
    >>> importance("updated", "warning", None, False) == importance("fired", "warning", None, False)
    True
    """
    known = severity if severity in SEVERITIES else SEVERITIES[-1]
    behind = LATE if late else 0
    if transition == "resolved":
        return behind + _RESOLVED[known]
    if transition == "fired" or told_severity is None:
        return behind + _BEGINNING[known]
    if severity_rank(known) > severity_rank(told_severity):
        return behind + _RISE[known]
    return behind + _UPDATED[known]
