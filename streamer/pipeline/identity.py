"""Alert ids, derived from the input alone: the same input gives the same id."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from alerts.alert import log_source
from streamer.messages.logs import Log
from streamer.messages.records import Partition

_ID_HEX_DIGITS = 32  # 128 bits: a collision is practically impossible


@dataclass(frozen=True, slots=True)
class EventReference:
    """An event of a log, or a timer.

    Parameters
    ----------
    partition
        The event's partition, or what the timer's log is known by; its incarnation distinguishes a recreated
        topic from its predecessor.
    offset, index
        The record's offset and the event's index in the record; None for a timer.
    timer
        The timer's number in its task; None for an event.
    source
        The place of the event's partition in its log.
    """

    partition: Partition
    offset: int | None = None
    index: int | None = None
    timer: int | None = None
    source: int = 0

    @classmethod
    def of(cls, log: Log, source: int, offset: int, index: int) -> EventReference:
        """An event of a log, by the place of its partition."""
        return cls(log.members[source], offset, index, source=source)

    def document(self, log: Log) -> dict[str, str | int | None]:
        """The `source` of what it causes in a log.

        Examples
        --------
        >>> trades, orders = Partition("trades", "t1", 0), Partition("orders", "t2", 0)
        >>> log = Log.joined(["trades", "orders"], 0, [trades, orders])
        >>> EventReference.of(log, 1, 7, 0).document(log)
        {'topic': 'orders', 'partition': 0, 'offset': 7, 'index': 0}
        >>> EventReference(log.key, timer=3).document(log)
        {'log': 'trades+orders[0]', 'tick': 3}
        """
        if self.offset is None and log.is_joined:
            place: dict[str, str | int | None] = {"log": str(log)}
        else:
            place = log_source(self.partition.topic, self.partition.partition, self.offset, self.index)
        return place if self.timer is None else {**place, "tick": self.timer}


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
