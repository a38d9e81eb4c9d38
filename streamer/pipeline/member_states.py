"""What the merge of a joined log keeps of its members; it is part of the task's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from streamer.messages.batch import Batch
from streamer.messages.records import NO_TIME
from streamer.pipeline.clock_guard import ClockGuard
from streamer.pipeline.instrument_slots import Slots

_NO_TIME = int(NO_TIME)


class MemberClock:
    """The guarded watermark of one member's events, by which it is merged while no record had a time.

    Parameters
    ----------
    max_ahead_ns, max_instruments
        As of the task.
    """

    def __init__(self, max_ahead_ns: int, max_instruments: int) -> None:
        self._limits = max_ahead_ns, max_instruments
        self._guard = ClockGuard(max_ahead_ns)
        self._slots = Slots(max_instruments)

    def fold(self, batch: Batch, digits: NDArray[np.int8]) -> NDArray[np.int64]:
        """The watermark after each row, int64[n] ns."""
        now = self._guard.fold(batch, self._slots, digits, 0).now
        self._guard.grow(len(self._slots))
        return now

    @property
    def watermark(self) -> int:
        """The watermark now, ns; `NO_TIME` before any event."""
        return self._guard.watermark

    def copy(self) -> MemberClock:
        """Another one that goes on from here."""
        copy = MemberClock(*self._limits)
        copy.restore(self.document(), {name: array.copy() for name, array in self.state().items()})
        return copy

    def document(self) -> dict[str, Any]:
        """What is kept of the log, as JSON values."""
        return {"guard": self._guard.document(), "instruments": self._slots.instruments.copy()}

    def state(self) -> State:
        """What is kept of the instruments."""
        return self._guard.state()

    def restore(self, document: Mapping[str, Any], state: State) -> None:
        """Continue from a copy."""
        self._slots.restore([(venue, symbol) for venue, symbol in document["instruments"]])
        self._guard.grow(len(self._slots))
        self._guard.restore(document["guard"], state)


class MemberStates:
    """How far the merge has come, by member.

    Parameters
    ----------
    count
        How many members there are.
    max_ahead_ns, max_instruments
        As of the task.
    """

    def __init__(self, count: int, max_ahead_ns: int, max_instruments: int) -> None:
        self._limits = max_ahead_ns, max_instruments
        self.highest = [_NO_TIME] * count
        """The highest record time so far, ns; `NO_TIME` as long as no record had one."""
        self.idle = [False] * count
        """Whether the others go on without it, until it brings something."""
        self.late = [0] * count
        """How many of its records came after later ones of others had been folded."""
        self.newest = _NO_TIME
        """The highest time that any record was merged by, ns."""
        self.clocks = [MemberClock(*self._limits) for _ in range(count)]
        """Those of members without record times; the others' are not used."""

    def document(self) -> dict[str, Any]:
        """The small parts, for a checkpoint."""
        return {
            "highest": self.highest.copy(),
            "idle": self.idle.copy(),
            "late": self.late.copy(),
            "newest": self.newest,
            "clocks": [clock.document() if self._untimed(place) else None for place, clock in self._each()],
        }

    def state(self) -> dict[str, State]:
        """What is kept of instruments of members without record times, by part."""
        return {_part(place): clock.state() for place, clock in self._each() if self._untimed(place)}

    def restore(self, document: Mapping[str, Any], parts: Mapping[str, State]) -> None:
        """Continue from a copy; members that have come since begin as new."""
        for name in ("highest", "idle", "late"):
            kept = document[name]
            getattr(self, name)[: len(kept)] = kept
        self.newest = int(document["newest"])
        for place, clock in enumerate(document["clocks"]):
            if clock is not None:
                self.clocks[place].restore(clock, parts[_part(place)])

    def _each(self) -> enumerate[MemberClock]:
        return enumerate(self.clocks)

    def _untimed(self, place: int) -> bool:
        return self.highest[place] == _NO_TIME


def _part(place: int) -> str:
    return f"member:{place}"
