"""A plan that changes while the engine runs: the same as a restart with it, at the same place."""

from __future__ import annotations

from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import RULES, World, cycle, plan_of, state_bytes

from streamer.messages.records import Partition

RECORDS = market(300, seed=41)
OTHER_MOVE = RULES.replace("abs(return_bps_10s) > 3bps", "abs(return_bps_10s) > 4bps")
NO_HELD = RULES[: RULES.index("  held:")]
CHANGES = pytest.mark.parametrize("rules", [OTHER_MOVE, NO_HELD])


def source(size: int = 30) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([size]))


def reloaded(world: World, read: ListSource, rules: str, at_poll: int) -> None:
    """A run that turns to other rules before a poll, and reads to the end."""
    with world.process(read) as engine:
        read.on_poll = lambda number: engine.reload(plan_of(rules)) if number == at_poll else None
        engine.run(lambda: False)


@CHANGES
def test_at_work_and_by_a_restart_are_the_same(rules: str, tmp_path: Path) -> None:
    restarted, at_work = World(tmp_path / "restarted", every_s=1e9), World(tmp_path / "work", every_s=1e9)
    restarted.run(source(), polls=4)
    restarted.plan = plan_of(rules)
    restarted.run(source())
    reloaded(at_work, source(), rules, 5)
    assert at_work.alerts() == restarted.alerts()
    assert at_work.dead() == restarted.dead()
    assert [entry[1] for entry in at_work.journal()].count("reload") == 1
    assert state_bytes(at_work.seen[-1].task, tmp_path) == state_bytes(restarted.seen[-1].task, tmp_path)


@CHANGES
def test_what_was_read_before_is_committed_under_the_old_configuration(rules: str, tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    old = world.plan.config_hash
    reloaded(world, source(), rules, 5)
    (seq,) = [entry[0] for entry in world.journal() if entry[1] == "reload"]
    before = [entry for entry in world.journal() if entry[0] < seq]
    assert max(entry[3] for entry in before if entry[1] == "batch") == RECORDS[119].offset
    hashes = {
        config_hash
        for config_hash, offset in world.ask(
            "SELECT config_hash, d.offset FROM outbox JOIN decisions d USING (alert_id, number)"
        )
        if offset is not None and offset <= RECORDS[119].offset
    }
    assert hashes == {old}


@CHANGES
def test_a_kill_after_it_is_recovered_through_it(rules: str, tmp_path: Path) -> None:
    calm, killed = World(tmp_path / "calm", every_s=1e9), World(tmp_path / "killed", every_s=1e9)
    reloaded(calm, source(), rules, 5)
    read = source()
    with killed.process(read) as engine:

        def on_poll(number: int) -> None:
            if number == 5:
                engine.reload(plan_of(rules))
            if number == 7:
                raise KeyboardInterrupt

        read.on_poll = on_poll
        with pytest.raises(KeyboardInterrupt):
            engine.run(lambda: False)
    killed.plan = plan_of(rules)
    killed.run(source(11))
    assert killed.alerts() == calm.alerts()
    assert state_bytes(killed.seen[-1].task, tmp_path) == state_bytes(calm.seen[-1].task, tmp_path)


def test_a_task_that_follows_its_journal_turns_at_its_end(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(source(), 6)
    end = max(entry[3] for entry in world.journal())
    reloaded(world, source(7), OTHER_MOVE, 3)
    kinds = [(entry[1], entry[2]) for entry in world.journal()]
    assert kinds.count(("reload", -1)) == 1
    turned = kinds.index(("reload", -1))
    assert max(entry[3] for entry in world.journal()[:turned]) >= end
    straight = World(tmp_path / "straight", every_s=1e9)
    straight.killed(source(), 6)
    straight.plan = plan_of(OTHER_MOVE)
    straight.run(source())
    assert world.alerts() == straight.alerts()


def test_every_partition_turns_and_so_do_those_that_come_later(tmp_path: Path) -> None:
    logs = [MemoryLog(Partition("trades", "t1", number), market(100, seed=number)) for number in range(3)]
    world = World(tmp_path / "store")
    read = ListSource(logs[:2], cycle([20]))
    with world.process(read) as engine:

        def on_poll(number: int) -> None:
            if number == 2:
                engine.reload(plan_of(OTHER_MOVE))
            if number == 3:
                read.logs.append(logs[2])
                read.assign([logs[2]])

        read.on_poll = on_poll
        engine.run(lambda: False)
    assert {step.task.plan.config_hash for step in world.seen[-3:]} == {plan_of(OTHER_MOVE).config_hash}
    kinds = {task: [entry[1] for entry in world.journal(task)] for task in (1, 2, 3)}
    assert [kinds[task].count("reload") for task in (1, 2, 3)] == [1, 1, 0]
    assert len(world.ask("SELECT * FROM configs")) == 2


def test_the_same_plan_again_is_no_reload(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    reloaded(world, source(), RULES, 3)
    assert "reload" not in {entry[1] for entry in world.journal()}
