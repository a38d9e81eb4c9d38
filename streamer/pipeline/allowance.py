"""How many records a replay may fold now: so many in all, and at the speed at which they were recorded."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND

SLICE_S = 0.05
"""Records that are due within this time are folded together."""

_UNTIMED_MAX = 100  # this many records without a time before the first one are no accident


class Allowance:
    """Lets a replay fold records when they are due, and no more than a limit.

    Parameters
    ----------
    limit
        How many records in all, None for all.
    speed
        Multiple of the recorded speed, None for as fast as possible.
    stopped
        Whether to end.
    clock, sleep
        Monotonic seconds, and what waits for some.

    Examples
    --------
    >>> few = Allowance(limit=3)
    >>> times = np.array([10, 20])
    >>> few.next(times), few.next(times), few.next(times)
    (2, 1, 0)
    """

    def __init__(
        self,
        limit: int | None = None,
        speed: float | None = None,
        *,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._left = limit
        self._speed = speed
        self._stopped = stopped
        self._clock = clock
        self._sleep = sleep
        self._origin: tuple[int, float] | None = None
        self._untimed = 0

    @property
    def paces(self) -> bool:
        """Whether the times of records matter."""
        return self._speed is not None

    @property
    def restricts(self) -> bool:
        """Whether it has a limit or a speed."""
        return self.paces or self._left is not None

    @property
    def stopped(self) -> Callable[[], bool]:
        """Whether to end, as it was given."""
        return self._stopped

    def ended(self) -> bool:
        """Whether nothing may be folded any more: the limit is reached, or it was stopped."""
        return self._left == 0 or self._stopped()

    def next(self, times: NDArray[np.int64]) -> int:
        """How many of the next records may be folded now; waits until the first is due.

        Parameters
        ----------
        times
            int64[n] ns in the order in which they are folded, `NO_TIME` where unknown: such a record goes
            with the one before it. One that is later than a record behind it is due with that.

        Returns
        -------
        int
            0 where the limit is reached, or it was stopped.

        Raises
        ------
        TapewatchError
            When a speed is asked for, and the records have no times.
        """
        count = len(times) if self._left is None else min(len(times), self._left)
        if self._speed is not None and count:
            count = self._due(times[:count], self._speed)
        if self._left is not None:
            self._left -= count
        return count

    def _due(self, times: NDArray[np.int64], speed: float) -> int:
        timed = times != NO_TIME
        if self._origin is None and not self._begin(times, timed):
            return len(times)
        first, started = self._origin or (0, 0.0)
        latest = np.where(timed, times, np.iinfo(np.int64).max)
        latest = np.where(timed, np.minimum.accumulate(latest[::-1])[::-1], NO_TIME)
        while not self._stopped():
            elapsed = self._clock() - started
            early = timed & ((latest - first) / NS_PER_SECOND / speed > elapsed + SLICE_S)
            due = int(early.argmax()) if early.any() else len(times)
            if due:
                return due
            wait = (int(latest[0]) - first) / NS_PER_SECOND / speed - elapsed
            self._sleep(min(wait, SLICE_S))
        return 0

    def _begin(self, times: NDArray[np.int64], timed: NDArray[np.bool_]) -> bool:
        """Start the clock at the first record that has a time; False if there is none yet."""
        first = int(timed.argmax()) if timed.any() else len(times)
        self._untimed += first
        if self._untimed >= _UNTIMED_MAX:
            raise TapewatchError(
                "these records have no times, neither of receipt nor of events, which a speed needs: say how "
                "to read them (format, receive_time), or leave the speed out"
            )
        if first < len(times):
            self._origin = int(times[first]), self._clock()
        return self._origin is not None


UNRESTRICTED = Allowance()
"""All records, as fast as possible."""
