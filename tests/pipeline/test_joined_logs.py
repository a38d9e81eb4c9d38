"""Several partitions joined to one log: merged by their times, whatever came when, and folded again alike."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from list_source import ListSource, MemoryLog
from market_bytes import MS, T0, S, market, records, trade
from pipeline_world import Crash, World, cycle, plan_of, state_bytes
from refolded import differences, left_states, refolded, told_by
from test_crash_anywhere import Killer, seeds

from streamer.app.replay import replay
from streamer.messages.records import NO_TIME, Partition, Record
from streamer.sources.recording.recording_source import RecordingSource

TRADES, ORDERS, MORE = (Partition(f"trades.{name}", f"t{name}", 0) for name in ("a", "b", "c"))
MEMBERS = (TRADES, ORDERS, MORE)


def split(whole: Sequence[Record], of: Sequence[int]) -> list[MemoryLog]:
    """The records of one topic in several, each at offsets of its own."""
    parts: list[list[Record]] = [[] for _ in MEMBERS]
    for record, member in zip(whole, of, strict=True):
        offset = len(parts[member]) + 100 * member
        parts[member].append(Record(offset, record.value, record.timestamp, record.key, record.headers))
    return [
        MemoryLog(member, part, first=100 * place)
        for place, (member, part) in enumerate(zip(MEMBERS, parts, strict=True))
    ]


def joined(logs: Sequence[MemoryLog], sizes: Sequence[int] = (40,), **more: Any) -> ListSource:
    return ListSource(list(logs), cycle(sizes), joined=[member.topic for member in MEMBERS], **more)


def without_places(alerts: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Alerts without ids, sources and offsets, in the order of what they say."""
    found = []
    for _, number, transition, body, config, decision, *_ in alerts:
        document = json.loads(body)
        del document["id"], document["source"]
        found.append((number, transition, json.dumps(document), config, decision))
    return sorted(found, key=repr)


def rising(count: int, seed: int) -> list[Record]:
    """A market whose records have times of their own, no two alike, so that one order is right."""
    found = market(count, seed=seed, symbols=4, junk=0.04)
    times = sorted({record.timestamp + at * MS for at, record in enumerate(found)})
    assert len(times) == count
    return [
        Record(at, record.value, time) for at, (record, time) in enumerate(zip(found, times, strict=True))
    ]


def keyed_alike(whole: Sequence[Record]) -> list[int]:
    return [0 if b'"trade"' in (record.value or b"") else 1 + record.offset % 2 for record in whole]


def keyed_differently(whole: Sequence[Record]) -> list[int]:
    return [random.Random(record.offset).randrange(3) for record in whole]


@pytest.mark.parametrize("keyed", [keyed_alike, keyed_differently])
def test_joined_topics_are_folded_as_the_one_topic_that_they_are_parts_of(keyed: Any, tmp_path: Path) -> None:
    whole = rising(900, seed=5)
    alone, several = World(tmp_path / "alone"), World(tmp_path / "joined", keep_all=True)
    alone.run(ListSource([MemoryLog(TRADES, whole)], cycle([40])))
    several.run(joined(split(whole, keyed(whole)), (31, 7, 90)))
    assert len(alone.alerts()) > 100
    assert without_places(several.alerts()) == without_places(alone.alerts())
    scored = [sorted(map(repr, world.scores().values())) for world in (alone, several)]
    assert scored[0] == scored[1]
    assert sum(count for *_, count in alone.ask("SELECT count(*) FROM dead_letters")) == sum(
        count for *_, count in several.ask("SELECT count(*) FROM dead_letters")
    )
    assert several.ask("SELECT count(*) FROM tasks") == [(1,)]
    commits = sum(step.outcome.visible for step in several.seen) + len(several.completed)
    kinds = dict(several.ask("SELECT kind, count(*) FROM journal GROUP BY kind"))
    assert kinds["batch"] <= commits + kinds.get("idle", 0), "members share a row"


@pytest.mark.parametrize("batch_size", [1, 7, 500, 5_000])
def test_no_size_of_batches_or_polls_changes_anything(batch_size: int, tmp_path: Path) -> None:
    whole = rising(500, seed=6)
    logs = split(whole, keyed_differently(whole))
    worlds = World(tmp_path / "a", batch_size=40), World(tmp_path / "b", batch_size=batch_size)
    worlds[0].run(joined(logs))
    worlds[1].run(joined(logs, (batch_size, 1, 60)))
    assert worlds[0].alerts() == worlds[1].alerts()
    assert worlds[0].dead() == worlds[1].dead()
    ends = [state_bytes(world.seen[-1].task, tmp_path / str(n)) for n, world in enumerate(worlds)]
    assert ends[0] == ends[1]


class Growing:
    """Members that are written while they are read, some of them not for a while."""

    def __init__(self, logs: Sequence[MemoryLog], chance: random.Random) -> None:
        self.chance, self.whole = chance, logs
        self.logs = [MemoryLog(log.partition, log.records, log.first, end=log.first) for log in logs]

    def grow(self) -> bool:
        for log, whole in zip(self.logs, self.whole, strict=True):
            if self.chance.random() < 0.15:
                log.end = min(whole.log_end, log.log_end + self.chance.randint(1, 25))
        return all(log.end == whole.log_end for log, whole in zip(self.logs, self.whole, strict=True))


def written_meanwhile(growing: Growing, source: ListSource, killer: Killer, number: int) -> None:
    source.endless = not growing.grow()
    killer.poll(number)


@pytest.mark.parametrize("seed", seeds(2, 20))
def test_killed_with_members_idle_and_late_all_is_as_a_fold_of_the_journal_says(
    seed: int, tmp_path: Path
) -> None:
    chance, whole = random.Random(seed), rising(700, seed=20 + seed)
    logs = split(whole, keyed_differently(whole))
    growing = Growing(logs, chance)
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True, whole_up_to=0)
    kills = 0
    while True:
        killer = Killer(world, chance.randint(1, 60) if kills < 12 else -1)
        source = joined(growing.logs, (30,), wait_s=0.1)
        source.on_poll = partial(written_meanwhile, growing, source, killer)
        world.batch_size = chance.choice([1, 3, 7, 50])
        try:
            world.run(source, clock=killer.clock, watch=killer.watch)
            break
        except Crash:
            kills += 1
    assert kills >= 5
    kinds = dict(world.ask("SELECT kind, count(*) FROM journal GROUP BY kind"))
    assert kinds["idle"] > 3
    assert kinds["tick"] > 10
    task = world.seen[-1].task
    assert task.members is not None
    assert sum(task.members.late) > 0, "what came after a wait is late"
    recording = tmp_path / "all.jsonl.gz"
    world.record(recording, logs)
    again = refolded(world.plan, recording)
    assert again.told == told_by(world.store)
    assert differences(left_states(world.plan, world.store, world.checkpoints), again.states) == []


def sample(times: Sequence[int], first: int = 0) -> list[Record]:
    values = [(time, trade(abs(time), 100.0 + at)) for at, time in enumerate(times)]
    return records(values, first)


def order_of(world: World) -> list[tuple[Partition, int]]:
    """Partition and offset of each event, in the order in which they were folded."""
    found = []
    for step in world.seen:
        for part in step.outcome.scores:
            if part.detector == "tape":
                members = step.task.log.members
                found += [
                    (members[source], offset)
                    for source, offset in zip(part.source.tolist(), part.offset.tolist(), strict=True)
                ]
    return found


def slow_merge(logs: Sequence[MemoryLog]) -> list[tuple[Partition, int]]:
    """By the highest record time so far, by place, by offset."""
    keyed = []
    for place, log in enumerate(logs):
        highest = 0
        for record in log.records:
            highest = max(highest, record.timestamp)
            keyed.append((highest, place, record.offset, log.partition))
    return [(partition, offset) for *_, offset, partition in sorted(keyed, key=lambda each: each[:3])]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(st.lists(st.integers(0, 40), max_size=25), min_size=2, max_size=3),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    batch_size=st.sampled_from([1, 3, 500]),
)
def test_the_order_is_that_of_the_rule(
    members: list[list[int]], sizes: list[int], batch_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    logs = [
        MemoryLog(member, sample([T0 + time * S for time in times]))
        for member, times in zip(MEMBERS, members, strict=False)
    ]
    world = World(tmp_path_factory.mktemp("w") / "store", batch_size=batch_size)
    world.run(joined(logs, sizes))
    assert order_of(world) == slow_merge(logs)


def test_members_without_record_times_are_merged_by_the_times_of_their_events(tmp_path: Path) -> None:
    times = [[T0, T0 + 20 * S, T0 + 30 * S], [T0 + 10 * S, T0 + 25 * S]]
    logs = [
        MemoryLog(member, [Record(at, trade(time, 100.0)) for at, time in enumerate(of_member)])
        for member, of_member in zip(MEMBERS, times, strict=False)
    ]
    assert logs[0].records[0].timestamp == NO_TIME
    world = World(tmp_path / "store", batch_size=1)
    world.run(joined(logs, (1, 2)))
    assert [offset for _, offset in order_of(world)] == [0, 0, 1, 1, 2]
    assert [place for place, _ in order_of(world)] == [TRADES, ORDERS, TRADES, ORDERS, TRADES]


def test_a_member_at_its_end_is_waited_for_and_then_passed_over_until_it_brings_something(
    tmp_path: Path,
) -> None:
    ahead = MemoryLog(TRADES, sample([T0 + at * S for at in range(20)]))
    quiet = MemoryLog(ORDERS, sample([T0 + 5 * S, T0 + 6 * S]), end=0)
    world = World(tmp_path / "store", keep_all=True)

    def on_poll(number: int) -> None:
        world.time.s += 0.2
        if number == 12:
            quiet.end, source.endless = 2, False

    source = joined([ahead, quiet], endless=True, on_poll=on_poll, wait_s=1.0)
    waited: list[int] = []
    world.run(source, watch=lambda step: waited.append(source.polls))
    assert min(waited) >= 6, "for a second"
    assert order_of(world) == [(TRADES, at) for at in range(20)] + [(ORDERS, 0), (ORDERS, 1)]
    assert world.journal()[0][1] == "idle"
    states = world.seen[-1].task.members
    assert states is not None
    assert (states.late, states.idle) == ([0, 2], [False, False])


@pytest.mark.parametrize("size", [1, 500])
def test_a_recording_has_what_a_member_brought_after_a_pause_where_it_was_folded(
    size: int, tmp_path: Path
) -> None:
    ahead = MemoryLog(TRADES, sample([T0 + at * S for at in range(20)]), end=5)
    quiet = MemoryLog(ORDERS, sample([T0 + 7 * S + MS, T0 + 9 * S + MS]), end=0)
    world = World(tmp_path / "store", keep_all=True)

    def on_poll(number: int) -> None:
        world.time.s += 0.2
        if number == 12:
            ahead.end, quiet.end, source.endless = 20, 2, False

    source = joined([ahead, quiet], endless=True, on_poll=on_poll, wait_s=1.0)
    world.run(source)
    order = order_of(world)
    assert [each for each in order if each[0] == ORDERS] != order[-2:], "merged with what the other brought"
    recording = tmp_path / "all.jsonl.gz"
    world.record(recording, [ahead, quiet])
    world.seen.clear()
    replay(world.plan, RecordingSource(recording, size), batch_size=size, watch=world.seen.append)
    assert order_of(world) == order


def test_dead_letters_of_members_at_the_same_offset_are_all_kept(tmp_path: Path) -> None:
    logs = [
        MemoryLog(member, records([(T0, b"{"), (T0 + S, b"{"), (T0 + 2 * S, b"[")])) for member in MEMBERS
    ]
    world = World(tmp_path / "store", plan=plan_of(flood=6))
    world.run(joined(logs))
    kept = world.ask("SELECT topic, member, offset FROM dead_letters ORDER BY n")
    assert len(kept) == 6
    assert {topic for topic, *_ in kept} == {member.topic for member in MEMBERS}
    counted = "first_member, first_offset, last_member, last_offset, count"
    assert world.ask(f"SELECT {counted} FROM dead_letter_floods") == [(0, 2, 2, 2, 3)]


def test_a_damaged_range_of_a_member_is_skipped_where_it_lies(tmp_path: Path) -> None:
    logs = split(rising(300, seed=9), [at % 3 for at in range(300)])
    logs[1].damaged = [(110, 119)]
    world = World(tmp_path / "store", keep_all=True)
    world.run(joined(logs, (9,)))
    dead = world.ask("SELECT topic, offset, last_offset FROM dead_letters WHERE reason = 'damaged_range'")
    assert dead == [(ORDERS.topic, 110, 119)]
    (told,) = [text for rule, text in world.service_alerts() if rule == "damaged_range"]
    assert "trades.b[0] is damaged: offsets 110 to 119" in told
    read = [at for partition, at in order_of(world) if partition == ORDERS]
    assert not set(read) & set(range(110, 120))
    assert read[-1] > 190


def test_records_that_a_member_has_lost_are_named_and_the_state_is_kept(tmp_path: Path) -> None:
    logs = split(rising(300, seed=9), [at % 3 for at in range(300)])
    world = World(tmp_path / "store")
    world.run(
        joined([MemoryLog(log.partition, log.records[:50], log.first) for log in logs], endless=True), 9
    )
    logs[2].first += 60
    world.run(joined(logs))
    (told,) = [text for rule, text in world.service_alerts() if rule == "log_gap"]
    assert "trades.c[0] has lost offsets " in told
    assert " to 259 before they were read" in told
    assert world.ask("SELECT count(*) FROM tasks") == [(1,)]
    assert world.seen[-1].task.log.key.incarnation == ""


def test_a_member_that_is_gone_and_one_that_was_made_anew_are_told_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    logs = split(rising(300, seed=11), [at % 3 for at in range(300)])
    begun = [MemoryLog(log.partition, log.records[:40], log.first) for log in logs]
    world = World(tmp_path / "store", plan=plan_of(max_instruments=9))
    world.run(joined(begun, endless=True), 9)
    source = joined([*logs[:1], *logs[2:]])
    world.run(source)
    (gone,) = [text for rule, text in world.service_alerts() if rule == "log_gap"]
    assert "trades.b[0] is not there any more, read up to offset" in gone
    again = MemoryLog(ORDERS._replace(incarnation="tb2"), sample([T0 + 10_000 * S]))
    with_all = [logs[0], again, logs[2]]
    world.run(joined(with_all))
    assert order_of(world)[-1] == (again.partition, 0)
    assert world.ask("SELECT place, incarnation FROM members ORDER BY place") == [
        (0, "ta"), (1, "tb"), (2, "tc"), (3, "tb2"),
    ]  # fmt: skip
    assert world.ask("SELECT count(*) FROM tasks") == [(1,)], "the log is the same, with its state"


def test_joining_topics_that_were_read_alone_goes_on_where_they_were(tmp_path: Path) -> None:
    logs = split(rising(600, seed=12), [at % 3 for at in range(600)])
    begun = [MemoryLog(log.partition, log.records[:90], log.first) for log in logs[:2]]
    world = World(tmp_path / "store")
    world.run(ListSource(begun, cycle([40]), endless=True), 9)
    opened = world.ask("SELECT count(*) FROM tasks WHERE ended_at IS NULL")
    assert opened == [(2,)]
    read = len(order_of(world))
    world.run(joined(logs))
    rows = world.ask("SELECT topic, partition, ended_why FROM tasks ORDER BY id")
    name = "trades.a+trades.b+trades.c"
    assert rows == [
        ("trades.a", 0, f"its topics are read as {name}[0] now"),
        ("trades.b", 0, f"its topics are read as {name}[0] now"),
        (name, 0, None),
    ]
    begins = world.ask("SELECT topic, count(*) FROM members WHERE task_id = 3 GROUP BY topic ORDER BY 1")
    assert begins == [("trades.a", 1), ("trades.b", 1), ("trades.c", 1)]
    rest = order_of(world)[read:]
    assert min(at for partition, at in rest if partition == TRADES) == 90
    assert min(at for partition, at in rest if partition == ORDERS) == 190
    assert min(at for partition, at in rest if partition == MORE) < 205
    open_ids = world.ask(
        "SELECT alert_id FROM outbox WHERE task_id < 3 GROUP BY alert_id HAVING max(number) = "
        "max(CASE WHEN transition = 'resolved' THEN number ELSE -1 END) = 0"
    )
    assert open_ids == [], "what was open is resolved"
    world.run(ListSource(logs, cycle([40])))
    assert world.ask("SELECT count(*) FROM tasks WHERE ended_at IS NULL") == [(3,)], "and apart again"


def test_taken_away_and_given_back_again_and_again_nothing_changes(tmp_path: Path) -> None:
    whole = rising(500, seed=13)
    logs = split(whole, keyed_differently(whole))
    undisturbed, disturbed = World(tmp_path / "a"), World(tmp_path / "b")
    undisturbed.run(joined(logs))
    source = joined(logs, (17, 5))

    def on_poll(number: int) -> None:
        if number % 3 == 0:
            source.revoke(logs)
            source.assign(logs)

    source.on_poll = on_poll
    disturbed.run(source)
    assert source.polls > 20
    assert disturbed.alerts() == undisturbed.alerts()
    assert disturbed.dead() == undisturbed.dead()
    ends = [
        state_bytes(world.seen[-1].task, tmp_path / str(n))
        for n, world in enumerate((undisturbed, disturbed))
    ]
    assert ends[0] == ends[1]


def test_a_partition_that_is_added_joins_the_log(tmp_path: Path) -> None:
    whole = rising(400, seed=14)
    parts = split(whole, keyed_differently(whole))
    logs = [
        MemoryLog(Partition("trades.a", "ta", number), log.records, log.first)
        for number, log in enumerate(parts)
    ]
    world = World(tmp_path / "store", every_s=1e9)
    source = ListSource(logs[:2], cycle([20]), joined=["trades.a"])

    def on_poll(number: int) -> None:
        if number == 4:
            source.logs = logs
            source.assign(logs)

    source.on_poll = on_poll
    world.run(source)
    assert world.ask("SELECT topic, partition, count(*) FROM tasks") == [("trades.a", -1, 1)]
    assert world.ask("SELECT place, partition FROM members") == [(0, 0), (1, 1), (2, 2)]
    assert {partition for partition, _ in order_of(world)} == {log.partition for log in logs}
    states = world.seen[-1].task.members
    assert states is not None
    assert states.late[2] > 0, "it began at its first record"
    again = World(tmp_path / "again")
    again.run(ListSource(logs, cycle([20]), joined=["trades.a"]))
    assert len(order_of(again)) == len(order_of(world))


def test_what_a_timer_of_a_joined_log_fired_names_the_log_and_ends_with_it(tmp_path: Path) -> None:
    logs = [
        MemoryLog(member, records([(T0 + at * MS, trade(T0 + at * MS, 100.0))]))
        for at, member in enumerate(MEMBERS)
    ]
    world = World(tmp_path / "store", timer_every_s=1.0)

    def on_poll(_: int) -> None:
        world.time.s += 1.1

    world.run(joined(logs, endless=True, on_poll=on_poll), polls=12)
    by_timer = [
        json.loads(body)
        for (body,) in world.ask("SELECT body FROM outbox WHERE rule = 'held' AND transition = 'fired'")
    ]
    name = "trades.a+trades.b+trades.c[0]"
    assert [body["source"]["log"] for body in by_timer] == [name]
    assert by_timer[0]["source"].keys() == {"log", "tick"}
    assert world.ask("SELECT DISTINCT topic FROM decisions WHERE offset IS NULL") == [(name[:-3],)]
    world.run(ListSource(logs, cycle([40])))
    ended = world.ask("SELECT alert_id FROM outbox WHERE transition = 'resolved' AND rule = 'held'")
    assert ended == [(by_timer[0]["id"],)]
