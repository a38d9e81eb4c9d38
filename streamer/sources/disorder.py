"""Where a file or partition goes back in time: what it is merged by then is its newest time so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.durations import lasting
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND

_MINUTE_S = 60


@dataclass(slots=True)
class Disorder:
    """How far a sequence of records is from being sorted by time.

    Parameters
    ----------
    first
        The offset of the first record behind one before it, None if there is none.
    count
        How many are behind.
    most_ns
        By how much at most.

    Examples
    --------
    >>> disorder = Disorder()
    >>> disorder.follow(np.array([7, 8, 9]), np.array([3_000_000_000, 1_000_000_000, 3_000_000_000]))
    >>> disorder.first, disorder.count, disorder.told("day.jsonl:9")
    (8, 1, 'day.jsonl:9: its time is before that of a line above it (by 2 s)')
    """

    first: int | None = None
    count: int = 0
    most_ns: int = 0
    first_ns: int = 0
    _newest: int = int(NO_TIME)

    @property
    def began(self) -> bool:
        """Whether there was any time to follow."""
        return self._newest != NO_TIME

    def follow(self, offset: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Add the next times of the sequence, each compared with the newest before it.

        Parameters
        ----------
        offset
            int64[n], the records' offsets.
        times
            int64[n] ns.
        """
        if len(times):
            newest = np.maximum.accumulate(np.maximum(times, self._newest))
            self._newest = int(newest[-1])
            self.note(offset, newest - times)

    def note(self, offset: NDArray[np.int64], behind: NDArray[np.int64]) -> None:
        """Add records, or events of records.

        Parameters
        ----------
        offset
            int64[n], the records' offsets.
        behind
            int64[n] ns, how far each is behind the newest before it; 0 or less for not at all.
        """
        rows = np.flatnonzero(behind > 0)
        if not len(rows):
            return
        if self.first is None:
            self.first, self.first_ns = int(offset[rows[0]]), int(behind[rows[0]])
        self.count += len(rows)
        self.most_ns = max(self.most_ns, int(behind.max()))

    def told(self, place: str) -> str:
        """What to tell people, given where the first of them is."""
        by = f"by {_seconds(self.first_ns)}"
        if self.count > 1:
            by += f"; {self.count:,} lines of it are, by {_seconds(self.most_ns)} at most"
        return f"{place}: its time is before that of a line above it ({by})"


def _seconds(ns: int) -> str:
    seconds = ns / NS_PER_SECOND
    return f"{seconds:.3g} s" if seconds < _MINUTE_S else lasting(seconds)
