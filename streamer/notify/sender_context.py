"""What the senders of a service share."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.clock import Clock
from streamer.notify.clock_watch import ClockWatch
from streamer.notify.delivery_watch import DeliveryWatch, unwatched
from streamer.notify.parked_notes import ParkedNotes
from streamer.notify.retry_pace import RetryPace
from streamer.store.database import Database


@dataclass(frozen=True, slots=True)
class SenderContext:
    """What all senders share.

    Parameters
    ----------
    database
        The open store.
    clock
        Wall-clock time.
    pace
        When to try again.
    watch
        Told what becomes of deliveries.
    """

    database: Database
    clock: Clock
    pace: RetryPace = field(default_factory=RetryPace)
    watch: DeliveryWatch = unwatched
    time: ClockWatch = field(init=False)
    """Wall-clock time, by which waits in the store are right however the clock is set."""
    parked: ParkedNotes = field(init=False)
    """What is parked, for the messages that do get through."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", ClockWatch(self.database, self.clock))
        object.__setattr__(self, "parked", ParkedNotes(self.database))
