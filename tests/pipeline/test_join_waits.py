"""Joined logs whose members are busy, quiet or behind: what is waited for, and how time passes meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import MS, T0, S, records, trade
from pipeline_world import World, plan_of
from refolded import differences, left_states, refolded, told_by

from streamer.messages.records import Partition, Record

TRADES, ORDERS = Partition("trades.a", "ta", 0), Partition("trades.b", "tb", 0)
SILENT = """
  silent:
    when: silence_s > 10s
    clear: 1s
"""


def every(ms: int, count: int, symbol: str, after_ms: int = 0) -> list[tuple[int, bytes]]:
    times = [T0 + (after_ms + at * ms) * MS for at in range(count)]
    return [(time, trade(time, 100.0, symbol=symbol)) for time in times]


class Market:
    """Members that are written as time passes: each record comes so long after its time."""

    def __init__(self, world: World, members: dict[Partition, list[Record]], behind_ms: list[int]) -> None:
        self.world, self.behind_ms, self.began_s = world, behind_ms, world.time.s
        self.logs = [MemoryLog(partition, of, end=0) for partition, of in members.items()]

    def source(self, *, step_s: float, joined: bool = True, wait_s: float = 0.5) -> ListSource:
        def on_poll(_: int) -> None:
            self.world.time.s += step_s
            elapsed = round((self.world.time.s - self.began_s) * 1_000) * MS
            for log, behind in zip(self.logs, self.behind_ms, strict=True):
                until = T0 + elapsed - behind * MS
                log.end = sum(record.timestamp <= until for record in log.records)

        names = [log.partition.topic for log in self.logs]
        return ListSource(
            self.logs, endless=True, on_poll=on_poll, joined=names if joined else (), wait_s=wait_s
        )


def kinds_of(world: World) -> dict[str, int]:
    return dict(world.ask("SELECT kind, count(*) FROM journal GROUP BY kind"))


@pytest.mark.parametrize("every_ms", [20, 200])
def test_a_member_that_always_brings_something_is_never_passed_over_however_far_behind(
    every_ms: int, tmp_path: Path
) -> None:
    world = World(tmp_path / "store", keep_all=True, batch_size=500)
    ahead = records(every(20, 400, "A"))
    behind = records(every(every_ms, 8_000 // every_ms, "B", 5))
    market = Market(world, {TRADES: ahead, ORDERS: behind}, [0, 250])
    world.run(market.source(step_s=0.02), polls=400)
    assert "idle" not in kinds_of(world)
    members = world.seen[-1].task.members
    assert members is not None
    assert members.late == [0, 0]


def test_a_member_that_falls_silent_is_passed_over_once_it_has_brought_nothing_for_so_long(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "store", keep_all=True, batch_size=500)
    ahead, quiet = records(every(20, 400, "A")), records(every(100, 20, "B"))  # until 1.9 s
    market = Market(world, {TRADES: ahead, ORDERS: quiet}, [0, 0])
    folded_at: dict[int, float] = {}
    source = market.source(step_s=0.02)
    began = world.time.s
    world.run(
        source,
        polls=200,
        watch=lambda step: folded_at.setdefault(step.task.members.newest - T0, world.time.s - began),  # type: ignore[union-attr]
    )
    assert kinds_of(world)["idle"] == 1
    late = min(at for time, at in folded_at.items() if time > 1_900 * MS)
    assert 2.4 <= late <= 2.6, "half a second after the last it brought, and a look"


def test_members_that_fall_silent_together_are_waited_for_once_and_not_in_turn(tmp_path: Path) -> None:
    world = World(tmp_path / "store", keep_all=True, batch_size=500)
    logs = {Partition(f"trades.{name}", f"t{name}", 0): records(every(100, 20, name, 10 * at))
            for at, name in enumerate("ABCDEF")}  # fmt: skip
    market = Market(world, logs, [0] * len(logs))
    folded_at: dict[int, float] = {}
    began = world.time.s
    world.run(
        market.source(step_s=0.02),
        polls=250,
        watch=lambda step: folded_at.setdefault(step.task.members.newest - T0, world.time.s - began),  # type: ignore[union-attr]
    )
    last = folded_at[1_950 * MS]
    assert 2.4 <= last <= 2.8, "half a second after the last of them, and a look"
    assert kinds_of(world)["idle"] <= len(logs)


def test_timers_come_while_all_members_are_busy(tmp_path: Path) -> None:
    quiet, busy = [(T0, trade(T0, 1.0, symbol="QUIET"))], every(100, 290, "BUSY", 50)
    worlds = {}
    for name in ("alone", "joined"):
        world = worlds[name] = World(
            tmp_path / name,
            plan=plan_of(rules=SILENT, detectors=" {}"),
            timer_every_s=1.0,
            keep_all=True,
            batch_size=500,
        )
        parts = quiet + busy[::2], busy[1::2]
        members = dict(zip((TRADES, ORDERS), map(records, parts), strict=True))
        if name == "alone":
            members = {TRADES: records(quiet + busy)}
        market = Market(world, members, [0, 60][: len(members)])
        world.run(market.source(step_s=0.05, joined=name == "joined"), polls=600)
    ticks = {name: kinds_of(world)["tick"] for name, world in worlds.items()}
    assert ticks["joined"] >= ticks["alone"] - 2 > 20
    told = {
        name: [(json.loads(body[3])["symbol"], body[2]) for body in world.alerts()]
        for name, world in worlds.items()
    }
    assert ("QUIET", "fired") in told["joined"]
    assert told["joined"] == told["alone"]
    recording = tmp_path / "all.jsonl.gz"
    joined = worlds["joined"]
    joined.record(recording, market.logs)
    again = refolded(joined.plan, recording)
    assert again.told == told_by(joined.store)
    assert differences(left_states(joined.plan, joined.store, joined.checkpoints), again.states) == []


def test_no_instrument_looks_silent_whose_records_wait_for_another_member(tmp_path: Path) -> None:
    world = World(
        tmp_path / "store", plan=plan_of(rules=SILENT, detectors=" {}"), timer_every_s=1.0, keep_all=True
    )
    busy, gone_quiet = records(every(100, 900, "BUSY")), records(every(100, 50, "OTHER"))  # until 4.9 s
    market = Market(world, {TRADES: busy, ORDERS: gone_quiet}, [0, 0])
    world.run(market.source(step_s=0.1, wait_s=30.0), polls=330)  # not passed over by then
    assert "idle" not in kinds_of(world)
    (newest,) = world.ask("SELECT max(ts_ns) FROM journal WHERE kind = 'tick'")[0]
    assert newest <= T0 + 6 * S, "time stands still while records wait"
    world.run(market.source(step_s=0.1, wait_s=30.0), polls=400)
    fired = [json.loads(body[3])["symbol"] for body in world.alerts() if body[2] == "fired"]
    assert fired == ["OTHER"], "told when it had been passed over"


def test_time_goes_on_while_members_bring_nothing_but_what_is_not_used(tmp_path: Path) -> None:
    world = World(
        tmp_path / "store", plan=plan_of(rules=SILENT, detectors=" {}"), timer_every_s=1.0, keep_all=True
    )
    junk = [(T0 + at * 100 * MS, b"{") for at in range(1, 300)]
    members = {
        TRADES: records([(T0, trade(T0, 1.0, symbol="QUIET")), *junk]),
        ORDERS: records([(time + 50 * MS, value) for time, value in junk]),
    }
    market = Market(world, members, [0, 60])
    world.run(market.source(step_s=0.05), polls=500)
    assert [json.loads(body[3])["symbol"] for body in world.alerts()] == ["QUIET"]
