"""How many records a step takes, so that none takes much longer than five seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from streamer.messages.records import Record

STEP_S = 5.0
"""A stop, a reload and the timers of other logs wait for a step; results do not depend on its length."""

_FIRST = 200  # how fast the detectors are is not known yet
_GROWTH = 2  # from a step that took less to the next
_TELLS_S = 0.5  # a shorter step says little about records: a commit and the like take the time


class StepSize:
    """Cuts records into batches of at most `limit`, and of fewer where a step would take too long.

    Parameters
    ----------
    limit
        Records a batch at most.
    clock
        Monotonic seconds.

    Examples
    --------
    >>> seconds = iter([0.0, 10.0, 10.0, 15.0, 15.0, 15.1])
    >>> records = [Record(offset, b"") for offset in range(400)]
    >>> [len(batch) for batch in StepSize(10_000, lambda: next(seconds)).cut(records)]
    [200, 100, 100]
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._size = min(limit, _FIRST)

    @property
    def size(self) -> int:
        """How many records the next step takes at most."""
        return self._size

    def cut(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """The records in batches; the time until the next one is asked for is that of the step."""
        start = 0
        while start < len(records):
            batch = records[start : start + self._size]
            began = self._clock()
            yield batch
            self.took(len(batch), self._clock() - began)
            start += len(batch)

    def took(self, count: int, took_s: float) -> None:
        """Take in how long a step of so many records took, in seconds."""
        size = min(self._size * _GROWTH, self._limit)
        if took_s > _TELLS_S:
            size = min(size, max(int(count * STEP_S / took_s), 1))
        elif count < self._size:
            return
        self._size = size
