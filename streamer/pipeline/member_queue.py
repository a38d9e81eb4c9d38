"""What a member of a joined log has brought and what is not folded yet: blocks that are decoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.messages.batch import Batch, DeadLetter, Decoded
from streamer.messages.record_block import RecordBlock, bytes_of
from streamer.messages.records import NO_TIME, DamagedRange, Record

Decode = Callable[[Sequence[Record]], Decoded]


class Fetched(NamedTuple):
    """What is known of a partition at the moment its records were fetched; see `Chunk`."""

    newest_ns: int = int(NO_TIME)
    most_behind_s: float = inf
    at_s: float = inf
    """When records of a joined log were brought, monotonic s."""


@dataclass(frozen=True, slots=True, eq=False)
class MemberPart:
    """Records of one member that are folded together with others, and what they were decoded to.

    Parameters
    ----------
    place, records, fetched
        The member's place, its records, and what was known when they were fetched.
    base
        Their events, maybe among others.
    first_row
        int64[n + 1]: each record's first row in it, and one past the last one's last.
    dead
        Their dead letters, each with its record's index in `records`.
    ignored
        Counts of those that are known and not used.
    """

    place: int
    records: Sequence[Record]
    fetched: Fetched
    base: Batch
    first_row: NDArray[np.int64]
    dead: Sequence[tuple[int, DeadLetter]]
    ignored: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What the records of a block were decoded to.

    Parameters
    ----------
    batch
        Their events, maybe among those of other blocks.
    first_row
        int64[n + 1]: each record's first row in it, and one past the last one's last.
    dead
        Their dead letters.
    ignored
        Counts, by name, of messages that are known and not used.
    """

    batch: Batch
    first_row: NDArray[np.int64]
    dead: Sequence[DeadLetter]
    ignored: Mapping[str, int]


class Block:
    """Records as they were fetched together.

    Parameters
    ----------
    records
        In order.
    fetched
        What was known when they were fetched.
    """

    def __init__(self, records: Sequence[Record], fetched: Fetched) -> None:
        self.records = records
        self.fetched = fetched
        self.offset = offsets_of(records)
        self.nbytes = bytes_of(records)
        self.times = np.empty(0, np.int64)
        """int64[n] ns: what each record is merged by."""
        self._events: Events | None = None

    def __len__(self) -> int:
        return len(self.offset)

    def forget_decoded(self) -> None:
        """Decode anew when asked: the configuration has changed."""
        self._events = None

    @property
    def is_decoded(self) -> bool:
        """Whether it is known what the records are decoded to."""
        return self._events is not None

    def hold(self, events: Events) -> None:
        """Keep what the records were decoded to."""
        self._events = events

    def events(self, decode: Decode) -> Events:
        """What the records are decoded to."""
        if self._events is None:
            decoded = decode(self.records)
            rows = decoded.batch.offset
            first_row = np.append(np.searchsorted(rows, self.offset), len(rows)).astype(np.int64)
            self._events = Events(decoded.batch, first_row, decoded.dead, decoded.ignored)
        return self._events

    def part(self, place: int, first: int, end: int, decode: Decode) -> MemberPart:
        """The records from one index to before another."""
        events = self.events(decode)
        dead = []
        if events.dead:
            at = np.searchsorted(self.offset, [letter.offset for letter in events.dead]).tolist()
            both = zip(at, events.dead, strict=True)
            dead = [(n - first, letter) for n, letter in both if first <= n < end]
        ignored = self._ignored(first, end, events, decode)
        rows = events.first_row[first : end + 1]
        return MemberPart(place, self.records[first:end], self.fetched, events.batch, rows, dead, ignored)

    def _ignored(self, first: int, end: int, events: Events, decode: Decode) -> dict[str, int]:
        """Counts of what is known and not used among some of the records: they are decoded again for it."""
        if not events.ignored or end - first == len(self):
            return dict(events.ignored)
        silent = events.first_row[1:] == events.first_row[:-1]
        silent[np.searchsorted(self.offset, [letter.offset for letter in events.dead])] = False
        if int(silent.sum()) != sum(events.ignored.values()):  # some records are not ignored as a whole
            return dict(decode(self.records[first:end]).ignored)
        mine = first + np.flatnonzero(silent[first:end])
        if len(events.ignored) == 1:
            return {next(iter(events.ignored)): len(mine)} if len(mine) else {}
        return dict(decode([self.records[at] for at in mine.tolist()]).ignored) if len(mine) else {}


class MemberQueue:
    """What one member has brought, in order: blocks of records, and ranges that are damaged."""

    def __init__(self) -> None:
        self._items: deque[Block | DamagedRange] = deque()
        self._first = 0
        self.count = 0
        """How many records wait."""
        self.nbytes = 0
        """How many bytes the blocks have whose records wait."""

    def append(self, item: Block | DamagedRange) -> None:
        """Add what came last."""
        self._items.append(item)
        if isinstance(item, Block):
            self.count += len(item)
            self.nbytes += item.nbytes

    @property
    def damaged(self) -> DamagedRange | None:
        """The damaged range that comes next, if one does."""
        head = self._items[0] if self._items else None
        return head if isinstance(head, DamagedRange) else None

    @property
    def end(self) -> int | None:
        """One past the last offset of what waits; None where nothing does."""
        tail = self._items[-1] if self._items else None
        if tail is None:
            return None
        return 1 + (tail.last if isinstance(tail, DamagedRange) else int(tail.offset[-1]))

    @property
    def next_time(self) -> int | None:
        """What the next record is merged by; None where there is none, or a damaged range comes before it."""
        head = self._items[0] if self._items else None
        return int(head.times[self._first]) if isinstance(head, Block) else None

    @property
    def oldest_s(self) -> float:
        """When the first of the records that wait was brought, monotonic s; infinite without any."""
        blocks = (item for item in self._items if isinstance(item, Block))
        return next((block.fetched.at_s for block in blocks), inf)

    def pop_damaged(self) -> None:
        """Drop the damaged range that comes next."""
        self._items.popleft()

    @property
    def blocks(self) -> list[tuple[Block, int]]:
        """All blocks, each with its first record that is not taken."""
        return [
            (item, self._first if number == 0 else 0)
            for number, item in enumerate(self._items)
            if isinstance(item, Block)
        ]

    def drop_before(self, offset: int) -> None:
        """Drop what lies before an offset: it has been folded or skipped, or is lost."""
        while self._items:
            head = self._items[0]
            if isinstance(head, DamagedRange):
                if head.last >= offset:
                    self._items[0] = replace(head, first=max(head.first, offset))
                    return
                self._items.popleft()
                continue
            first = int(np.searchsorted(head.offset, offset))
            if first <= self._first:
                return
            self._advance(min(first, len(head)) - self._first)
            if first < len(head):
                return

    def times(self, at_most: int, last: int | None) -> tuple[NDArray[np.int64], int | None]:
        """What the next records are merged by, as many as may be wanted; and by what the one behind them is.

        Parameters
        ----------
        at_most
            How many.
        last
            The last offset that is wanted, None for all.

        Returns
        -------
        tuple
            int64[n] ns; and the time of the record behind those, None where there is none yet, or none
            before a damaged range.
        """
        found, more = [np.empty(0, np.int64)], at_most
        for block, first in self._upcoming():
            end = len(block) if last is None else int(np.searchsorted(block.offset, last, side="right"))
            end = max(end, first)
            found.append(block.times[first : min(end, first + more)])
            if end - first > more:
                return np.concatenate(found), int(block.times[first + more])
            more -= end - first
            if end < len(block):
                break
        return np.concatenate(found), None

    def offsets(self, count: int) -> NDArray[np.int64]:
        """int64[count], the offsets of the next records, before a damaged range."""
        found = [block.offset[first:] for block, first in self._upcoming()]
        return np.concatenate([np.empty(0, np.int64), *found])[:count]

    def next_blocks(self, count: int) -> Iterator[Block]:
        """The blocks of the next records, so many of them."""
        for block, first in self._upcoming():
            if count <= 0:
                return
            yield block
            count -= len(block) - first

    def goes_beyond(self, offset: int) -> bool:
        """Whether anything has come from behind an offset."""
        for item in reversed(self._items):
            return (item.last if isinstance(item, DamagedRange) else int(item.offset[-1])) > offset
        return False

    def take(self, place: int, count: int, decode: Decode) -> Iterator[MemberPart]:
        """Take the next records, a part for each block that they lie in."""
        while count:
            block, _ = next(self._upcoming())
            end = min(len(block), self._first + count)
            count -= end - self._first
            yield block.part(place, self._first, end, decode)
            self._advance(end - self._first)

    def _advance(self, count: int) -> None:
        block = self._items[0]
        self.count -= count
        self._first += count
        if isinstance(block, Block) and self._first == len(block):
            self.nbytes -= block.nbytes
            self._items.popleft()
            self._first = 0

    def _upcoming(self) -> Iterator[tuple[Block, int]]:
        """The blocks before the next damaged range, each with the first record that is not taken."""
        for number, item in enumerate(self._items):
            if isinstance(item, DamagedRange):
                return
            yield item, self._first if number == 0 else 0


def offsets_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """int64[n], the records' offsets."""
    if isinstance(records, RecordBlock):
        return records.offset
    return np.array([record.offset for record in records], np.int64)


def times_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """int64[n] ns, the records' times: of a file when each was received, else their timestamps."""
    if isinstance(records, RecordBlock):
        return records.received
    return np.array([record.timestamp for record in records], np.int64)
