"""A simulated exchange in three topics, keyed alike or differently, and as the topic that they merge to."""

from __future__ import annotations

import heapq
import json
import random
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Extent, Partition, Record
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish
from streamer.sources.simulator import SimulatorSource
from streamer.sources.simulator.instruments import INSTRUMENTS, VENUE
from streamer.sources.simulator.simulator_source import OPENS_NS
from streamer.sources.source import Assignments

TOPICS = ("trades", "orders", "status")
"""Trades; orders; quotes and, once in a while, the state of each instrument."""

MS, S = 1_000_000, 1_000_000_000
_STATUS_EVERY_S = 30
_LATE_CLOCK_MS = 5  # a producer whose clock is behind the others' by up to so much
_LATE_SHARE = 0.02
_CHUNK = 1_000


@dataclass(frozen=True)
class Sent:
    """A record: its topic, what it may be keyed by, its timestamp (ns) and its value."""

    topic: str
    symbol: str
    owner: str
    timestamp: int
    value: bytes


Partitions = Mapping[int, Sequence[Sent]]
"""The records of a topic, by partition, in order."""


def exchange(count: int, seed: int = 15) -> list[Sent]:
    """So many records, in the order in which they are sent; timestamps are a little out of order."""
    source = SimulatorSource(seed, 24 * 3_600, 0, partitions=1)
    instruments = (_of_instrument(source, number) for number in range(len(INSTRUMENTS)))
    noise = random.Random(seed)
    records = []
    for ts, _, sent in islice(heapq.merge(*instruments), count):
        behind = noise.randrange(_LATE_CLOCK_MS) if noise.random() < _LATE_SHARE else 0
        records.append(Sent(*sent[:3], (ts // MS - behind) * MS, sent[3]))
    return records


def _of_instrument(
    source: SimulatorSource, number: int
) -> Iterator[tuple[int, int, tuple[str, str, str, bytes]]]:
    symbol = INSTRUMENTS[number].symbol
    told = OPENS_NS
    for ts, value in source.instrument(number):
        event = json.loads(value)
        while told <= ts:
            state = {"event_type": "status", "venue": VENUE, "symbol": symbol, "ts_event": told}
            yield told, number, ("status", symbol, symbol, json.dumps(state | {"state": "trading"}).encode())
            told += _STATUS_EVERY_S * S
        topic = {"trade": "trades", "order": "orders", "quote": "status"}[event["event_type"]]
        yield ts, number, (topic, symbol, event.get("account_id", symbol), value)


def keyed_alike(records: Sequence[Sent], partitions: int) -> dict[str, Partitions]:
    """Every topic by symbol, all in equally many partitions."""
    return {
        topic: _partitioned([sent for sent in records if sent.topic == topic], "symbol", partitions)
        for topic in TOPICS
    }


def keyed_differently(records: Sequence[Sent]) -> dict[str, Partitions]:
    """Trades by symbol, orders by account, in another number of partitions, all the rest in one."""
    keys = {"trades": ("symbol", 3), "orders": ("owner", 2), "status": ("symbol", 1)}
    return {
        topic: _partitioned([sent for sent in records if sent.topic == topic], key, count)
        for topic, (key, count) in keys.items()
    }


def _partitioned(records: Sequence[Sent], key: str, count: int) -> Partitions:
    partitions: dict[int, list[Sent]] = {number: [] for number in range(count)}
    for sent in records:
        partitions[zlib.crc32(getattr(sent, key).encode()) % count].append(sent)
    return partitions


def merged(members: Sequence[Sequence[Sent]]) -> list[Sent]:
    """The members of one log as one: at each step the record whose time is least, at a tie by place.

    A record's time is the latest of its member so far, so that no member is ever out of order.
    """
    heads = [0] * len(members)
    newest = [-1] * len(members)
    out = []
    while True:
        waiting = [
            (max(newest[place], member[heads[place]].timestamp), place)
            for place, member in enumerate(members)
            if heads[place] < len(member)
        ]
        if not waiting:
            return out
        time, place = min(waiting)
        newest[place] = time
        out.append(members[place][heads[place]])
        heads[place] += 1


def merged_topic(topics: Mapping[str, Partitions], *, alike: bool) -> dict[int, list[Sent]]:
    """What a fold of the joined topics must equal: one partition for each number, or one for all."""
    if alike:
        numbers = {number for partitions in topics.values() for number in partitions}
        return {n: merged([partitions[n] for partitions in topics.values()]) for n in sorted(numbers)}
    return {0: merged([member for partitions in topics.values() for _, member in sorted(partitions.items())])}


class MergedSource:
    """Reads the merged topic from memory; a `Source`."""

    def __init__(self, partitions: Partitions) -> None:
        self._chunks: Iterator[Chunk] = iter(())
        self._records = {
            Partition("merged", "merged", number): [
                Record(offset, sent.value, sent.timestamp) for offset, sent in enumerate(records)
            ]
            for number, records in partitions.items()
        }
        self._over = False

    def open(self, assignments: Assignments) -> None:
        extents = [Extent(each, 0, len(records), 0) for each, records in self._records.items()]
        assignments.assigned([LogExtent.of(extent) for extent in extents])
        self._chunks = (
            Chunk(partition, records[at : at + _CHUNK])
            for partition, records in self._records.items()
            for at in range(0, len(records), _CHUNK)
        )

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        del timeout_s
        chunk = next(self._chunks, None)
        self._over = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        return frozenset()

    def finished(self) -> frozenset[Partition]:
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        pass

    def exhausted(self) -> bool:
        return self._over

    def commit(self, positions: Mapping[Partition, int]) -> None:
        pass

    def close(self) -> None:
        pass


def send_to(bootstrap: str, topic: str, partitions: Partitions) -> None:
    """Publish the records of a topic, each partition in order."""
    outgoing = [
        Outgoing(sent.timestamp, None, sent.value, (), number)
        for number, records in sorted(partitions.items())
        for sent in records
    ]
    publish(outgoing, PublishTarget(KafkaSettings(bootstrap=bootstrap), topic))
