"""The simulated market as a source: needs no broker and no file, gives the same records for the same seed."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Extent, Partition, Record
from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.anomalies import plant as plant_anomaly
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.instruments import INSTRUMENTS, Spec
from streamer.sources.simulator.market import Event, InstrumentMarket
from streamer.sources.simulator.planting import draw_anomalies
from streamer.sources.simulator.sessions import TradingSession
from streamer.sources.source import Assignments

TOPIC = "simulated"
"""The topic of the market's records, by which a configuration refers to them."""

OPENS_NS = 1_723_123_800_000_000_000
"""When the market opens: 2024-08-08, 13:30 UTC."""

_INCARNATION = "simulator"
_MS = 1_000_000
_TIMER_EVERY_S = 5
_CHUNK_RECORDS = 1000
_UNKNOWN_END = 2**62


class SimulatorSource:
    """A dozen instruments over a number of simulated seconds; a `Source`.

    Each record is one event of the public schema, with the event's time as its timestamp. Every five
    simulated seconds each partition emits a timer, so that silence can be detected.

    Parameters
    ----------
    seed
        The random seed; the same seed gives the same records.
    seconds
        How long the market is open.
    per_kind
        How often every kind of anomaly is planted; 0 for none.
    partitions
        How many partitions the instruments are spread over.
    specs
        The instruments.

    Examples
    --------
    >>> source = SimulatorSource(seed=7, seconds=600, per_kind=1)
    >>> len(source.planted), source.planted == SimulatorSource(seed=7, seconds=600, per_kind=1).planted
    (10, True)
    """

    def __init__(
        self,
        seed: int,
        seconds: int,
        per_kind: int,
        *,
        partitions: int = 3,
        specs: Sequence[Spec] = INSTRUMENTS,
    ) -> None:
        self._seed = seed
        self._seconds = seconds
        self._specs = tuple(specs)
        self._partitions = [Partition(TOPIC, _INCARNATION, number) for number in range(partitions)]
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self.now_ns = OPENS_NS
        rng = np.random.default_rng([seed, len(self._specs)])
        self._session = TradingSession(OPENS_NS, seconds)
        self.planted: tuple[Anomaly, ...] = draw_anomalies(self._specs, self._session, per_kind, rng)

    @property
    def done(self) -> float:
        """The share of the simulated time that has been returned, 0 to 1."""
        return (self.now_ns - OPENS_NS) / NS_PER_SECOND / self._seconds

    def open(self, assignments: Assignments) -> None:
        """Open the market."""
        logs = [LogExtent.of(Extent(each, 0, end=_UNKNOWN_END, start=0)) for each in self._partitions]
        starts = assignments.assigned(logs)
        self._chunks = self._run([starts[partition] for partition in self._partitions])

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk of a partition; a simulated market never waits."""
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: timers come with the records."""
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        """None: the market goes on."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Nothing: its partitions are not joined."""

    def exhausted(self) -> bool:
        """True when the market has closed."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A simulated market keeps no positions."""

    def close(self) -> None:
        """Close the market."""
        self._chunks = iter(())

    def instrument(self, number: int) -> Iterator[Event]:
        """The events of one instrument alone, as (ns, record value)."""
        spec = self._specs[number]
        planted = [anomaly for anomaly in self.planted if anomaly.symbol == spec.symbol]
        rng = np.random.default_rng([self._seed, len(self._specs), number])
        return InstrumentMarket(spec, planted, plant_anomaly, self._session, rng).events()

    def _run(self, starts: Sequence[int]) -> Iterator[Chunk]:
        readers = [
            _PartitionEvents(partition, self._merged(number), start)
            for number, (partition, start) in enumerate(zip(self._partitions, starts, strict=True))
        ]
        for second in range(_TIMER_EVERY_S, self._seconds + _TIMER_EVERY_S, _TIMER_EVERY_S):
            until = OPENS_NS + min(second, self._seconds) * NS_PER_SECOND
            for reader in readers:
                yield from reader.until(until)
            self.now_ns = until

    def _merged(self, partition: int) -> Iterator[Event]:
        numbers = range(partition, len(self._specs), len(self._partitions))
        return heapq.merge(*(self.instrument(number) for number in numbers), key=lambda event: event[0])


class _PartitionEvents:
    """Turns one partition's events into chunks, interval by interval."""

    def __init__(self, partition: Partition, events: Iterator[Event], start: int) -> None:
        self._partition = partition
        self._events = events
        self._start = start
        self._offset = 0
        self._next = next(events, None)

    def until(self, ts: int) -> Iterator[Chunk]:
        records: list[Record] = []
        while self._next is not None and self._next[0] < ts:
            at, value = self._next
            if self._offset >= self._start:
                records.append(Record(self._offset, value, at // _MS * _MS))
            self._offset += 1
            self._next = next(self._events, None)
            if len(records) == _CHUNK_RECORDS:
                yield Chunk(self._partition, records)
                records = []
        yield Chunk(self._partition, records, timer_ns=ts)
