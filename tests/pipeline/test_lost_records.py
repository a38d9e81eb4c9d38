"""A log that has lost records: named once, never passed over, and no id ever means two alerts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import World, cycle, state_bytes

from streamer.messages.records import Partition


def market_log() -> MemoryLog:
    return MemoryLog(LOG, market(300, seed=11))


def gaps(world: World) -> list[tuple[int, int | None]]:
    found = []
    for rule, body in world.service_alerts():
        if rule == "log_gap":
            source = json.loads(body)["source"]
            found.append((source["offset"], source.get("last_offset")))
    return found


def incarnations(world: World) -> list[str]:
    return [row[0] for row in world.ask("SELECT incarnation FROM tasks ORDER BY id")]


def open_alerts(world: World) -> int:
    last = "SELECT alert_id, max(number), transition FROM outbox WHERE origin = 'detect' GROUP BY alert_id"
    return int(world.ask(f"SELECT count(*) FROM ({last}) WHERE transition <> 'resolved'")[0][0])


def test_records_lost_while_it_stood_still_are_named_and_the_state_is_kept(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store")
    world.run(ListSource([log], cycle([30])), polls=3)
    log.first = 120
    world.run(ListSource([log]))
    assert gaps(world) == [(90, 119)]
    assert incarnations(world) == ["t1"]
    assert ("gap", 90, 119) in [entry[1:4] for entry in world.journal()]
    holed = World(tmp_path / "holed")
    holed.run(ListSource([MemoryLog(LOG, log.records[:90] + log.records[120:])]))
    assert world.alerts() == holed.alerts()
    assert state_bytes(world.seen[-1].task, tmp_path) == state_bytes(holed.seen[-1].task, tmp_path)


def test_a_gap_is_named_once_however_often_it_is_met(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store", every_s=1e9)
    world.run(ListSource([log], cycle([30])), polls=3)
    log.first = 120
    world.killed(ListSource([log], cycle([30])), 1)
    world.killed(ListSource([log], cycle([30])), 3)
    world.run(ListSource([log], cycle([30])))
    assert gaps(world) == [(90, 119)]
    assert incarnations(world) == ["t1"]
    log.first = 130
    world.run(ListSource([log]))
    assert gaps(world) == [(90, 119)]


def test_a_gap_behind_which_nothing_was_journaled_yet_grows_into_a_second_one(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store")
    world.run(ListSource([log], cycle([30])), polls=3)
    log.first = 120
    world.killed(ListSource([log]), 1)
    log.first = 150
    world.run(ListSource([log]))
    assert gaps(world) == [(90, 119), (120, 149)]


def test_where_the_journal_cannot_be_folded_again_the_task_starts_afresh(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store", every_s=1e9)
    world.run(ListSource([log], cycle([30])), polls=2)
    world.killed(ListSource([log], cycle([30])), 4)
    read_to = max(entry[3] for entry in world.journal()) + 1
    before = world.alerts()
    assert open_alerts(world) > 0
    log.first = 70
    assert read_to > 70
    world.killed(ListSource([log]), 1)
    assert gaps(world) == [(60, 69)]
    assert incarnations(world) == ["t1", "t1~1"]
    assert open_alerts(world) == 0, "nobody would ever resolve what the old task left open"
    texts = world.ask("SELECT body FROM outbox WHERE origin = 'detect' ORDER BY n DESC LIMIT 1")
    assert b"(over: records it rests on are no longer in the log)" in texts[0][0]
    assert world.ask("SELECT position FROM members WHERE task_id = 2") == [(read_to,)]
    assert not any(name.startswith("task1-") for name in world.files())
    assert {row[:4] for row in before} <= {row[:4] for row in world.alerts()}
    world.run(ListSource([log]))
    fresh = World(tmp_path / "fresh")
    again = MemoryLog(LOG._replace(incarnation="t1~1"), log.records, first=read_to)
    fresh.run(ListSource([again]))
    ids = {row[0] for row in fresh.alerts()}
    assert ids
    assert ids.isdisjoint(row[0] for row in before)
    assert [row for row in world.alerts() if row[0] in ids] == fresh.alerts()
    assert gaps(world) == [(60, 69)]


def test_a_journal_of_timers_alone_is_followed_before_a_gap(tmp_path: Path) -> None:
    log = MemoryLog(LOG, records([(T0 + at * S, trade(T0 + at * S, 100.0)) for at in range(2)]))
    world = World(tmp_path / "store", every_s=1e9, timer_every_s=1.0)
    world.run(ListSource([log]))

    def poll(_: int) -> None:
        world.time.s += 1.0

    world.killed(ListSource([log], on_poll=poll, endless=True), 30)
    assert {entry[1] for entry in world.journal()[1:]} == {"tick"}
    before = world.alerts()
    assert before
    log.records = records([(T0 + 90 * S, trade(T0 + 90 * S, 100.0))], first=9)
    log.first = 9
    world.run(ListSource([log]))
    assert gaps(world) == [(2, 8)]
    assert incarnations(world) == ["t1"]
    assert {row[:4] for row in before} <= {row[:4] for row in world.alerts()}


@pytest.mark.parametrize("clean", [True, False])
def test_a_log_that_ends_before_what_was_read_starts_afresh_at_its_end(clean: bool, tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store", every_s=1e9)
    if clean:
        world.run(ListSource([log], cycle([50])), polls=3)
    else:
        world.killed(ListSource([log], cycle([50])), 4)
    read_to = 150 if clean else max(entry[3] for entry in world.journal()) + 1
    before = world.alerts()
    log.records = log.records[:100] + market(100, seed=12, first=100)
    log.end = 100
    world.killed(ListSource([log]), 1)
    log.end = 200
    world.run(ListSource([log]))
    assert gaps(world) == [(100, read_to - 1)]
    assert incarnations(world) == ["t1", "t1~1"]
    old = {row[0] for row in before}
    new = {row[0] for row in world.alerts()} - old
    assert new, "the same offsets hold other records now, and their alerts have ids of their own"
    assert world.ask("SELECT min(offset) FROM decisions WHERE task_id = 2")[0][0] >= 100
    log.end = 120
    world.run(ListSource([log]))
    assert incarnations(world) == ["t1", "t1~1", "t1~2"]


def test_a_log_of_which_nothing_that_was_read_is_left_in_either_direction(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store")
    world.run(ListSource([log], cycle([50])), polls=4)
    log.first, log.end = 40, 60
    world.run(ListSource([log]))
    assert gaps(world) == [(60, 199)]
    log.end = None
    world.run(ListSource([log]))
    assert world.seen[-1].task.partition.incarnation == "t1~1"


def test_a_topic_created_anew_is_another_log(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(ListSource([market_log()], cycle([50])), polls=4)
    before = world.alerts()
    assert open_alerts(world) > 0
    anew = MemoryLog(LOG._replace(incarnation="t2"), market(300, seed=11), start=250)
    world.run(ListSource([anew]))
    other = World(tmp_path / "other")
    other.run(ListSource([MemoryLog(anew.partition, anew.records)]))
    assert {row[0] for row in before}.isdisjoint(row[0] for row in other.alerts())
    new = {row[0] for row in other.alerts()}
    assert [row for row in world.alerts() if row[0] in new] == other.alerts()
    (told,) = [json.loads(body) for rule, body in world.service_alerts() if rule == "log_gap"]
    assert "trades[0] was deleted and created anew; what it held from offset 200 on" in told["text"]
    of_old = "SELECT alert_id, transition FROM outbox WHERE task_id = 1 AND origin = 'detect' ORDER BY n"
    rows = world.ask(of_old)
    assert set(dict(rows).values()) == {"resolved"}
    world.run(ListSource([anew]))
    assert [rule for rule, _ in world.service_alerts()].count("log_gap") == 1


def test_a_damaged_newest_checkpoint_and_a_gap_together_keep_the_older_state(tmp_path: Path) -> None:
    log = market_log()
    world = World(tmp_path / "store", keep_all=False)
    world.run(ListSource([log], cycle([30])), polls=7)
    world.run(ListSource([log], cycle([30])), polls=1)
    (newest, older) = world.ask(
        "SELECT file, json_extract(positions, '$[0]') FROM checkpoints ORDER BY seq DESC"
    )
    (world.checkpoints / newest[0]).write_bytes(b"")
    world.ask("DELETE FROM journal WHERE seq > (SELECT min(seq) FROM checkpoints)")
    log.first = 250
    world.run(ListSource([log]))
    assert gaps(world) == [(older[1], 249)]
    assert incarnations(world) == ["t1"]
    assert Partition(*world.ask("SELECT topic, incarnation, partition FROM tasks")[0]) == LOG
