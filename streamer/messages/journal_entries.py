"""Journal entries: each is one step of a task's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

EntryKind = Literal["batch", "tick", "gap", "idle", "reload", "promotion", "reset", "quarantine", "lift"]

_COVERS_OFFSETS = ("batch", "gap")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One step of a task's history.

    Parameters
    ----------
    seq
        Its number in the task's history, starting at 1.
    kind
        ``batch`` (offsets `first` to `last` were consumed), ``tick`` (a timer), ``gap`` (the log had lost
        `first` to `last`), ``idle`` (a join stopped waiting for a member), or a control input: ``reload``,
        ``promotion``, ``reset``, ``quarantine``, ``lift``.
    topic, partition, first, last
        The records of a batch or a gap; both offsets are inclusive.
    timer_number, ts_ns
        The timer's number in its task, and its time.
    data
        The content of a control input: for a reload the configuration hash, for a quarantine and its lifting
        a `ControlInput` as JSON.
    """

    seq: int
    kind: EntryKind
    topic: str = ""
    partition: int = -1
    first: int = -1
    last: int = -1
    timer_number: int = -1
    ts_ns: int = 0
    data: str = ""


def reach(entries: Iterable[JournalEntry], position: int) -> int:
    """The offset after the last one consumed or lost, given the position before these entries.

    Examples
    --------
    >>> reach([JournalEntry(1, "batch", "spot", 0, 7, 9)], 3), reach([], 3)
    (10, 3)
    """
    return max([position, *(entry.last + 1 for entry in entries if entry.kind in _COVERS_OFFSETS)])
