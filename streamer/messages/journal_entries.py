"""Journal entries: each is one step of a task's history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from streamer.messages.logs import Positions

EntryKind = Literal["batch", "tick", "gap", "idle", "reload", "promotion", "reset", "quarantine", "lift"]


class MemberSpan(NamedTuple):
    """Records of one member of a log: its place, the first and the last offset, both included."""

    place: int
    first: int
    last: int


Segment = tuple[MemberSpan, ...]
"""What several members brought, in the order of the merge, which no later one has changed."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One step of a task's history.

    Parameters
    ----------
    seq
        Its number in the task's history, starting at 1.
    kind
        ``batch`` (offsets `first` to `last` were consumed), ``tick`` (a timer), ``gap`` (the log had lost
        `first` to `last`), ``idle`` (a joined log goes on without one of its members), or a control input:
        ``reload``, ``promotion``, ``reset``, ``quarantine``, ``lift``.
    topic, partition, first, last
        The records of a batch or a gap; both offsets are inclusive. A batch of a joined log has its members'
        in `data` instead.
    timer_number, ts_ns
        The timer's number in its task, and its time.
    data
        The content of a control input: for a reload the configuration hash, for a quarantine and its lifting
        a `ControlInput` as JSON. In a joined log the segments of a batch as JSON, and a gap's or an idle
        member's place.
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

    @property
    def place(self) -> int:
        """The place of the member that a gap is in, or that was idle."""
        return int(self.data or 0)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What a batch consumed, in parts whose inner order is that of the merge.

        Examples
        --------
        >>> JournalEntry(1, "batch", "spot", 0, 7, 9).segments
        ((MemberSpan(place=0, first=7, last=9),),)
        >>> JournalEntry(1, "batch", data="[[[0, 7, 9], [1, 3, 3]], [[0, 10, 10]]]").segments[1]
        (MemberSpan(place=0, first=10, last=10),)
        """
        if self.kind != "batch":
            return ()
        if not self.data:
            return ((MemberSpan(0, self.first, self.last),),)
        return tuple(tuple(MemberSpan(*span) for span in segment) for segment in json.loads(self.data))

    @property
    def spans(self) -> Sequence[MemberSpan]:
        """The offsets that it covers: consumed ones, or lost ones."""
        if self.kind == "gap":
            return (MemberSpan(self.place, self.first, self.last),)
        return [span for segment in self.segments for span in segment]


def reach(entries: Iterable[JournalEntry], positions: Sequence[int]) -> Positions:
    """By member, the offset after the last one consumed or lost, given the positions before these entries.

    Examples
    --------
    >>> reach([JournalEntry(1, "batch", "spot", 0, 7, 9)], (3,)), reach([], (3, 5))
    ((10,), (3, 5))
    >>> reach([JournalEntry(1, "batch", data="[[[0, 7, 9], [1, 3, 3]]]")], (3, 2, 1))
    (10, 4, 1)
    """
    reached = list(positions)
    for entry in entries:
        for span in entry.spans:
            reached[span.place] = max(reached[span.place], span.last + 1)
    return tuple(reached)
