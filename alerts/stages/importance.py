"""How important a transition is among all that a receiver is owed: what the order of deliveries follows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from alerts.severity import SEVERITIES, severity_rank

LATE: Final = 100
"""Added to the rank of what is late: all that is live comes first."""

CRITICAL_BEGINNING: Final = 0
RISE_TO_CRITICAL: Final = 1
CRITICALS_SUMMARY: Final = -1
"""The rank of a summary that names criticals: before all else."""
HEARTBEATS: Final = 2
"""The rank of heartbeats: behind criticals only, since one that is missing means that tapewatch is dead."""
SERVICE_NEWS: Final = 12
"""The rank of the other summaries."""
ENDED_LIST: Final = 13
"""The rank of a list of what is over."""
LATE_DIGEST: Final = LATE - 1
"""The rank of a digest of what is late."""

RISE_TO_WARNING: Final = 4

CRITICAL: Final = (CRITICAL_BEGINNING, RISE_TO_CRITICAL)
BEGINNINGS: Final = (3, RISE_TO_WARNING, 5)
"""Ranks of beginnings, and rises, that are not critical."""
ENDS: Final = (6, 7, 8)
UPDATES: Final = (9, 10, 11)

_BEGINNING = {"critical": CRITICAL_BEGINNING, "warning": 3, "info": 5}
_RISE = {"critical": RISE_TO_CRITICAL, "warning": RISE_TO_WARNING}
_RESOLVED = {"critical": 6, "warning": 7, "info": 8}
_UPDATED = {"critical": 9, "warning": 10, "info": 11}


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
    (6, 111)
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


def is_new_critical(rank: int) -> bool:
    """Whether a transition of this rank is the first that its receiver hears of something critical.

    Examples
    --------
    >>> is_new_critical(RISE_TO_CRITICAL), is_new_critical(LATE + CRITICAL_BEGINNING), is_new_critical(9)
    (True, True, False)
    """
    return (rank - LATE if rank >= LATE else rank) in CRITICAL


def counts_as_beginning(transition: str, severity: str, late: bool, waiting: Collection[int]) -> bool:
    """Whether a live update of a critical is the first live news of it: what began late still waits.

    Such an update ranks as a beginning, so that what it waits behind waits for no digest.

    Parameters
    ----------
    transition, severity, late
        As for `importance`.
    waiting
        Ranks of what waits there of its episode.

    Examples
    --------
    >>> counts_as_beginning("updated", "critical", False, [100])
    True
    >>> counts_as_beginning("updated", "critical", False, [3])
    False
    """
    is_news = transition == "updated" and not late and severity_rank(severity) >= severity_rank("critical")
    return is_news and any(rank - LATE in CRITICAL for rank in waiting)
