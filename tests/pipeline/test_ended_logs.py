"""Logs that end: episodes resolve, one alert tells it, and a new generation goes on when one is back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import World, cycle

from streamer.messages.records import Partition
from streamer.store.database import open_store
from streamer.store.ledger import Ledger
from streamer.store.log_alerts import DELETED, LEFT_OUT, LogEnd
from streamer.store.queries import AlertFilter, alerts

READ = 90
LOGS = [LOG._replace(partition=number) for number in range(3)]


def read_in_part(world: World, logs: list[MemoryLog]) -> None:
    world.run(ListSource(logs, cycle([30])), polls=READ // 30)


def log_of(partition: Partition = LOG) -> MemoryLog:
    return MemoryLog(partition, market(300, seed=11))


def end(world: World, reason: LogEnd = DELETED) -> int:
    """End every log of a store, as the daemon does between two polls."""
    database = open_store(str(world.store))
    try:
        ledger = Ledger(database, world.time, keep_all=world.keep_all)
        return ledger.end_logs(ledger.newest_tasks(), reason, world.plan.config_hash)
    finally:
        database.close()


def told(world: World, rule: str = "log_ended") -> list[dict[str, Any]]:
    return [json.loads(body) for name, body in world.service_alerts() if name == rule]


def last_transitions(world: World) -> list[tuple[str, bytes, str]]:
    query = (
        "SELECT o.transition, o.body, o.severity FROM outbox o JOIN (SELECT alert_id, max(number) AS number "
        "FROM outbox WHERE origin = 'detect' GROUP BY alert_id) USING (alert_id, number)"
    )
    return world.ask(query)


def open_ones(world: World) -> int:
    return sum(transition != "resolved" for transition, *_ in last_transitions(world))


def tasks(world: World) -> list[tuple[Any, ...]]:
    return world.ask(
        "SELECT m.incarnation, position, ended_at IS NOT NULL FROM tasks JOIN members m ON task_id = id "
        "ORDER BY id"
    )


def test_episodes_of_an_ended_log_resolve_with_the_reason_and_one_alert_tells_it(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    read_in_part(world, [log_of(partition) for partition in LOGS])
    left_open = open_ones(world)
    assert left_open > 0
    assert end(world) == left_open
    assert open_ones(world) == 0
    ended = [body for _, body, _ in last_transitions(world) if b"(over: the topic was deleted)" in body]
    assert len(ended) == left_open
    assert all(json.loads(body)["severity"] == severity for _, body, severity in last_transitions(world))
    (alert,) = told(world)
    assert alert["severity"] == "warning"
    assert alert["text"].startswith(
        f"{LOG.topic} (3 partitions) is not read any more: the topic was deleted; "
    )
    assert alert["values"] == {"episodes": float(left_open), "logs": 3.0}
    assert world.ask("SELECT count(*) FROM task_status") == [(0,)], "check says nothing of it"
    assert end(world) == 0, "it ends once"
    assert len(told(world)) == 1
    database = open_store(str(world.store))
    assert alerts(database, AlertFilter(only_open=True), None) == []
    database.close()


@pytest.mark.parametrize("keep_all", [False, True])
def test_a_log_that_is_back_goes_on_where_it_was_as_a_new_generation(keep_all: bool, tmp_path: Path) -> None:
    world, log = World(tmp_path / "store", keep_all=keep_all), log_of()
    read_in_part(world, [log])
    assert end(world, LEFT_OUT) > 0
    before = {row[0] for row in world.alerts()}
    world.run(ListSource([log]))
    first, second = tasks(world)
    assert (first[0], first[2]) == ("t1", 1)
    assert second == ("t1~1", READ, 0)
    fresh = World(tmp_path / "fresh")
    fresh.run(ListSource([MemoryLog(LOG._replace(incarnation="t1~1"), log.records, first=READ)]))
    after = [row for row in world.alerts() if row[0] not in before]
    assert after == fresh.alerts()
    assert after
    end(world)
    log.first = 310
    log.records += [record for record in market(320, seed=11) if record.offset >= 300]
    world.run(ListSource([log]))
    assert [task[0] for task in tasks(world)] == ["t1", "t1~1", "t1~2"]
    (gap,) = told(world, "log_gap")
    assert (gap["source"]["offset"], gap["source"]["last_offset"]) == (300, 309)


def test_a_killed_process_loses_no_reach(tmp_path: Path) -> None:
    world, log = World(tmp_path / "store", every_s=1e9), log_of()
    world.killed(ListSource([log], cycle([30])), 4)
    read_to = max(entry[3] for entry in world.journal()) + 1
    end(world)
    world.run(ListSource([log], cycle([30])), polls=1)
    assert tasks(world)[1][:2] == ("t1~1", read_to)


def test_a_new_topic_of_the_name_of_an_ended_one_is_read_from_its_beginning(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    read_in_part(world, [log_of()])
    end(world)
    world.run(ListSource([log_of(LOG._replace(incarnation="t2"))]))
    assert [task[:2] for task in tasks(world)] == [("t1", READ), ("t2", 0)]
    assert told(world, "log_gap") == [], "what was lost was told when it ended"


def test_a_topic_that_is_created_anew_is_told_once_for_all_its_partitions(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    read_in_part(world, [log_of(partition) for partition in LOGS])
    world.run(ListSource([log_of(partition._replace(incarnation="t2")) for partition in LOGS]), polls=1)
    (alert,) = told(world, "log_gap")
    assert f"{LOG.topic} (3 partitions) was deleted and created anew" in alert["text"]
    assert "offsets 90 of [0], 90 of [1], 90 of [2]" in alert["text"]
    assert [task[2] for task in tasks(world)] == [1, 1, 1, 0, 0, 0]


def test_an_episode_that_came_back_after_its_end_is_open_again(tmp_path: Path) -> None:
    """Open is what the highest number says."""
    world, log = World(tmp_path / "store"), log_of()
    back = (
        "SELECT o.alert_id FROM outbox o JOIN outbox r ON r.alert_id = o.alert_id AND r.number < o.number "
        "AND r.transition = 'resolved' WHERE o.transition <> 'resolved' AND o.number = "
        "(SELECT max(number) FROM outbox WHERE alert_id = o.alert_id)"
    )
    world.run(ListSource([log], cycle([10])), polls=1)
    while not (found := world.ask(back)):
        world.run(ListSource([log], cycle([10])), polls=1)
        assert world.seen[-1].task.watermark < log.records[-1].timestamp, "none comes back in this log"
    alert_id = found[0][0]
    assert alert_id in {alert["id"] for alert in open_alerts(world)}
    end(world)
    assert open_ones(world) == 0
    assert open_alerts(world) == []


def open_alerts(world: World) -> list[dict[str, Any]]:
    database = open_store(str(world.store))
    try:
        return alerts(database, AlertFilter(only_open=True), None)
    finally:
        database.close()
