"""Tells that clocks were set back: one by one, and beyond a few in a minute only that there are more."""

from __future__ import annotations

from streamer.messages.floods import minute_of
from streamer.messages.notices import ClockSetBack, MoreClocksSetBack, Notice
from streamer.pipeline.admission import Admitted, EventPlace
from streamer.pipeline.clock_guard import NO_SLOT, Eviction

PER_MINUTE = 10
"""Told one by one in a minute, enough to recognise a producer by its instruments."""

_KEPT_MINUTES = 100  # the oldest is dropped first; so bounded, a feed cannot fill the memory with minutes


class ClockNotices:
    """Counts clocks that were set back by the minute that they are set back to.

    That is the minute in which it happens: before, the log's time may be that of the lie, each lie's another.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def tell(self, admitted: Admitted) -> list[tuple[EventPlace, Notice]]:
        """What is to be told of a batch's clocks, each with the place of its event."""
        found: list[tuple[EventPlace, Notice]] = []
        for step in admitted.steps:
            if isinstance(step, Eviction) or step.slot == NO_SLOT:
                continue
            place = admitted.event(step)
            minute = minute_of(step.to)
            count = self._count(minute)
            if count <= PER_MINUTE:
                event = place.offset, place.index, place.source
                found.append((place, ClockSetBack(admitted.instrument(step), step.before, step.to, *event)))
            elif count == PER_MINUTE + 1:
                found.append((place, MoreClocksSetBack(minute, place.offset, step.to, place.source)))
        if admitted.far_off is not None:
            found.append(admitted.far_off)
        return found

    def _count(self, minute: int) -> int:
        if minute not in self._counts and len(self._counts) >= _KEPT_MINUTES:
            del self._counts[next(iter(self._counts))]
        self._counts[minute] = self._counts.get(minute, 0) + 1
        return self._counts[minute]

    def document(self) -> list[list[int]]:
        """The counts, for a checkpoint."""
        return [[minute, count] for minute, count in self._counts.items()]

    def restore(self, rows: list[list[int]]) -> None:
        """Continue from what `document` returned."""
        self._counts = {int(minute): int(count) for minute, count in rows}
