"""The `updates` of a rule: how often an open episode is told again while its condition stays true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from alerts.durations import NS_PER_SECOND
from alerts.for_clause import rule_duration_ns

FIRST_UPDATE_NS = 30 * NS_PER_SECOND
"""When the first update comes: soon, so that the reader sees that the alert was no blip."""

RAREST_UPDATE_NS = 3_600 * NS_PER_SECOND
"""How far apart updates get: a shift is hours long, and nobody should doubt that an old alert still holds."""

OFF, BACKOFF = "off", "backoff"
_HOW = "write 5m for a fixed one, 'off' for no updates, or 'backoff' for 30s, 1m, 2m … 1h"


@dataclass(frozen=True, slots=True)
class Updates:
    """The intervals of updates: the first, doubled after each, up to the longest.

    Parameters
    ----------
    first_ns
        From the alert to its first update (ns); 0 for no updates.
    most_ns
        The longest interval (ns).
    """

    first_ns: int = FIRST_UPDATE_NS
    most_ns: int = RAREST_UPDATE_NS


def parse_updates(text: object) -> Updates:
    """Parse the `updates` of a rule.

    Parameters
    ----------
    text
        ``off``, ``backoff``, a fixed interval, or None for the back-off.

    Raises
    ------
    ValueError
        When it is anything else; the message says how to write it.

    Examples
    --------
    >>> parse_updates("5m") == Updates(first_ns=300 * NS_PER_SECOND, most_ns=300 * NS_PER_SECOND)
    True
    >>> parse_updates("off").first_ns
    0
    >>> parse_updates("never")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: 'never' is no interval: write 5m for a fixed one, 'off' for no updates, or 'backoff' for ...
    """
    if text is None or text == BACKOFF:
        return Updates()
    if text == OFF:
        return Updates(0, 0)
    try:
        every = rule_duration_ns(text)
    except ValueError as error:
        said = repr(text) if isinstance(text, str) else str(text).lower()
        too_long = "too long" in str(error)
        raise ValueError(str(error) if too_long else f"{said} is no interval: {_HOW}") from None
    if every == 0:
        raise ValueError(f"'{text}' would tell every event: {_HOW}")
    return Updates(every, every)


def _check_updates(value: object) -> object:
    parse_updates(value)
    return value


UpdatesText = Annotated[str, BeforeValidator(_check_updates)]
"""A setting with a rule's `updates`, validated but kept as written."""
