"""Plays back a source at recorded speed, or a multiple of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk, Partition, Record
from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.source import Assignments, Source

Times = NDArray[np.int64]

_SLICE_S = 0.05  # records due within this time go out together
_UNTIMED_MAX = 100  # this many records without a timestamp before the first one are no accident


class PacedSource:
    """Passes on the records of another source when they are due.

    Parameters
    ----------
    source
        The source of the records.
    speed
        Multiple of the recorded speed, by the records' timestamps; a record without one goes with the one
        before it.
    """

    def __init__(self, source: Source, speed: float) -> None:
        self._source = source
        self._speed = speed
        self._waiting: deque[tuple[Chunk, Times]] = deque()
        self._origin: tuple[int, float] | None = None
        self._untimed = 0

    def open(self, assignments: Assignments) -> None:
        """Open the other source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The records that are due, waiting at most `timeout_s` for some.

        Raises
        ------
        TapewatchError
            When the records have no timestamps.
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
        """As the other source."""
        return self._source.at_end()

    def finished(self) -> frozenset[Partition]:
        """As the other source, once its records have gone out."""
        return self._source.finished() - {chunk.partition for chunk, _ in self._waiting}

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Passed on."""
        self._source.withhold(partitions)

    def exhausted(self) -> bool:
        """True when no record waits and the other source is exhausted."""
        return not self._waiting and self._source.exhausted()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Passed on."""
        self._source.commit(positions)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()

    def _due(self) -> Iterator[Chunk]:
        """The records that are due, in their chunks; a timer goes with the last record before it."""
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
        """How many of the first records are due."""
        timed = times != NO_TIME
        if self._origin is None:
            self._set_origin(times, timed)
        if self._origin is None:
            return len(times)
        first, started = self._origin
        elapsed = time.monotonic() - started
        early = timed & ((times - first) / NS_PER_SECOND / self._speed > elapsed + _SLICE_S)
        return int(early.argmax()) if early.any() else len(times)

    def _set_origin(self, times: Times, timed: NDArray[np.bool_]) -> None:
        """Start the clock at the first record that has a timestamp."""
        first_timed = int(timed.argmax()) if timed.any() else len(times)
        self._untimed += first_timed
        if self._untimed >= _UNTIMED_MAX:
            raise TapewatchError(
                "these records have no timestamps, which a speed needs: set receive_time if the lines begin "
                "with one, or leave the speed out"
            )
        if first_timed < len(times):
            self._origin = int(times[first_timed]), time.monotonic()

    def _due_in(self, times: Times) -> float:
        """Seconds until the first record is due; negative if it is overdue."""
        if self._origin is None or not len(times) or times[0] == NO_TIME:
            return 0.0
        first, started = self._origin
        return (int(times[0]) - first) / NS_PER_SECOND / self._speed - (time.monotonic() - started)


def _times(records: Sequence[Record]) -> Times:
    if isinstance(records, RecordBlock):
        return records.timestamp
    return np.array([record.timestamp for record in records], np.int64)
