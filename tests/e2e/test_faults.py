"""A campaign of faults against one daemon under load: after each, every alert is told, and none twice."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broker.damaging import new_topic
from daemon import Daemon, tapewatch
from faults import CONFIG, Market, Watch
from stores import ask

HOUR_S = 3_600.0
READ_TO = (
    "SELECT max(json_extract(positions, '$[0]')) FROM checkpoints"
    " WHERE task_id = (SELECT id FROM tasks WHERE partition = 0)"
)

COMMITS = "SELECT value FROM meta WHERE key = 'commits'"
READ_OF_NEW = (
    "SELECT 1 FROM checkpoints c JOIN tasks t ON t.id = c.task_id"
    " WHERE partition = 2 AND json_extract(c.positions, '$[0]') > 0"
)


def broker_killed(at: Watch) -> str:
    at.broker.kill()
    at.broker.start()
    return "reads on"


def broker_paused(at: Watch) -> str:
    at.broker.freeze()
    at.for_a_while(3, 60)
    at.broker.thaw()
    return "reads on"


def broker_away(at: Watch) -> str:
    at.broker.kill()
    at.for_a_while(2, 120)
    at.broker.start()
    return "reads on"


def store_locked(at: Watch) -> str:
    with closing(sqlite3.connect(at.store, timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        at.for_a_while(2, 6)
    assert at.daemon.running
    return "waits for it, 10 s at most"


def disk_full(at: Watch) -> str:
    """No file may grow beyond what the log has: the store's next pages find no room."""
    pid, room = at.daemon.pid, at.daemon.log.stat().st_size + 65_536
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, hard))
    said = at.ended()
    assert "Traceback" not in said
    assert str(at.store) in said
    at.begin()
    return "stops and says so; the next start goes on"


def move_log_into(store: Path) -> None:
    """So that the database's file has all that was committed until now."""
    with closing(sqlite3.connect(store, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def store_corrupted(at: Watch) -> str:
    backup = at.store.with_name("backup")
    tapewatch("backup", backup, "-c", at.config)
    time.sleep(1)
    at.daemon.kill()
    move_log_into(at.store)
    at.store.with_name(at.store.name + "-wal").unlink(missing_ok=True)  # it would mend the database
    size = at.store.stat().st_size
    with at.store.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(size - 4_096))
    refused = tapewatch("run", "-c", at.config, expect=1)
    assert "Traceback" not in refused.stderr
    assert str(at.store) in refused.stderr
    tapewatch("restore", backup, "-c", at.config, "--overwrite")
    at.begin()
    return "a start refuses it; restored from a backup, it goes on with the same ids"


def log_lost(at: Watch) -> str:
    before = len(at.service_alerts("store_older"))
    bare = at.store.with_name("bare.db")
    while True:
        move_log_into(at.store)
        at.caught_up()
        time.sleep(1)
        at.daemon.kill()
        shutil.copy(at.store, bare)
        if ask(bare, COMMITS) != ask(at.store, COMMITS):
            break  # else all that counts had just been moved into the database, and nothing would be lost
        at.begin()
    at.store.with_name(at.store.name + "-wal").unlink()
    at.begin()
    at.daemon.wait_until(lambda: len(at.service_alerts("store_older")) > before, "that the store is older")
    return "`store_older`; it goes on where the store is, with the same ids"


def checkpoints_damaged(at: Watch) -> str:
    at.daemon.kill()
    rows = ask(at.store, "SELECT file, max(seq) FROM checkpoints GROUP BY task_id")
    for name, _ in rows:
        file = at.checkpoints / name
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    assert rows
    at.begin()
    at.daemon.wait_until(lambda: at.said("checkpoint skipped") >= len(rows), "that they are damaged")
    return "falls back to the older one"


def terminated(at: Watch) -> str:
    began = time.monotonic()
    assert at.daemon.stop() == 0
    assert time.monotonic() - began < 30
    at.begin()
    return "exit code 0 after its last checkpoint; the next start goes on"


def hung_up(at: Watch) -> str:
    signals = 40
    for number in range(signals):
        before = at.said("reloaded")
        os.kill(at.daemon.pid, signal.SIGHUP)
        if number % 4 == 0:  # the others come while it reloads
            at.daemon.wait_until(lambda before=before: at.said("reloaded") > before, "a reload", 30)
        time.sleep(0.02)
    return "reloads; signals that come meanwhile are one more reload"


def retention(at: Watch) -> str:
    """Both ends move while it is away: what was read, and half of what was not."""
    at.caught_up()
    at.market.pause()
    assert at.daemon.stop() == 0
    ((first,),) = ask(at.store, READ_TO)
    at.market.go_on()
    time.sleep(2)
    at.market.pause()
    end = first + 8
    at.take_away(0, first, end)
    assert at.taken_away
    at.market.go_on()
    before = len(at.service_alerts("log_gap"))
    at.begin()
    at.daemon.wait_until(lambda: len(at.service_alerts("log_gap")) > before, "the gap", 60)
    source = at.service_alerts("log_gap")[-1]["source"]
    assert (source["offset"], source["last_offset"]) == (first, end - 1)
    return "`log_gap` names exactly the offsets that Kafka deleted; it goes on behind them"


def clock_set(at: Watch) -> str:
    """An hour ahead, two back, and as it was, while it runs; it is started with a clock that can be set."""
    assert at.daemon.stop() == 0
    ahead = at.config.with_suffix(".ahead")
    ahead.write_text("0")
    at.begin(moved=True)
    for by_s in (HOUR_S, -HOUR_S, 0.0):
        ahead.write_text(str(by_s))
        time.sleep(1.5)
    return "goes on; nothing waits for the clock"


def partitions_added(at: Watch) -> str:
    from kafka.admin import NewPartitions

    at.admin(lambda client: client.create_partitions({at.topic: NewPartitions(total_count=3)}))
    at.daemon.wait_until(lambda: ask(at.store, READ_OF_NEW), "trades of the new one")
    return "reads the new ones from their beginning"


def topic_made_anew(at: Watch) -> str:
    at.caught_up()
    at.market.disconnect()
    at.admin(lambda client: client.delete_topics([at.topic]))
    at.daemon.wait_until(lambda: at.service_alerts("log_ended"), "that the log has ended", 60)
    new_topic(at.broker, at.topic, 3)
    at.market.connect()
    at.market.go_on()
    return "`log_ended`, open episodes resolve; the new topic is read from its beginning"


FAULTS: dict[str, Callable[[Watch], str]] = {
    "broker killed": broker_killed,
    "broker paused": broker_paused,
    "broker away": broker_away,
    "store locked": store_locked,
    "disk full": disk_full,
    "store corrupted": store_corrupted,
    "write-ahead log lost": log_lost,
    "checkpoints damaged": checkpoints_damaged,
    "SIGTERM": terminated,
    "40 SIGHUPs": hung_up,
    "retention past the offset": retention,
    "wall clock set back and forth": clock_set,
    "partitions added": partitions_added,
    "topic deleted and made anew": topic_made_anew,
}


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "long"])
def watch(request: pytest.FixtureRequest, own_broker: Any, slack: Any, tmp_path: Path) -> Any:
    broker = own_broker()
    topic = new_topic(broker, "trades.faults", 2)
    config = tmp_path / "tapewatch.yaml"
    hook = slack.webhook_url("ops")
    config.write_text(CONFIG.format(bootstrap=broker.bootstrap, store=config.with_suffix(".db"), hook=hook))
    market = Market(broker.bootstrap, topic)
    daemon = Daemon(config)
    at = Watch(broker, topic, config, slack, daemon, market, request.param)
    at.begin()
    yield at
    if daemon.running:
        daemon.kill()
    market.end()


@pytest.mark.timeout(1_800)
def test_whatever_happens_nothing_is_lost_and_nothing_is_told_twice(watch: Watch) -> None:
    watch.caught_up()
    rows = []
    for name, fault in FAULTS.items():
        before, began = len(watch.told()), time.monotonic()
        outcome = fault(watch)
        watch.caught_up()
        told = watch.told()
        twice = sum(len(ids) > 1 for ids in told.values())
        rows.append(
            f"| {name} | {outcome} | {len(told) - before} | 0 | {twice} | {time.monotonic() - began:.1f} s |"
        )
        print(rows[-1], flush=True)
        assert twice == 0, {symbol: ids for symbol, ids in told.items() if len(ids) > 1}
    watch.caught_up(goes_on=False)
    assert watch.daemon.stop() == 0
    assert watch.told().keys() == set(watch.market.told_of) - watch.taken_away
    assert "Traceback" not in watch.daemon.output()
