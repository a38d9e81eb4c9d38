"""The entries of a journal: one step each of a task's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

EntryKind = Literal["batch", "tick", "gap", "idle", "reload", "promotion", "reset"]


_OF_A_LOG = ("batch", "gap")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One step of a task's history.

    Parameters
    ----------
    seq
        Its number in the task's history, from 1.
    kind
        ``batch`` (offsets `first` to `last` of a log), ``tick`` (a timer), ``gap`` (the log had
        lost `first` to `last`), ``idle`` (a join that waited no longer), or a control input: ``reload``,
        ``promotion``, ``reset``.
    topic, partition, first, last
        Which records, for a batch or a gap; both offsets included.
    timer_number, ts_ns
        The timer's number in its task, and its time.
    data
        A control input's content: a reload's configuration hash.
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
    """One past the last offset that was consumed or lost, by these entries and the position before them.

    Examples
    --------
    >>> reach([JournalEntry(1, "batch", "spot", 0, 7, 9)], 3), reach([], 3)
    (10, 3)
    """
    return max([position, *(entry.last + 1 for entry in entries if entry.kind in _OF_A_LOG)])
