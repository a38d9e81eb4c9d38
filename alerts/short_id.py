"""Short ids of alerts, for people: every command that takes an id accepts them."""

from __future__ import annotations

from typing import Final

SHORT_ID_DIGITS: Final = 8
"""Hexadecimal digits shown: few enough to read aloud, and rarely shared by two alerts of one store."""


def short_id(alert_id: str) -> str:
    """The beginning of an alert's id, as messages, logs and tables show it.

    Examples
    --------
    >>> short_id("3f9a0c125de04b77a1c06f2d9be81c44")
    '3f9a0c12'
    """
    return alert_id[:SHORT_ID_DIGITS]
