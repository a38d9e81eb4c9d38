"""What a task consumed, in what order: all that is needed to fold it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from streamer.messages.journal_entries import JournalEntry, reach


class Journal:
    """The entries of one task that no commit has written yet.

    Records that follow one another without anything between are one range: how they were
    cut into batches changes nothing, so it is not remembered.

    Examples
    --------
    >>> journal = Journal(0)
    >>> journal.batch("spot", 0, 0, 99); journal.batch("spot", 0, 100, 149); journal.timer(1, 5)
    >>> [(e.seq, e.kind, e.first, e.last) for e in journal.pending]
    [(1, 'batch', 0, 149), (2, 'tick', -1, -1)]
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.pending: list[JournalEntry] = []

    def batch(self, topic: str, partition: int, first: int, last: int) -> None:
        """Records `first` to `last` were consumed."""
        if self.pending:
            before = self.pending[-1]
            if (before.kind, before.topic, before.partition) == ("batch", topic, partition):
                self.pending[-1] = replace(before, last=last)
                return
        self._append(JournalEntry(self.seq + 1, "batch", topic, partition, first, last))

    def timer(self, number: int, ts_ns: int) -> None:
        """A timer was inserted."""
        self._append(JournalEntry(self.seq + 1, "tick", timer_number=number, ts_ns=ts_ns))

    def gap(self, topic: str, partition: int, first: int, last: int) -> None:
        """Records `first` to `last` were gone before they could be consumed."""
        self._append(JournalEntry(self.seq + 1, "gap", topic, partition, first, last))

    def reload(self, config_hash: str) -> None:
        """Another configuration took over."""
        self._append(JournalEntry(self.seq + 1, "reload", data=config_hash))

    def written(self) -> None:
        """A commit holds all of it now."""
        self.pending.clear()

    def _append(self, entry: JournalEntry) -> None:
        self.pending.append(entry)
        self.seq = entry.seq


class JournalReplay:
    """A stored journal on its way to be followed to its end."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self._entries = deque(entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def head(self) -> JournalEntry:
        """What comes next."""
        return self._entries[0]

    def done(self) -> JournalEntry:
        """Leave the head behind."""
        return self._entries.popleft()

    @property
    def first_wanted(self) -> int | None:
        """The first offset that must be read again, None where no records are wanted."""
        return next((entry.first for entry in self._entries if entry.kind == "batch"), None)

    def reach(self, position: int) -> int:
        """One past the last offset that these entries, or the position before them, consumed or lost."""
        return reach(self._entries, position)
