"""What a task consumed and in which order, so that it can be folded again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import JournalEntry, reach


class Journal:
    """The journal entries of one task that have not been committed yet.

    Consecutive batches become one range: batch boundaries do not affect results, so they are not kept.

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
        """Append that records `first` to `last` were consumed."""
        if self.pending:
            previous = self.pending[-1]
            if (previous.kind, previous.topic, previous.partition) == ("batch", topic, partition):
                self.pending[-1] = replace(previous, last=last)
                return
        self._append(JournalEntry(self.seq + 1, "batch", topic, partition, first, last))

    def timer(self, number: int, ts_ns: int) -> None:
        """Append a timer."""
        self._append(JournalEntry(self.seq + 1, "tick", timer_number=number, ts_ns=ts_ns))

    def gap(self, topic: str, partition: int, first: int, last: int) -> None:
        """Append that records `first` to `last` were deleted from the log before they were consumed."""
        self._append(JournalEntry(self.seq + 1, "gap", topic, partition, first, last))

    def reload(self, config_hash: str) -> None:
        """Append a change of configuration."""
        self._append(JournalEntry(self.seq + 1, "reload", data=config_hash))

    def control(self, control: ControlInput) -> None:
        """Append a control input of a detector."""
        self._append(JournalEntry(self.seq + 1, control.kind, data=control.data))

    def written(self) -> None:
        """Clear the entries: a commit has written them."""
        self.pending.clear()

    def _append(self, entry: JournalEntry) -> None:
        self.pending.append(entry)
        self.seq = entry.seq


class JournalReplay:
    """A stored journal that is being replayed, and what is left of it."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self._entries = deque(entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def head(self) -> JournalEntry:
        """The next entry."""
        return self._entries[0]

    def pop(self) -> JournalEntry:
        """Remove and return the next entry."""
        return self._entries.popleft()

    @property
    def first_offset(self) -> int | None:
        """The first offset that must be read again, None if no batches are left."""
        return next((entry.first for entry in self._entries if entry.kind == "batch"), None)

    def reach(self, position: int) -> int:
        """One past the last offset consumed or lost by the entries left, at least `position`."""
        return reach(self._entries, position)
