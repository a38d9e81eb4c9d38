"""Tells, once an hour at most, of more instruments than places: who gave up one, who was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from streamer.messages.batch import Instrument
from streamer.messages.floods import minute_of
from streamer.messages.notices import InstrumentsFull, Notice
from streamer.pipeline.admission import Admitted, EventPlace
from streamer.pipeline.clock_guard import Eviction

_APART = 60  # minutes of the log's time
_KEPT_MINUTES = 100  # the oldest is dropped first, so that the log's time cannot fill the memory with minutes

_Place = tuple[EventPlace, int, Instrument, Eviction | None]


class PlaceNotices:
    """Counts instruments that gave up their places, and events that were refused.

    Parameters
    ----------
    limit
        How many places there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.forgotten = 0
        """Instruments that gave up their places so far."""
        self.refused = 0
        """Events that were refused so far."""
        self._told: dict[tuple[int, bool], None] = {}
        self._last: dict[bool, int] = {}  # only saves looking at the same minute again

    def tell(self, admitted: Admitted) -> list[tuple[EventPlace, Notice]]:
        """What is to be told of a batch, each with the place of its event."""
        found: list[tuple[EventPlace, Notice]] = []
        for place, now, newcomer, eviction in sorted(_places(admitted), key=lambda each: each[0]):
            self.forgotten += eviction is not None
            self.refused += eviction is None
            minute = minute_of(now)
            if not self._is_first(minute, eviction is not None):
                continue
            notice = InstrumentsFull(
                None if eviction is None else eviction.instrument,
                newcomer,
                0 if eviction is None else eviction.unseen_ns,
                self._limit,
                self.forgotten,
                self.refused,
                minute,
                now,
                place.offset,
                place.index,
                place.source,
            )
            found.append((place, notice))
        return found

    def _is_first(self, minute: int, forgotten: bool) -> bool:
        """Whether nothing was told within the hour, before or after: a log's time may be set back."""
        if self._last.get(forgotten) == minute:
            return False
        self._last[forgotten] = minute
        if any(was == forgotten and abs(minute - told) < _APART for told, was in self._told):
            return False
        if len(self._told) >= _KEPT_MINUTES:
            del self._told[next(iter(self._told))]
            self._last.clear()
        self._told[minute, forgotten] = None
        return True

    def document(self) -> dict[str, Any]:
        """The counts, and the minutes that were told, for a checkpoint."""
        told = [[minute, int(forgotten)] for minute, forgotten in self._told]
        return {"counts": [self.forgotten, self.refused], "told": told}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Continue from what `document` returned."""
        self.forgotten, self.refused = document["counts"]
        self._told = {(int(minute), bool(forgotten)): None for minute, forgotten in document["told"]}
        self._last = {}


def _places(admitted: Admitted) -> Iterator[_Place]:
    for step in admitted.steps:
        if isinstance(step, Eviction):
            yield admitted.event(step), step.now, admitted.instrument(step), step
    for event in admitted.refused:
        yield event.place, event.now, event.instrument, None
