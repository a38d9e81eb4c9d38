"""Instruments that are in several logs of a daemon are told once, with what to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import T0, S, trade
from market_bytes import records as records_of
from pipeline_world import CONFIG, DETECTORS, RULES, World, plan_of

from streamer.app import shared_seats, split_instruments
from streamer.app.split_instruments import SplitInstruments
from streamer.config.load import load_text
from streamer.messages.records import Partition
from streamer.pipeline.compile import compile_plan
from streamer.store.database import open_store

MIN = 60 * S


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


def test_of_very_many_some_are_named_and_then_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_instruments, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(shared_seats, "MOST_TOGETHER", 5)
    many = [f"S{number}" for number in range(30)]
    logs = [
        log("trades", 0, *many),
        log("trades.x", 0, *many, "X"),
        log("trades.y", 0, *"Y" * 30, "X"),
        log("trades.z", 0, "Z"),
    ]
    world, asked = World(tmp_path, plan_of(max_instruments=99)), list[int]()

    def counts() -> Mapping[str, int]:
        asked.append(1)
        return {f"trades{end}": 1 for end in ("", ".x", ".y", ".z")}

    with world.process(ListSource(logs)) as engine:
        engine.run(lambda: False)
        database = open_store(str(world.store))
        split = SplitInstruments(database, world.time, lambda: None, counts)
        one = dict([*engine.runners.items()][:1])
        for _ in range(3):
            split.work(one)
        assert not asked, "an instrument of one log is in no other"
        for _ in range(6):
            split.work(engine.runners)
        assert len(asked) == 2, "what was told is not looked at again"
        database.close()
    (text,) = [
        json.loads(body)["text"] for rule, body in world.service_alerts() if rule == "instrument_split"
    ]
    assert " and at least 5 other instruments are in trades[0] and in trades.x[0]" in text
    assert "Write join: [trades, trades.x, trades.y] below source" in text, (
        "X counts, of other logs than the many"
    )


def test_one_that_takes_the_place_of_another_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a log is full its number of instruments stays, whoever comes."""
    monkeypatch.setattr(split_instruments, "LOOK_EVERY_S", 0.0)
    text = CONFIG.format(rules=RULES, detectors=DETECTORS, flood=5, max_instruments=2)
    full = compile_plan(load_text(text.replace("max_instruments: 2", "max_instruments: 2, forget_after: 1m")))
    values = [
        (T0 + at * MIN, trade(T0 + at * MIN, 100.0, symbol=name)) for at, name in enumerate("ABBBBBCBCBC")
    ]
    grows = MemoryLog(Partition("trades", "trades", 0), records_of(values[:6]))
    other = [(T0 + at * MIN, trade(T0 + at * MIN, 100.0, symbol="C")) for at in range(12)]
    world, woken = World(tmp_path, full), list[int]()
    source = ListSource([grows, MemoryLog(Partition("trades.x", "trades.x", 0), records_of(other))])
    with world.process(source) as engine:
        engine.run(lambda: False)
        database = open_store(str(world.store))
        split = SplitInstruments(
            database, world.time, partial(woken.append, 1), lambda: {"trades": 1, "trades.x": 1}
        )
        for _ in range(3):
            split.work(engine.runners)
        assert not woken
        runner = engine.runners[grows.partition]
        before = len(runner.task.slots)
        runner.consume(records_of(values)[6:])
        assert len(runner.task.slots) == before == 2
        for _ in range(3):
            split.work(engine.runners)
        database.close()
    assert len(woken) == 1
