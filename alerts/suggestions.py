"""Did you mean …?"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

CLOSENESS = 0.6
"""How alike two names must be (difflib's ratio) for one to be suggested for the other."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, None where none is like it.

    Examples
    --------
    >>> closest("retrun_bps_10s", ["price", "return_bps_10s"])
    'return_bps_10s'
    """
    found = get_close_matches(name, sorted(set(known)), n=1, cutoff=CLOSENESS)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message that suggests the closest known name; empty where none is like it.

    Examples
    --------
    >>> did_you_mean("critcal", ["info", "warning", "critical"])
    " (did you mean 'critical'?)"
    """
    near = closest(name, known)
    return f" (did you mean '{near}'?)" if near is not None else ""
