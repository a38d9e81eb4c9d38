"""A condition that was true and held back by `for`: in the result log, bounded, and the same after a kill."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, quote, records, trade
from pipeline_world import World, cycle, plan_of

from streamer.decoding.formats import DecodeContext
from streamer.messages.outcome import NearMiss
from streamer.messages.records import Record
from streamer.pipeline.state import restore, snapshot
from streamer.pipeline.task import Task, Timer
from streamer.store.database import open_store
from streamer.store.near_misses import Keeping, forget_near_misses, near_misses
from streamer.store.queries import AlertFilter

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from daemon import tapewatch

COUNTED = "\n  often: {when: size > 5, on: trade, for: 3 of 5, clear: 1s, severity: critical}\n"
HELD = "\n  long: {when: size > 5, on: trade, for: 4s, clear: 1s}\n"
AT_ONCE = "\n  once: {when: size > 5, on: trade, clear: 1s}\n"


def fold(rules: str, steps: list[Record | Timer], sizes: list[int], put_away: bool = False) -> list[NearMiss]:
    plan = plan_of(rules, "")
    feed = plan.feed("trades")
    assert feed is not None
    context, task, found = DecodeContext("trades", feed.venue), Task(plan, LOG), list[NearMiss]()
    waiting: list[Record] = []

    def flush() -> None:
        nonlocal task
        if waiting:
            found.extend(task.step(feed.format.decode(waiting, context)).near_misses)
            waiting.clear()
            task = restore(plan, LOG, snapshot(task)) if put_away else task

    for at, step in enumerate(steps):
        if isinstance(step, Timer):
            flush()
            found += task.step(step).near_misses
            continue
        waiting.append(step)
        if len(waiting) >= sizes[at % len(sizes)]:
            flush()
    flush()
    return found


def sizes_at(*pairs: tuple[float, float]) -> list[Record | Timer]:
    """Trades of these sizes at these seconds."""
    return list(records([(T0 + int(at * S), trade(T0 + int(at * S), 100.0, size)) for at, size in pairs]))


def offsets(found: list[NearMiss]) -> list[int | None]:
    return [miss.offset for miss in found]


@pytest.mark.parametrize(
    ("rules", "pairs", "missed"),
    [
        (COUNTED, [(0, 1), (1, 9), (2, 1)], [1]),
        (COUNTED, [(0, 9), (1, 9), (2, 9), (3, 9)], [0]),
        (COUNTED, [(0, 9), (9.9, 9), (10, 1), (15, 1), (20, 1), (30, 9)], [0, 5]),
        (COUNTED, [(0, 9), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 9), (19, 9), (20, 1)], [0, 6]),
        (HELD, [(0, 9), (3.9, 9), (4, 1)], [0]),
        (HELD, [(0, 9), (2, 9), (4, 9), (5, 9)], [0]),
        (HELD, [(0, 1), (1, 1)], []),
        (AT_ONCE, [(0, 9), (1, 9), (12, 9)], []),
    ],
)
def test_what_is_one(rules: str, pairs: list[tuple[float, float]], missed: list[int]) -> None:
    assert offsets(fold(rules, sizes_at(*pairs), [100])) == missed


def test_it_says_what_an_alert_would_and_why_there_was_none() -> None:
    (miss,) = fold(COUNTED, sizes_at((0, 9)), [1])
    record = json.loads(miss.body)
    about = record["near_miss"]
    assert (about["rule"], about["severity"], about["symbol"], about["held_by"]) == (
        "often",
        "critical",
        "BTC",
        "for",
    )
    assert (about["for"], about["values"], about["id"]) == ("3 of 5", {"size": 9.0}, miss.id)
    assert about["source"]["offset"] == miss.offset == 0
    assert record["rule"]["explained"] == "size (9) > 5"
    assert record["event"]["size"] == 9.0
    assert record["versions"]["config_hash"] == plan_of(COUNTED, "").config_hash
    assert miss.held_by == "for"


def test_instruments_and_rules_are_counted_apart_in_the_order_of_events() -> None:
    values = [(T0 + at, trade(T0 + at, 1.0, 9.0, symbol)) for at, symbol in enumerate(["A", "B", "A", "B"])]
    found = fold(COUNTED + HELD[1:], list(records(values)), [100])
    seen = [json.loads(miss.body)["near_miss"] for miss in found]
    assert [(one["source"]["offset"], one["rule"]) for one in seen] == [
        (0, "often"),
        (0, "long"),
        (1, "often"),
        (1, "long"),
    ]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "trade", "quote", "tick"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from([1.0, 9.0]),
        st.sampled_from([0.0, 0.4, 3.0, 11.0, -5.0]),
    ),
    max_size=60,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_cuts_and_restores_change_nothing(
    events: list[tuple[str, str, float, float]], sizes: list[int]
) -> None:
    now, number, steps = T0, 0, list[Record | Timer]()
    for at, (kind, symbol, size, seconds) in enumerate(events):
        now += int(seconds * S)
        if kind == "tick":
            number += 1
            steps.append(Timer(number, now))
        else:
            value = trade(now, 1.0, size, symbol) if kind == "trade" else quote(now, 1.0, 2.0, symbol)
            steps.append(Record(at, value, now))
    rules = COUNTED + HELD[1:]
    whole = fold(rules, steps, [1000])
    assert fold(rules, steps, [1], put_away=True) == whole
    assert fold(rules, steps, sizes, put_away=True) == whole
    spaced: dict[tuple[str, str], int] = {}
    for miss in whole:
        about = json.loads(miss.body)["near_miss"]
        spaced[about["rule"], about["symbol"]] = spaced.get((about["rule"], about["symbol"]), 0) + 1
    times = [int(step.ts_ns if isinstance(step, Timer) else step.timestamp) for step in steps]
    clock = max(times, default=0) - min(times, default=0)
    assert all(count <= clock // (10 * S) + 1 for count in spaced.values())


def source(size: int = 30) -> ListSource:
    return ListSource([MemoryLog(LOG, market(300, seed=41))], cycle([size]))


def stored(world: World) -> list[tuple[Any, ...]]:
    return world.ask(
        "SELECT alert_id, number, held_by, offset, index_, body FROM decisions WHERE kind = 'near_miss' "
        "ORDER BY alert_id"
    )


def test_a_kill_neither_loses_nor_repeats_one(tmp_path: Path) -> None:
    calm, killed = World(tmp_path / "calm"), World(tmp_path / "killed", every_s=1e9)
    calm.run(source())
    for polls in range(2, 7):
        killed.killed(source(10 * polls), polls)
    damaged = killed.copied(tmp_path / "damaged")
    killed.run(source(7))
    damaged.batch_size = 1
    damaged.run(source(64))
    assert len(stored(calm)) > 3
    assert stored(killed) == stored(calm)
    assert stored(damaged) == stored(calm)
    assert len({row[0] for row in stored(calm)}) == len(stored(calm))


def test_it_waits_for_the_next_commit_and_raises_no_alert(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(COUNTED, ""), every_s=1e9)
    values = [(T0, trade(T0, 1.0, 9.0)), (T0 + S, trade(T0 + S, 1.0, 1.0))]
    read = ListSource([MemoryLog(LOG, records(values))], endless=True)
    with world.process(read) as engine:

        def on_poll(number: int) -> None:
            if number == 3:
                assert stored(world) == []
                raise KeyboardInterrupt

        read.on_poll = on_poll
        with pytest.raises(KeyboardInterrupt):
            engine.run(lambda: False)
    world.run(ListSource([MemoryLog(LOG, records(values))]))
    assert len(stored(world)) == 1
    assert world.alerts() == []


def test_a_state_from_before_there_were_any_is_taken_up() -> None:
    plan = plan_of(COUNTED, "")
    feed = plan.feed("trades")
    assert feed is not None
    task = Task(plan, LOG)
    steps = [step for step in sizes_at((0, 9), (1, 9)) if isinstance(step, Record)]
    task.step(feed.format.decode(steps[:1], DecodeContext("trades", "here")))
    taken = snapshot(task)
    for name in [name for name in taken.arrays if name.endswith("|missed_at")]:
        del taken.arrays[name]  # type: ignore[attr-defined]
    again = restore(plan, LOG, taken).step(feed.format.decode(steps[1:], DecodeContext("trades", "here")))
    assert offsets(list(again.near_misses)) == [1]


def test_the_command_lists_them(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(COUNTED + HELD[1:], ""))
    values = [(T0 + at, trade(T0 + at, 1.0, 9.0, symbol)) for at, symbol in enumerate(["A", "B"])]
    world.run(ListSource([MemoryLog(LOG, records(values))]))
    shown = tapewatch("alerts", "--store", world.store, "--near-misses")
    assert len(shown.stdout.splitlines()) == 5
    assert "for: 3 of 5" in shown.stdout
    assert "size (9) > 5" in shown.stdout
    done = tapewatch(
        "alerts", "--store", world.store, "--near-misses", "--rule", "often", "-n", "1", "--json"
    )
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["rule"], line["symbol"], line["held_by"]) == ("often", "B", "for")
    assert line["decision"]["event"]["size"] == 9.0
    assert "no alerts" in tapewatch("alerts", "--store", world.store).stdout
    refused = tapewatch("alerts", "--store", world.store, "--near-misses", "--open", expect=2)
    assert "--near-misses can only be combined with" in refused.stderr
    database = open_store(str(world.store))
    try:
        assert near_misses(database, AlertFilter(since_ns=T0 + 60 * S), None) == []
        assert near_misses(database, AlertFilter(symbol="A"), 5)[0]["symbol"] == "A"
    finally:
        database.close()


def test_why_says_what_one_was_decided_on(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(COUNTED + AT_ONCE[1:], ""))
    world.run(ListSource([MemoryLog(LOG, records([(T0, trade(T0, 1.0, 9.0))]))]))
    ((found, *_),) = stored(world)
    shown = tapewatch("why", found[:8], "--store", world.store).stdout
    assert shown.startswith("near miss  often  critical  here BTC  2023-11-14T22:13:20")
    assert "  held by    for: 3 of 5\n" in shown
    assert f"  id         {found[:8]}\n" in shown
    assert "  with       size (9) > 5\n" in shown
    assert "delivery" not in shown
    said = json.loads(tapewatch("why", found, "--store", world.store, "--json").stdout)
    listed = tapewatch("alerts", "--store", world.store, "--near-misses", "--json").stdout
    assert [said] == [json.loads(line) for line in listed.splitlines()]
    ((alert, *_),) = world.alerts()
    assert tapewatch("why", alert, "--store", world.store).stdout.startswith("fired #0  once  ")
    refused = tapewatch("why", "nosuch", "--store", world.store, expect=1)
    assert "no alert and no near miss 'nosuch'" in refused.stderr


def kept(world: World, keeping: Keeping) -> list[int]:
    """What is left of them, by offset."""
    database = open_store(str(world.store))
    with database.write() as connection:
        forget_near_misses(connection, keeping, world.time.now())
    database.close()
    return [row[0] for row in world.ask("SELECT offset FROM decisions WHERE kind = 'near_miss' ORDER BY n")]


def test_they_are_kept_for_a_time_and_up_to_a_number(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(COUNTED, ""))
    minutes = [
        (T0 + at * 60 * S, trade(T0 + at * 60 * S, 1.0, size)) for at, size in enumerate([9, 1, 1] * 6)
    ]
    source = ListSource([MemoryLog(LOG, records(minutes))], cycle([3]))
    source.on_poll = lambda number: setattr(world.time, "s", 1_000.0 + 60.0 * number)
    world.every_s = 0.0
    world.run(source)
    # one a poll, written within the minute in which it was read
    everything = kept(world, Keeping(1e9, 100))
    assert everything == [0, 3, 6, 9, 12, 15]
    transitions = world.ask("SELECT count(*) FROM decisions WHERE kind = 'transition'")
    times = world.ask("SELECT created_at FROM decisions WHERE kind = 'near_miss' ORDER BY n")
    oldest = world.time.now() - times[1][0]
    assert kept(world, Keeping(oldest, 100)) == everything[1:]
    assert kept(world, Keeping(1e9, 3)) == everything[-3:]
    assert kept(world, Keeping(world.time.now() - times[-1][0], 1)) == everything[-1:]
    assert kept(world, Keeping(1e9, 0)) == []
    assert world.ask("SELECT count(*) FROM decisions WHERE kind = 'transition'") == transitions


def test_a_checkpoint_forgets_what_is_not_kept(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(COUNTED, ""), keeping=Keeping(1e9, 2))
    minutes = [
        (T0 + at * 60 * S, trade(T0 + at * 60 * S, 1.0, 9.0 if at % 3 == 0 else 1.0)) for at in range(18)
    ]
    world.run(ListSource([MemoryLog(LOG, records(minutes))], cycle([3])))
    assert [row[3] for row in sorted(stored(world), key=lambda row: row[3])] == [12, 15]
