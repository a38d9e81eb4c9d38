"""A log in memory, read as a broker's is: at offsets, in polls, with a beginning and an end that move."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from streamer.messages.logs import ALL, Log, LogExtent
from streamer.messages.records import Chunk, DamagedRange, Extent, Partition, Record
from streamer.sources.source import Assignments


@dataclass
class MemoryLog:
    """One partition as the broker keeps it: with holes, and offsets that are damaged."""

    partition: Partition
    records: list[Record]
    first: int = 0
    end: int | None = None
    start: int | None = None
    damaged: list[tuple[int, int]] = field(default_factory=list)
    committed: int | None = None

    @property
    def log_end(self) -> int:
        if self.end is not None:
            return self.end
        return self.records[-1].offset + 1 if self.records else self.first

    def described(self) -> Extent:
        start = self.first if self.start is None else self.start
        return Extent(self.partition, self.first, self.log_end, start, self.committed)

    def read(self, position: int, count: int) -> list[Record]:
        wanted = max(position, self.first)
        last = min([self.log_end, *(first for first, last in self.damaged if last >= wanted)])
        begin = bisect_left(self.records, wanted, key=attrgetter("offset"))
        end = bisect_left(self.records, last, begin, key=attrgetter("offset"))
        return self.records[begin : min(end, begin + count)]

    def damage_at(self, position: int) -> DamagedRange | None:
        """What is damaged from here on, where nothing else comes first."""
        for first, last in sorted(self.damaged):
            if last >= position:
                return (
                    None if self.read(position, 1) else DamagedRange(max(first, position), last, "it is odd")
                )
        return None


@dataclass
class ListSource:
    """Reads such logs; a `Source`.

    `sizes` says how many records each poll of a partition brings, `joined` names topics that make one log,
    `on_poll` is called before each poll with its number, and may raise, or move logs and clocks. Without
    `endless` it is exhausted when all logs have been read to their ends.
    """

    logs: list[MemoryLog]
    sizes: Iterator[int] | None = None
    on_poll: Callable[[int], None] = lambda number: None
    endless: bool = False
    reachable: bool = True
    positions: dict[Partition, int] = field(default_factory=dict)
    told: list[Mapping[Partition, int]] = field(default_factory=list)
    polls: int = 0
    closed: bool = False
    assignments: Assignments | None = None
    joined: Sequence[str] = ()
    wait_s: float = 0.5
    align: Callable[[Mapping[Partition, int]], Mapping[Partition, int]] | None = None
    withheld: frozenset[Partition] = frozenset()

    def open(self, assignments: Assignments) -> None:
        self.assignments = assignments
        if self.logs:
            self.assign(self.logs)

    def assign(self, logs: Sequence[MemoryLog]) -> None:
        assert self.assignments is not None
        extents = tuple(log.described() for log in logs)
        if self.joined:
            members = [log.partition for log in logs]
            number = ALL if len({member.partition for member in members}) > 1 else members[0].partition
            log = Log.joined(self.joined, number, members)
            assigned = [LogExtent(log, extents, self.wait_s, self.align)]
        else:
            assigned = [LogExtent.of(extent) for extent in extents]
        self.positions |= self.assignments.assigned(assigned)

    def revoke(self, logs: Sequence[MemoryLog]) -> None:
        assert self.assignments is not None
        for log in logs:
            self.positions.pop(log.partition, None)
        self.assignments.revoked([log.partition for log in logs])

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        self.polls += 1
        self.on_poll(self.polls)
        if not self.reachable:
            return ()
        chunks = []
        for log in self.logs:
            position = self.positions.get(log.partition)
            if position is None or log.partition in self.withheld:
                continue
            found = log.read(position, next(self.sizes) if self.sizes else 50)
            if damaged := log.damage_at(found[-1].offset + 1 if found else position):
                self.positions[log.partition] = damaged.last + 1
                chunks.append(Chunk(log.partition, found))
                chunks.append(Chunk(log.partition, (), damaged=damaged))
                continue
            at_end = not log.read(position, 1)
            self.positions[log.partition] = (
                found[-1].offset + 1 if found else log.log_end if at_end else position
            )
            if found:
                chunks.append(Chunk(log.partition, found))
        return chunks

    def at_end(self) -> frozenset[Partition]:
        if not self.reachable:
            return frozenset()
        return frozenset(
            log.partition for log in self.logs if self.positions.get(log.partition, -1) >= log.log_end
        )

    def finished(self) -> frozenset[Partition]:
        return frozenset() if self.endless else self.at_end()

    def withhold(self, partitions: Collection[Partition]) -> None:
        self.withheld = frozenset(partitions)

    def exhausted(self) -> bool:
        return not self.endless and all(
            self.positions[log.partition] >= log.log_end
            for log in self.logs
            if log.partition in self.positions
        )

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self.told.append(dict(positions))

    def close(self) -> None:
        self.closed = True
