"""Timers: how time passes in the fold while nothing comes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, records, trade
from pipeline_world import World, cycle, plan_of

from streamer.messages.records import Partition


def run_with_timers(
    world: World, log: MemoryLog, polls: int, step_s: float = 1.0, **changes: object
) -> ListSource:
    def poll(number: int) -> None:
        world.time.s += step_s
        for name, at in changes.items():
            if isinstance(at, tuple) and at[0] == number:
                setattr(source, name, at[1])

    source = ListSource([log], cycle([50]), poll, endless=True)
    world.run(source, polls=polls)
    return source


def timers(world: World, task: int = 1) -> list[tuple[int, int]]:
    return world.ask("SELECT tick_number, ts_ns FROM journal WHERE kind = 'tick' AND task_id = ?", task)


def trades(*seconds: float) -> MemoryLog:
    times = [T0 + int(at * S) for at in seconds]
    return MemoryLog(LOG, records([(ts, trade(ts, 100.0)) for ts in times]))


def test_timers_count_from_the_watermark_with_the_time_that_passes(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True)
    run_with_timers(world, trades(0, 5), 6)
    numbers, times = zip(*timers(world), strict=True)
    assert numbers == tuple(range(1, len(numbers) + 1))
    assert len(numbers) >= 5
    assert [round((ts - T0) / S, 3) for ts in times] == [5.0 + at for at in range(len(times))]


def test_no_timer_before_the_first_event_nor_where_it_is_off(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0)
    run_with_timers(world, trades(), 5)
    assert timers(world) == []
    off = World(tmp_path / "off", timer_every_s=None)
    run_with_timers(off, trades(0), 5)
    assert timers(off) == []


def test_no_timer_while_there_is_a_backlog_or_an_outage(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True)
    log = trades(*range(20))
    source = ListSource([log], cycle([2]), endless=True)
    seen: list[int] = []

    def poll(number: int) -> None:
        world.time.s += 1.0
        source.reachable = not 15 < number < 30
        seen.append(len(timers(world)) if number > 1 else 0)

    source.on_poll = poll
    world.run(source, polls=40)
    assert source.positions[LOG] == 20
    journal = world.journal()
    assert [entry[1] for entry in journal if entry[3] == 19] == ["batch"]
    first_timer = next(at for at, entry in enumerate(journal) if entry[1] == "tick")
    assert all(entry[3] <= 19 for entry in journal[:first_timer])
    assert max(entry[3] for entry in journal[:first_timer]) == 19
    outage = [timer[1] for timer in timers(world)]
    steps = np.diff(outage) / S
    assert steps.max() > 10, "none was made while nothing could be fetched"
    assert sorted(steps)[-2] == pytest.approx(1.0)


def test_timers_stay_in_step_over_restarts_and_never_run_back(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True, every_s=3.0)
    log = trades(0, 1)
    run_with_timers(world, log, 8)
    for _ in range(2):
        world.time.s += 1_000.0
        before = len(timers(world))
        run_with_timers(world, log, 6)
        assert len(timers(world)) >= before + 4, "they go on at once"
    world.killed(ListSource([log], cycle([5]), lambda _: None, endless=True), 3)
    log.records = trades(0, 1, 4).records
    run_with_timers(world, log, 6)
    numbers, times = zip(*timers(world), strict=True)
    assert numbers == tuple(range(1, len(numbers) + 1))
    assert np.diff(times).min() > 0
    assert np.diff(times).max() <= 2 * S, "a restart is no silence"


def test_a_timer_finds_an_episode_due_and_another_one_over(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0)
    run_with_timers(world, trades(0), 16)
    rows = world.ask("SELECT transition, ts_event_ns, body FROM outbox WHERE rule = 'held' ORDER BY n")
    assert [row[0] for row in rows] == ["fired", "resolved"]
    assert [(row[1] - T0) / S for row in rows] == [3.0, 11.0]
    assert all(b'"offset":null' in row[2] and b'"tick":' in row[2] for row in rows)


QUIET = "\n  quiet: {when: silence_s > 30, on: timer, clear: 0s}\n"


def test_a_backlog_of_long_steps_is_no_silence(tmp_path: Path) -> None:
    """The running time stands still where all steps are longer than `max_ahead`; reading on is no silence."""
    values = []
    for bar in range(40):
        ts = T0 + bar * 300 * S
        values += [(ts, trade(ts, 100.0, 1.0, symbol)) for symbol in ("S0", "S1", "S2")]
    world = World(tmp_path / "store", plan=plan_of(QUIET), timer_every_s=1.0)
    source = ListSource([MemoryLog(LOG, records(values))], cycle([3]), endless=True)

    def poll(number: int) -> None:
        world.time.s += 1.0

    source.on_poll = poll
    world.run(source, polls=60)
    assert source.positions[LOG] == len(values)
    assert world.ask("SELECT count(*) FROM outbox") == [(0,)], "it is read to its end for twenty seconds"
    world.run(ListSource([MemoryLog(LOG, records(values))], on_poll=poll, endless=True), polls=20)
    rows = world.ask("SELECT transition, symbol, ts_event_ns FROM outbox ORDER BY n")
    assert [row[:2] for row in rows] == [("fired", "S0"), ("fired", "S1"), ("fired", "S2")]
    assert {(row[2] - values[-1][0]) // S for row in rows} <= {31, 32}, (
        "the watermark, and what has passed since"
    )


@dataclass
class Busy(ListSource):
    """A topic in which there is more to read at each so many looks."""

    every: int = 0
    looks: int = 0

    def at_end(self) -> frozenset[Partition]:
        self.looks += 1
        return frozenset() if self.every and self.looks % self.every == 0 else super().at_end()


@pytest.mark.parametrize("every", [0, 20, 5, 2])
def test_a_liar_makes_nobody_look_silent(tmp_path: Path, every: int) -> None:
    world = World(tmp_path / "store", plan=plan_of(QUIET), timer_every_s=1.0)
    log = MemoryLog(LOG, [])

    def poll(number: int) -> None:
        world.time.s += 1.0
        now = T0 + number * S
        lied = now + 3_600 * S if 5 < number < 80 else now
        some = [(now, trade(now, 100.0, 1.0, symbol)) for symbol in ("S0", "S1")]
        liar = [(lied, trade(lied, 100.0, 1.0, "S2"))] if number < 80 else []
        log.records += records([*some, *liar], first=len(log.records))

    source = Busy([log], on_poll=poll, endless=True, every=every)
    world.run(source, polls=160)
    rows = world.ask("SELECT transition, symbol FROM outbox WHERE origin = 'detect' ORDER BY n")
    assert rows[:1] == [("fired", "S2")], "only the liar, once it is silent"
    assert {row[1] for row in rows} == {"S2"}


def quiet_with_bars(folder: Path, bars_s: int, silence_s: int) -> list[tuple[str]]:
    """Who seems silent where three instruments have bars for two hours, and then S0 alone for two."""
    rule = f"\n  quiet: {{when: silence_s > {silence_s}, on: timer, clear: 0s}}\n"
    world, log = World(folder, plan=plan_of(rule, ""), timer_every_s=600.0), MemoryLog(LOG, [])
    seen: list[int] = []

    def poll(number: int) -> None:
        world.time.s += 10.0
        if number == 720:
            seen.extend(row[0] for row in world.ask("SELECT count(*) FROM outbox"))
        symbols, now = ("S0", "S1", "S2") if number <= 720 else ("S0",), T0 + number * 10 * S
        if number * 10 % bars_s == 0:
            bars = [(now, trade(now, 100.0, 1.0, symbol)) for symbol in symbols]
            log.records += records(bars, first=len(log.records))

    world.run(ListSource([log], on_poll=poll, endless=True), polls=1_440)
    assert seen == [0]
    return world.ask("SELECT DISTINCT symbol FROM outbox WHERE origin = 'detect' ORDER BY symbol")


def test_bars_further_apart_than_max_ahead_are_no_silence_between_timers_ten_minutes_apart(
    tmp_path: Path,
) -> None:
    assert quiet_with_bars(tmp_path / "five", 300, 310) == [("S1",), ("S2",)]
    assert quiet_with_bars(tmp_path / "seven", 420, 430) == [("S1",), ("S2",)]


def test_instruments_beyond_the_limit_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    values = [(T0 + at * S, trade(T0 + at * S, 100.0, symbol=f"S{at % 6}")) for at in range(30)]
    world = World(tmp_path / "store", plan=plan_of(max_instruments=4, flood=100), batch_size=7)
    world.run(ListSource([MemoryLog(LOG, records(values))]))
    task = world.seen[-1].task
    assert [each.symbol for each in task.slots.instruments] == ["S0", "S1", "S2", "S3"]
    assert [row[2] for row in world.dead()] == [at for at in range(30) if at % 6 > 3]
    world.run(ListSource([MemoryLog(LOG, records(values + values[:6]))]))
    assert [row[2] for row in world.dead()][-2:] == [34, 35]
