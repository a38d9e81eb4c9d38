"""Counts for people."""

from __future__ import annotations


def counted(count: int, what: str) -> str:
    """A count of things that are named in the singular.

    Examples
    --------
    >>> counted(1, "alert"), counted(1_204, "dead letter")
    ('1 alert', '1,204 dead letters')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"
