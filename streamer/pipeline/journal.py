"""What a task consumed, in what order: all that is needed to fold it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

EntryKind = Literal["batch", "tick", "gap", "idle", "reload", "promotion", "reset"]


_OF_A_LOG = ("batch", "gap")


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of a task's history.

    Parameters
    ----------
    seq
        Its number in the task's history, from 1.
    kind
        ``batch`` (offsets `first` to `last` of a log), ``tick``, ``gap`` (the log had lost `first` to
        `last`), ``idle`` (a join that waited no longer), or a control input: ``reload``,
        ``promotion``, ``reset``.
    topic, partition, first, last
        Which records, for a batch or a gap; both offsets included.
    tick_number, ts_ns
        The tick's number in its task, and its time.
    data
        A control input's content: a reload's configuration hash.
    """

    seq: int
    kind: EntryKind
    topic: str = ""
    partition: int = -1
    first: int = -1
    last: int = -1
    tick_number: int = -1
    ts_ns: int = 0
    data: str = ""


class Journal:
    """The entries of one task that no commit has written yet.

    Records that follow one another without anything between are one range: how they were
    cut into batches changes nothing, so it is not remembered.

    Examples
    --------
    >>> journal = Journal(0)
    >>> journal.batch("spot", 0, 0, 99); journal.batch("spot", 0, 100, 149); journal.tick(1, 5)
    >>> [(e.seq, e.kind, e.first, e.last) for e in journal.pending]
    [(1, 'batch', 0, 149), (2, 'tick', -1, -1)]
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.pending: list[Entry] = []

    def batch(self, topic: str, partition: int, first: int, last: int) -> None:
        """Records `first` to `last` were consumed."""
        if self.pending:
            before = self.pending[-1]
            if (before.kind, before.topic, before.partition) == ("batch", topic, partition):
                self.pending[-1] = replace(before, last=last)
                return
        self._append(Entry(self.seq + 1, "batch", topic, partition, first, last))

    def tick(self, number: int, ts_ns: int) -> None:
        """A tick was inserted."""
        self._append(Entry(self.seq + 1, "tick", tick_number=number, ts_ns=ts_ns))

    def gap(self, topic: str, partition: int, first: int, last: int) -> None:
        """Records `first` to `last` were gone before they could be consumed."""
        self._append(Entry(self.seq + 1, "gap", topic, partition, first, last))

    def reload(self, config_hash: str) -> None:
        """Another configuration took over."""
        self._append(Entry(self.seq + 1, "reload", data=config_hash))

    def written(self) -> None:
        """A commit holds all of it now."""
        self.pending.clear()

    def _append(self, entry: Entry) -> None:
        self.pending.append(entry)
        self.seq = entry.seq


class Script:
    """A stored journal on its way to be followed to its end."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = deque(entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def head(self) -> Entry:
        """What comes next."""
        return self._entries[0]

    def done(self) -> Entry:
        """Leave the head behind."""
        return self._entries.popleft()

    @property
    def first_wanted(self) -> int | None:
        """The first offset that must be read again, None where no records are wanted."""
        return next((entry.first for entry in self._entries if entry.kind == "batch"), None)

    def reach(self, position: int) -> int:
        """One past the last offset that was consumed or lost, by these entries and the position before them.

        Examples
        --------
        >>> Script([Entry(1, "batch", "spot", 0, 7, 9)]).reach(3), Script().reach(3)
        (10, 3)
        """
        return max([position, *(entry.last + 1 for entry in self._entries if entry.kind in _OF_A_LOG)])
