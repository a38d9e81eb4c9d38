"""Instruments that are in several logs of a daemon are told once, with what to write."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import T0, S, trade
from market_bytes import records as records_of
from pipeline_world import World

from streamer.app import split_instruments
from streamer.app.split_instruments import SplitInstruments
from streamer.messages.records import Partition
from streamer.store.database import open_store


def log(topic: str, partition: int, *symbols: str) -> MemoryLog:
    values = [(T0 + at, trade(T0 + at, 100.0, symbol=symbol)) for at, symbol in enumerate(symbols)]
    return MemoryLog(Partition(topic, topic, partition), records_of(values))


@pytest.mark.parametrize(
    ("logs", "told"),
    [
        ([("trades", 0, "A", "B"), ("trades.x", 0, "C", "B", "A")], ["[trades, trades.x]"]),
        (
            [("trades", 0, "A"), ("trades", 1, "B"), ("trades.x", 1, "A"), ("trades.x", 0, "C")],
            ["{topics: [trades, trades.x], partitions: all}"],
        ),
        (
            [("trades", 0, "A"), ("trades", 1, "A"), ("trades.x", 0, "B"), ("trades.y", 0, "B")],
            ["{topics: [trades], partitions: all}", "[trades.x, trades.y]"],
        ),
        ([("trades", 0, "A"), ("trades.x", 0, "B")], []),
    ],
)
def test_each_set_of_topics_is_told_once(
    logs: list[tuple[str, int, str]], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_instruments, "LOOK_EVERY_S", 0.0)
    world, woken = World(tmp_path), []
    counts = {topic: 1 + max(n for name, n, *_ in logs if name == topic) for topic, *_ in logs}
    with world.process(ListSource([log(*each) for each in logs])) as engine:
        engine.run(lambda: False)
        database = open_store(str(world.store))
        for _ in range(2):  # a restart tells nobody again
            split = SplitInstruments(database, world.time, lambda: woken.append(1), lambda: counts)
            for _ in range(4):
                split.work(engine.runners)
        database.close()
    alerts = [json.loads(body) for rule, body in world.service_alerts() if rule == "instrument_split"]
    assert [alert["text"].partition("Write join: ")[2].partition(" below")[0] for alert in alerts] == told
    assert all(alert["severity"] == "warning" for alert in alerts)
    assert len(woken) == (2 if told else 0)


def test_an_instrument_that_moved_to_another_partition_is_in_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_instruments, "LOOK_EVERY_S", 0.0)

    def part(number: int, *events: tuple[int, str]) -> MemoryLog:
        values = [(T0 + at * S, trade(T0 + at * S, 100.0, symbol=symbol)) for at, symbol in events]
        return MemoryLog(Partition("trades", "trades", number), records_of(values))

    before = [part(0, (0, "A"), (5, "A"), (6, "B")), part(1, (0, "C"), (7, "A"), (9, "A"))]
    back = [*before[:1], part(1, (0, "C"), (4, "A"), (9, "A"))]
    for logs, count in ((before, 0), (back, 1)):
        world, woken = World(tmp_path / str(count)), list[int]()
        with world.process(ListSource(logs)) as engine:
            engine.run(lambda: False)
            database = open_store(str(world.store))
            split = SplitInstruments(database, world.time, partial(woken.append, 1), lambda: {"trades": 2})
            for _ in range(3):
                split.work(engine.runners)
            database.close()
        assert len(woken) == count
