"""The simulated market: the same for the same seed, well formed, and with what is planted in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from streamer.decoding.event_schema import EVENT
from streamer.messages.logs import LogExtent
from streamer.messages.records import Chunk, Partition, Record
from streamer.sources.simulator import INSTRUMENTS, KINDS, OPENS_NS, SimulatorSource

NS = 10**9


class Starts:
    """Answers as the engine does: where to read on."""

    def __init__(self, at: int = 0) -> None:
        self._at = at

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        return {extent.partition: self._at for log in logs for extent in log.extents}

    def revoked(self, partitions: Sequence[Partition]) -> None: ...


def chunks(source: SimulatorSource, start: int = 0) -> list[Chunk]:
    source.open(Starts(start))
    found: list[Chunk] = []
    while not source.exhausted():
        found += source.poll(0.1)
    source.close()
    return found


def records(found: Sequence[Chunk]) -> dict[Partition, list[Record]]:
    by_partition: dict[Partition, list[Record]] = defaultdict(list)
    for chunk in found:
        by_partition[chunk.partition] += chunk.records
    return by_partition


def events(source: SimulatorSource, symbol: str) -> list[dict[str, Any]]:
    number = [spec.symbol for spec in INSTRUMENTS].index(symbol)
    return [json.loads(value) for _, value in source.instrument(number)]


@pytest.fixture(scope="module")
def busy() -> SimulatorSource:
    return SimulatorSource(seed=3, seconds=1200, per_kind=1)


def test_a_seed_gives_the_same_market_and_another_another() -> None:
    first, again, other = (chunks(SimulatorSource(seed, 120, per_kind=1)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_there_are_a_dozen_instruments_with_trades_quotes_and_orders() -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for partition_records in records(chunks(SimulatorSource(1, 300, per_kind=0))).values():
        for record in partition_records:
            assert record.value is not None
            event = EVENT.validate_json(record.value)
            seen[event.symbol].add(event.event_type)
    assert set(seen) == {spec.symbol for spec in INSTRUMENTS}
    assert len(seen) == 12
    assert all(kinds == {"trade", "quote", "order"} for kinds in seen.values())


def test_records_are_in_order_and_timers_follow_them() -> None:
    source = SimulatorSource(2, 300, per_kind=1)
    behind: dict[Partition, tuple[int, int]] = {}
    for chunk in chunks(source):
        offset, ts = behind.get(chunk.partition, (-1, 0))
        for record in chunk.records:
            assert record.value is not None
            now = json.loads(record.value)["ts_event"]
            assert record.offset == offset + 1
            assert record.timestamp == now // 10**6 * 10**6
            assert ts <= now
            offset, ts = record.offset, now
        if chunk.timer_ns is not None:
            assert chunk.timer_ns > ts
            ts = chunk.timer_ns
        behind[chunk.partition] = offset, ts
    assert {ts for _, ts in behind.values()} == {OPENS_NS + 300 * NS}
    assert source.done == 1.0


def test_it_goes_on_where_it_is_told_to() -> None:
    whole = records(chunks(SimulatorSource(4, 120, per_kind=1)))
    rest = records(chunks(SimulatorSource(4, 120, per_kind=1), start=500))
    assert rest == {partition: found[500:] for partition, found in whole.items()}


def test_an_instrument_does_not_change_with_the_partitions() -> None:
    def by_symbol(partitions: int) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = defaultdict(list)
        for some in records(chunks(SimulatorSource(4, 60, per_kind=0, partitions=partitions))).values():
            for record in some:
                assert record.value is not None
                found[json.loads(record.value)["symbol"]].append(record.value)
        return found

    assert by_symbol(1) == by_symbol(5)


def test_every_order_is_entered_once_and_leaves_at_most_once() -> None:
    state: dict[str, str] = {}
    for event in events(SimulatorSource(8, 900, per_kind=0), "AURUSD"):
        if event["event_type"] != "order":
            continue
        if event["action"] == "new":
            assert event["order_id"] not in state
        else:
            assert state[event["order_id"]] == "new"
        state[event["order_id"]] = event["action"]
    assert {"new", "cancel", "fill"} <= set(state.values())


def test_an_ordinary_market_has_no_holes_no_silence_and_no_crossed_book() -> None:
    for spec in INSTRUMENTS:
        found = events(SimulatorSource(9, 600, per_kind=0), spec.symbol)
        assert [event["sequence"] for event in found] == list(range(1, len(found) + 1))
        assert np.diff([event["ts_event"] for event in found]).max() < 6 * NS
        quotes = [event for event in found if event["event_type"] == "quote"]
        assert all(quote["bid_price"] < quote["ask_price"] for quote in quotes)


def test_every_kind_is_planted_as_often_as_asked_and_apart(busy: SimulatorSource) -> None:
    assert sorted(anomaly.kind for anomaly in busy.planted) == sorted(KINDS)
    assert len(KINDS) >= 8
    twice = SimulatorSource(seed=3, seconds=3600, per_kind=2).planted
    assert sorted(anomaly.kind for anomaly in twice) == sorted([*KINDS, *KINDS])
    assert [a.start_ns for a in twice] == sorted(a.start_ns for a in twice)
    assert SimulatorSource(seed=3, seconds=3600, per_kind=0).planted == ()
