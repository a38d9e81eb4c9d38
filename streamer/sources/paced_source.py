"""A source at recorded speed, or a multiple of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk, Partition, Record
from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.source import Assignments, Source

Times = NDArray[np.int64]

_SLICE_S = 0.05  # records that are due within this go out together
_UNPACED = 100  # so many records in a row without a timestamp are no accident


class PacedSource:
    """Lets records of another source through when their time has come.

    Parameters
    ----------
    source
        Where they come from.
    speed
        Times recorded speed, by the records' timestamps; a record without one goes with those before it.
    """

    def __init__(self, source: Source, speed: float) -> None:
        self._source = source
        self._speed = speed
        self._waiting: deque[tuple[Chunk, Times]] = deque()
        self._began: tuple[int, float] | None = None
        self._unpaced = 0

    def open(self, assignments: Assignments) -> None:
        """Open the other source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """What is due by now, waiting at most `timeout_s` for it.

        Raises
        ------
        TapewatchError
            Where the records have no timestamps to go by.
        """
        if not self._waiting:
            self._waiting.extend((chunk, _times(chunk.records)) for chunk in self._source.poll(timeout_s))
        if not self._waiting:
            return ()
        wait = self._due_in(self._waiting[0][1])
        if wait > 0:
            time.sleep(min(wait, timeout_s))
        return list(self._due())

    def at_end(self) -> frozenset[Partition]:
        """As the other source says."""
        return self._source.at_end()

    def exhausted(self) -> bool:
        """True when nothing waits and nothing comes."""
        return not self._waiting and self._source.exhausted()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Passed on."""
        self._source.commit(positions)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()

    def _due(self) -> Iterator[Chunk]:
        """What has come due, by the chunks it arrived in; a timer goes with the last record before it."""
        while self._waiting:
            chunk, times = self._waiting[0]
            count = self._count_due(times)
            if count < len(times):
                if count:
                    yield Chunk(chunk.partition, chunk.records[:count])
                    self._waiting[0] = replace(chunk, records=chunk.records[count:]), times[count:]
                return
            self._waiting.popleft()
            yield chunk

    def _count_due(self, times: Times) -> int:
        """How many of the first records have come due."""
        timed = times != NO_TIME
        if self._began is None:
            self._begin(times, timed)
        if self._began is None:
            return len(times)
        first, began = self._began
        passed = time.monotonic() - began
        early = timed & ((times - first) / NS_PER_SECOND / self._speed > passed + _SLICE_S)
        return int(early.argmax()) if early.any() else len(times)

    def _begin(self, times: Times, timed: NDArray[np.bool_]) -> None:
        """Let the clock run from the first record that has a time."""
        place = int(timed.argmax()) if timed.any() else len(times)
        self._unpaced += place
        if self._unpaced >= _UNPACED:
            raise TapewatchError(
                "these records have no timestamps that a speed could go by: say where their receive time "
                "stands (receive_time), or leave the speed out"
            )
        if place < len(times):
            self._began = int(times[place]), time.monotonic()

    def _due_in(self, times: Times) -> float:
        """Seconds until the first record's time; it may have passed."""
        if self._began is None or not len(times) or times[0] == NO_TIME:
            return 0.0
        first, began = self._began
        return (int(times[0]) - first) / NS_PER_SECOND / self._speed - (time.monotonic() - began)


def _times(records: Sequence[Record]) -> Times:
    if isinstance(records, RecordBlock):
        return records.timestamp
    return np.array([record.timestamp for record in records], np.int64)
