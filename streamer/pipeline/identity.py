"""Alert ids, derived from the input alone: the same input gives the same id."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from streamer.messages.records import Partition

_ID_HEX_DIGITS = 32  # 128 bits: a collision is practically impossible


@dataclass(frozen=True, slots=True)
class EventReference:
    """An event of a log, or a timer.

    Parameters
    ----------
    partition
        The log; its incarnation distinguishes a recreated topic from its predecessor.
    offset, index
        The record's offset and the event's index in the record; None for a timer.
    timer
        The timer's number in its task; None for an event.
    """

    partition: Partition
    offset: int | None = None
    index: int | None = None
    timer: int | None = None


def alert_id(
    rule: str, version: str, subject: tuple[str, ...], detector: str | None, event: EventReference
) -> str:
    """The id of the episode that an event or a timer fired.

    Parameters
    ----------
    rule, version
        The rule's name and version hash.
    subject
        What the alert is about: venue and symbol.
    detector
        The first detector that the rule names, None if it names none.
    event
        What fired it.

    Examples
    --------
    >>> log = Partition("spot.trades", "t1", 0)
    >>> first, second = EventReference(log, 7, 0), EventReference(log, 8, 0)
    >>> a = alert_id("fat_finger", "v1", ("binance", "BTCUSDT"), None, first)
    >>> a == alert_id("fat_finger", "v1", ("binance", "BTCUSDT"), None, second)
    False
    >>> len(a)
    32
    """
    place = [*event.partition, event.offset, event.index, event.timer]
    text = json.dumps([rule, version, subject, detector, *place])
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_HEX_DIGITS]
