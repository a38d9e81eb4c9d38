"""Who an alert is: an id that the same input always derives again."""

from __future__ import annotations

import hashlib
import json

from streamer.messages.records import Partition

_ID_HEX_DIGITS = 32  # 128 bits: no collision to be expected in any number of alerts a person could read


def alert_id(
    rule: str,
    version: str,
    subject: tuple[str, ...],
    detector: str | None,
    partition: Partition,
    offset: int | None,
    index: int | None,
    timer: int | None,
) -> str:
    """The id of the episode that one event, or one timer, fired.

    Parameters
    ----------
    rule, version
        The rule's name and the hash of what it says.
    subject
        What the alert is about: venue and symbol.
    detector
        The detector the rule names first, None where it names none.
    partition
        The log the event came from; its incarnation keeps a recreated topic's alerts apart.
    offset, index
        Where in the log, and which event of that record; None for a timer.
    timer
        The timer's number in its task; None for an event.

    Examples
    --------
    >>> log = Partition("spot.trades", "t1", 0)
    >>> a = alert_id("fat_finger", "v1", ("binance", "BTCUSDT"), None, log, 7, 0, None)
    >>> a == alert_id("fat_finger", "v1", ("binance", "BTCUSDT"), None, log, 8, 0, None)
    False
    >>> len(a)
    32
    """
    text = json.dumps([rule, version, subject, detector, *partition, offset, index, timer])
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_HEX_DIGITS]
