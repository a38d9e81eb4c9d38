"""Row n: topics joined to one log, against one topic with the same events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure
from benchmarks.full import UNKNOWN_END, MemorySource
from benchmarks.workload import Stream
from streamer.messages.logs import Log, LogExtent
from streamer.messages.records import Chunk, Extent, Partition
from streamer.sources.kafka.kafka_source import MAX_POLL_RECORDS
from streamer.sources.source import Assignments

RUNS = ("full, made", "full, joined")
TOPICS = ("spot.benchmark.a", "spot.benchmark.b", "spot.benchmark.c")


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The ratio, and the rate of the joined log."""
    del bench
    return [
        taken.ratio("full, joined", "full, made", "three topics joined / one topic", least=0.80),
        taken.rate("full, joined", "three topics joined, every event from another"),
    ]


class JoinedMemory(MemorySource):
    """A log of several members in memory; each poll brings something of each, as Kafka's do.

    Parameters
    ----------
    streams
        One for each member.
    polls
        The chunks of each poll (`dealt`, `in_polls`).
    """

    def __init__(self, streams: Sequence[Stream], polls: Sequence[Sequence[Chunk]]) -> None:
        members = [stream.partition for stream in streams]
        super().__init__(members, ())
        self._log = Log.joined([member.topic for member in members], 0, members)
        self._polls: Iterator[Sequence[Chunk]] = iter(polls)

    def open(self, assignments: Assignments) -> None:
        """Everything is to be read from its beginning."""
        extents = tuple(Extent(member, 0, UNKNOWN_END, 0) for member in self._log.members)
        assignments.assigned([LogExtent(self._log, extents)])

    def _next(self) -> Sequence[Chunk] | None:
        return next(self._polls, None)

    def finished(self) -> frozenset[Partition]:
        """All, once nothing is left: what comes last waits for nobody."""
        return frozenset(self._log.members if self.exhausted() else ())


def dealt(stream: Stream) -> list[Stream]:
    """A stream's records dealt out to topics in turn; no two times are alike, so that one order is right."""
    number = np.arange(len(stream))
    times = np.maximum.accumulate(stream.times - number) + number
    parts = len(TOPICS)
    return [
        Stream(Partition(topic, "benchmark", 0), stream.values[at::parts], times[at::parts])
        for at, topic in enumerate(TOPICS)
    ]


def in_polls(streams: Iterable[Stream]) -> list[list[Chunk]]:
    """What polls of several partitions bring: of each as much, so many records in all."""
    each = [list(stream.chunks(MAX_POLL_RECORDS // len(TOPICS))) for stream in streams]
    polls = max(map(len, each))
    return [[chunks[at] for chunks in each if at < len(chunks)] for at in range(polls)]
