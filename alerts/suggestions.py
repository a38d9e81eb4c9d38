"""Suggestions of similar names for error messages: "did you mean ...?"."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

CLOSENESS = 0.6
"""How similar two names must be (difflib's ratio) for one to be suggested for the other."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most similar to `name`; None if none is similar.

    Examples
    --------
    >>> closest("retrun_bps_10s", ["price", "return_bps_10s"])
    'return_bps_10s'
    """
    matches = get_close_matches(name, sorted(set(known)), n=1, cutoff=CLOSENESS)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message that suggests the closest known name; empty if none is similar.

    Examples
    --------
    >>> did_you_mean("critcal", ["info", "warning", "critical"])
    " (did you mean 'critical'?)"
    """
    near = closest(name, known)
    return f" (did you mean '{near}'?)" if near is not None else ""
