"""The instruments that several logs have, as arrays: there may be very many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import Instrument
from streamer.messages.logs import Log
from streamer.pipeline.task import Task

MOST_TOGETHER = 200
"""How many instruments are named at most of logs that have the same ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """The seats of instruments that are in several logs; those of one instrument stand together.

    Parameters
    ----------
    tasks
        Of the logs.
    task
        int64[n], the index of each seat's task.
    slot
        int64[n], its slot there.
    instrument
        int64[n], a number for each instrument, from 0 and rising.
    """

    tasks: Sequence[Task]
    task: NDArray[np.int64]
    slot: NDArray[np.int64]
    instrument: NDArray[np.int64]

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Seats:
        """The seats of these tasks."""
        counts = [len(task.slots) for task in tasks]
        none = np.empty(0, np.int64)
        name = np.concatenate([none, *(task.slots.hashes[: len(task.slots)] for task in tasks)])
        order = np.argsort(name, kind="stable")
        ordered = name[order]
        same = ordered[1:] == ordered[:-1]
        several = (np.append(same, False) | np.append(False, same))[: len(order)]
        seats, begins = order[several], np.append(True, ~same)[: len(order)][several]
        task = np.repeat(np.arange(len(tasks)), counts)[seats]
        slot = np.concatenate([none, *(np.arange(count) for count in counts)])[seats]
        return cls(tasks, task, slot, np.cumsum(begins) - 1)

    def __len__(self) -> int:
        return len(self.task)

    def together(self, wanted: Sequence[bool]) -> tuple[dict[Log, list[Instrument]], bool]:
        """By log, the instruments that another one had at the same time.

        Parameters
        ----------
        wanted
            For each task, whether its instruments are, those of others only with one of them.

        Returns
        -------
        tuple
            The instruments, and whether some were left out since the same logs have very many.
        """
        if not len(self):
            return {}, False
        begins = np.flatnonzero(np.diff(self.instrument, prepend=-1))
        is_wanted = np.logical_or.reduceat(np.array(wanted, np.bool_)[self.task], begins)
        rows = np.flatnonzero(self._overlaps() & is_wanted[self.instrument])
        some, left_out = self._some_of_each(rows)
        found: dict[Log, list[Instrument]] = {}
        for place in np.unique(self.task[some]).tolist():
            task = self.tasks[place]
            slots = self.slot[some[self.task[some] == place]].tolist()
            found[task.log] = [task.slots.instruments[slot] for slot in slots]
        return found, left_out

    def _overlaps(self) -> NDArray[np.bool_]:
        """bool[n]: whether the time in which a seat's instrument was seen overlaps with that of another."""
        since, last = np.empty(len(self), np.int64), np.empty(len(self), np.int64)
        for place, task in enumerate(self.tasks):
            mine = self.task == place
            first_seen, last_seen = task.guard.seen(len(task.slots))
            since[mine], last[mine] = first_seen[self.slot[mine]], last_seen[self.slot[mine]]
        order = np.lexsort((since, self.instrument))
        by, since, last = self.instrument[order], since[order], last[order]
        # the latest end so far of each instrument: one that comes later in the order has a higher number
        ends, rank = np.unique(last, return_inverse=True)
        latest = ends[np.maximum.accumulate(by * len(ends) + rank) % len(ends)]
        same = by[1:] == by[:-1]
        with_earlier = np.append(False, same & (since[1:] <= latest[:-1]))
        with_next = np.append(same & (since[1:] <= last[:-1]), False)
        overlaps = np.empty(len(self), np.bool_)
        overlaps[order] = with_earlier | with_next
        return overlaps

    def _some_of_each(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
        """Of these seats those of some instruments for each set of logs; whether any are left out."""
        if not len(rows):
            return rows, False
        weight = np.random.default_rng(0).integers(1, 1 << 62, len(self.tasks))  # sums tell the sets apart
        begins = np.flatnonzero(np.diff(self.instrument[rows], prepend=-1))
        logs = np.add.reduceat(weight[self.task[rows]], begins)
        order = np.argsort(logs, kind="stable")
        first = np.flatnonzero(np.diff(logs[order], prepend=logs[order[0]] - 1))
        place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
        kept = np.empty(len(order), np.bool_)
        kept[order] = place < MOST_TOGETHER
        sizes = np.diff(np.append(begins, len(rows)))
        return rows[np.repeat(kept, sizes)], not bool(kept.all())
