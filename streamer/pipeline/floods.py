"""Counts dead letters by reason and minute, so that a flood is stored as one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from streamer.messages.batch import DeadLetter
from streamer.messages.floods import Flood, minute_of

_KEPT_MINUTES = 1_000  # (reason, minute) pairs remembered; the oldest is dropped first


class FloodGate:
    """Keeps the first dead letters of each reason and minute, and counts the rest.

    Parameters
    ----------
    limit
        Dead letters of one reason and minute that are kept individually.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counts: dict[tuple[str, int], int] = {}
        self._floods: dict[tuple[str, int], Flood] = {}

    def sort(
        self, dead: Iterable[tuple[int, DeadLetter]], log_time: Callable[[int], int]
    ) -> tuple[tuple[DeadLetter, ...], tuple[Flood, ...]]:
        """Split dead letters into those to keep, in log order, and the floods that count the rest.

        Parameters
        ----------
        dead
            The dead letters, in any order, each with what orders its record (`Decoded.row_order`).
        log_time
            Returns, by that, the log's time before the record, ns: its minute is the dead letters'.
        """
        kept: list[DeadLetter] = []
        updated: dict[tuple[str, int, int, int], Flood] = {}
        for order, letter in sorted(dead, key=lambda each: (each[0], each[1].index)):
            key = (letter.reason, minute_of(log_time(order)))
            count = self._count(key)
            if count <= self.limit:
                kept.append(replace(letter, minute=key[1]))
                continue
            flood = self._floods.get(key)
            if flood is None:
                first = letter.offset, letter.offset, 0, letter.source
                flood = Flood(*key, *first)
            last = letter.offset, letter.source
            flood = replace(flood, last_offset=last[0], last_source=last[1], count=flood.count + 1)
            self._floods[key] = flood
            updated[flood.reason, flood.minute, flood.first_source, flood.first_offset] = flood
        return tuple(kept), tuple(updated.values())

    def _count(self, key: tuple[str, int]) -> int:
        if key not in self._counts and len(self._counts) >= _KEPT_MINUTES:
            oldest = next(iter(self._counts))
            del self._counts[oldest]
            self._floods.pop(oldest, None)
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]

    def document(self) -> list[list[str | int]]:
        """The counts and floods, for a checkpoint."""
        rows: list[list[str | int]] = []
        for (reason, minute), count in self._counts.items():
            flood = self._floods.get((reason, minute))
            tail: list[str | int] = []
            if flood is not None:
                tail = [flood.first_offset, flood.last_offset, flood.count]
                tail += [flood.first_source, flood.last_source]
            rows.append([reason, minute, count, *tail])
        return rows

    def restore(self, rows: Sequence[Sequence[str | int]]) -> None:
        """Continue from what `document` returned."""
        self._counts.clear()
        self._floods.clear()
        for reason, minute, count, *tail in rows:
            key = (str(reason), int(minute))
            self._counts[key] = int(count)
            if tail:
                first, last, flooded, *sources = (int(part) for part in tail)
                self._floods[key] = Flood(*key, first, last, flooded, *sources)  # fold 6 knew no sources
