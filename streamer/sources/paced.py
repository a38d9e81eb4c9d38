"""A source at recorded speed, or a multiple of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from streamer.events.batch import NO_TIME
from streamer.sources.contract import Assignments, Chunk, Partition, Record, Source

_NS = 1_000_000_000
_SLICE_S = 0.05  # records that are due within this go out together


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
        self._waiting: deque[tuple[Partition, Record | None, Chunk]] = deque()
        self._began: tuple[int, float] | None = None

    def open(self, assignments: Assignments) -> None:
        """Open the other source."""
        self._source.open(assignments)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """What is due by now, waiting at most `timeout_s` for it."""
        if not self._waiting:
            for chunk in self._source.poll(timeout_s):
                self._waiting.extend((chunk.partition, record, chunk) for record in chunk.records)
                if chunk.tick is not None:
                    self._waiting.append((chunk.partition, None, chunk))
        if not self._waiting:
            return ()
        wait = self._due_in(self._waiting[0][1])
        if wait > 0:
            time.sleep(min(wait, timeout_s))
        found: list[Chunk] = []
        while self._waiting and self._due_in(self._waiting[0][1]) <= _SLICE_S:
            partition, record, chunk = self._waiting.popleft()
            found.append(
                Chunk(partition, (), chunk.tick, chunk.tick_number)
                if record is None
                else Chunk(partition, (record,))
            )
        return found

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

    def _due_in(self, record: Record | None) -> float:
        if record is None or record.timestamp == NO_TIME:
            return 0.0
        now = time.monotonic()
        if self._began is None:
            self._began = (record.timestamp, now)
        first, began = self._began
        return (record.timestamp - first) / _NS / self._speed - (now - began)
