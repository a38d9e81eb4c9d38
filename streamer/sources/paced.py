"""A source at recorded speed, or a multiple of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from streamer.errors import TapewatchError
from streamer.events.batch import NO_TIME
from streamer.sources.contract import Assignments, Chunk, Partition, Record, Source

_NS = 1_000_000_000
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
        self._waiting: deque[tuple[Chunk, Record | None]] = deque()
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
            for chunk in self._source.poll(timeout_s):
                self._waiting.extend((chunk, record) for record in chunk.records)
                if chunk.tick is not None:
                    self._waiting.append((chunk, None))
        if not self._waiting:
            return ()
        wait = self._due_in(self._waiting[0][1])
        if wait > 0:
            time.sleep(min(wait, timeout_s))
        return [
            Chunk(chunk.partition, [record for _, record in taken if record is not None], *_tick(taken))
            for chunk, taken in self._due()
        ]

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

    def _due(self) -> Iterator[tuple[Chunk, list[tuple[Chunk, Record | None]]]]:
        """What has come due, by the chunks it arrived in."""
        taken: list[tuple[Chunk, Record | None]] = []
        while self._waiting and self._due_in(self._waiting[0][1]) <= _SLICE_S:
            if taken and taken[-1][0] is not self._waiting[0][0]:
                yield taken[0][0], taken
                taken = []
            taken.append(self._waiting.popleft())
        if taken:
            yield taken[0][0], taken

    def _due_in(self, record: Record | None) -> float:
        if record is None or record.timestamp == NO_TIME:
            self._unpaced += record is not None
            if self._began is None and self._unpaced >= _UNPACED:
                raise TapewatchError(
                    "these records have no timestamps that a speed could go by: say where their receive time "
                    "stands (receive_time), or leave the speed out"
                )
            return 0.0
        now = time.monotonic()
        if self._began is None:
            self._began = (record.timestamp, now)
        first, began = self._began
        return (record.timestamp - first) / _NS / self._speed - (now - began)


def _tick(taken: Sequence[tuple[Chunk, Record | None]]) -> tuple[int | None, int | None]:
    """The tick that follows these records, where its turn has come too."""
    chunk, last = taken[-1]
    return (chunk.tick, chunk.tick_number) if last is None else (None, None)
