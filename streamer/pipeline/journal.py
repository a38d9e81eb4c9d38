"""What a task consumed and in which order, so that it can be folded again."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import JournalEntry, MemberSpan, Segment, reach
from streamer.messages.logs import Log, Positions


class Journal:
    """The journal entries of one task that have not been committed yet.

    Consecutive batches become one entry: batch boundaries do not affect results, so they are not kept. One of
    a joined log holds what its members brought, in segments whose inner order is that of the merge.

    Parameters
    ----------
    seq
        The last entry that is written.
    log
        The task's log.

    Examples
    --------
    >>> from streamer.messages.records import Partition
    >>> journal = Journal(0, Log.of(Partition("spot", "t1", 0)))
    >>> journal.batch((MemberSpan(0, 0, 99),)); journal.batch((MemberSpan(0, 100, 149),)); journal.timer(1, 5)
    >>> [(e.seq, e.kind, e.first, e.last) for e in journal.pending]
    [(1, 'batch', 0, 149), (2, 'tick', -1, -1)]
    """

    def __init__(self, seq: int, log: Log) -> None:
        self.seq = seq
        self._log = log
        self._pending: list[JournalEntry] = []
        self._segments: list[dict[int, MemberSpan]] = []

    @property
    def pending(self) -> Sequence[JournalEntry]:
        """The entries, in order."""
        self._write_segments()
        return self._pending

    @property
    def goes_on(self) -> bool:
        """Whether a batch would be added to the last entry."""
        return bool(self._pending) and self._pending[-1].kind == "batch"

    def batch(self, segment: Segment, *, goes_on: bool = True) -> None:
        """Append that records were consumed.

        Parameters
        ----------
        segment
            Which, by member.
        goes_on
            Whether the order of the merge would not put any of them before what was consumed last.
        """
        if self._log.is_joined:
            self._joined_batch(segment, goes_on=goes_on)
            return
        (span,) = segment
        if self.goes_on:
            self._pending[-1] = replace(self._pending[-1], last=span.last)
        else:
            topic, _, partition = self._log.members[0]
            self._append(JournalEntry(self.seq + 1, "batch", topic, partition, span.first, span.last))

    def _joined_batch(self, segment: Segment, *, goes_on: bool) -> None:
        if not self.goes_on:
            self._append(JournalEntry(self.seq + 1, "batch"))
            self._segments = [{}]
        elif not goes_on:
            self._segments.append({})
        last = self._segments[-1]
        for span in segment:
            known = last.get(span.place)
            last[span.place] = span if known is None else known._replace(last=span.last)

    def timer(self, number: int, ts_ns: int) -> None:
        """Append a timer."""
        self._append(JournalEntry(self.seq + 1, "tick", timer_number=number, ts_ns=ts_ns))

    def gap(self, lost: MemberSpan) -> None:
        """Append that records were deleted from the log before they were consumed."""
        topic, _, partition = self._log.members[lost.place]
        data = str(lost.place) if self._log.is_joined else ""
        self._append(JournalEntry(self.seq + 1, "gap", topic, partition, lost.first, lost.last, data=data))

    def idle(self, place: int) -> None:
        """Append that a joined log goes on without one of its members."""
        topic, _, partition = self._log.members[place]
        self._append(JournalEntry(self.seq + 1, "idle", topic, partition, data=str(place)))

    def reload(self, config_hash: str) -> None:
        """Append a change of configuration."""
        self._append(JournalEntry(self.seq + 1, "reload", data=config_hash))

    def control(self, control: ControlInput) -> None:
        """Append a control input of a detector."""
        self._append(JournalEntry(self.seq + 1, control.kind, data=control.data))

    def written(self) -> None:
        """Clear the entries: a commit has written them."""
        self._pending.clear()
        self._segments = []

    def _append(self, entry: JournalEntry) -> None:
        self._write_segments()
        self._pending.append(entry)
        self._segments = []
        self.seq = entry.seq

    def _write_segments(self) -> None:
        if self._segments:
            segments = [list(segment.values()) for segment in self._segments]
            self._pending[-1] = replace(self._pending[-1], data=json.dumps(segments, separators=(",", ":")))


class JournalReplay:
    """A stored journal that is being replayed, and what is left of it.

    Examples
    --------
    >>> of_two = JournalEntry(1, "batch", data="[[[0, 7, 9], [1, 3, 3]]]")
    >>> replay = JournalReplay([of_two, JournalEntry(2, "gap", first=10, last=19, data="0")])
    >>> replay.first_offsets, replay.reach((5, 3, 1))
    ({0: 7, 1: 3}, (20, 4, 1))
    """

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self._entries = deque((entry, entry.segments) for entry in entries)  # each is parsed once
        self._segments: deque[Segment] = deque()
        self._open_segments()

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def head(self) -> JournalEntry:
        """The next entry."""
        return self._entries[0][0]

    @property
    def segment(self) -> Segment:
        """What is to be consumed next, where the next entry is a batch."""
        return self._segments[0]

    def pop_segment(self) -> JournalEntry | None:
        """Go on behind the segment; returns the entry if that was its last one."""
        self._segments.popleft()
        return None if self._segments else self.pop()

    def pop(self) -> JournalEntry:
        """Remove and return the next entry."""
        entry, _ = self._entries.popleft()
        self._open_segments()
        return entry

    @property
    def first_offsets(self) -> dict[int, int]:
        """By place, the first offset that must be read again, of members that have one."""
        firsts: dict[int, int] = {}
        for span in self._consumed():
            firsts.setdefault(span.place, span.first)
        return firsts

    def consumes(self, place: int, first: int, last: int) -> bool:
        """Whether any of these offsets of a member must be read again."""
        return any(
            span.place == place and span.first <= last and first <= span.last for span in self._consumed()
        )

    def reach(self, positions: Positions) -> Positions:
        """By member, one past the last offset consumed or lost by the entries left."""
        reached = list(reach((entry for entry, _ in self._entries if entry.kind == "gap"), positions))
        for span in self._consumed():
            reached[span.place] = max(reached[span.place], span.last + 1)
        return tuple(reached)

    def _consumed(self) -> Iterator[MemberSpan]:
        return (span for _, segments in self._entries for segment in segments for span in segment)

    def _open_segments(self) -> None:
        self._segments = deque(self._entries[0][1] if self._entries else ())
