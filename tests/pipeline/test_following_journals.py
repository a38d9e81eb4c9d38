"""A stored journal is followed to its end exactly as it was recorded, then the task is live."""

from __future__ import annotations

from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import Crash, World, cycle, state_bytes

from streamer.errors import TapewatchError
from streamer.messages.records import Partition, Record


def log_of(count: int = 200, holes: float = 0.0) -> MemoryLog:
    return MemoryLog(LOG, market(count, seed=9, holes=holes))


def test_timers_stand_where_they_stood(tmp_path: Path) -> None:
    """Two trades, silence in which timers fire and resolve, and a trade behind it."""
    log = MemoryLog(LOG, records([(T0, trade(T0, 100.0)), (T0 + S, trade(T0 + S, 100.0))]), end=2)
    world = World(tmp_path / "store", timer_every_s=1.0, every_s=1e9)
    later = Record(2, trade(T0 + 2 * S, 100.0), T0)

    def poll(number: int) -> None:
        world.time.s += 1.0
        if number == 20:
            log.records.append(later)
            log.end = 3

    world.killed(ListSource([log], on_poll=poll, endless=True), 40)
    before = world.alerts()
    assert [row[2] for row in before] == ["fired", "resolved", "fired", "resolved"] or len(before) >= 2
    assert b'"tick":' in before[0][3]
    journal = world.journal()
    kinds = [entry[1] for entry in journal]
    assert kinds[0] == "batch"
    assert kinds.count("batch") == 2
    numbers = [entry[4] for entry in journal if entry[1] == "tick"]
    assert numbers == list(range(1, len(numbers) + 1))
    world.seen.clear()
    world.run(ListSource([log], cycle([1])))
    followed = [step for step in world.seen if not step.live]
    assert [step.records for step in followed] == [
        count
        for entry in journal
        for count in ([1] * (entry[3] - entry[2] + 1) if entry[1] == "batch" else [0])
    ]
    assert world.alerts() == before


def test_ranges_of_one_journal_may_come_in_any_number_of_polls(tmp_path: Path) -> None:
    log = log_of(300, holes=0.2)
    whole = World(tmp_path / "whole")
    whole.run(ListSource([log]))
    first = World(tmp_path / "first", every_s=1e9)
    first.killed(ListSource([log], cycle([90])), 4)
    assert len(first.journal()) > 10
    for number, sizes in enumerate(([1], [3, 200], [1000], [7, 1, 50])):
        world = first.copied(tmp_path / f"copy{number}")
        world.batch_size = (1, 1000, 13, 4)[number]
        world.killed(ListSource([log], cycle(sizes), endless=True), 3)
        world.run(ListSource([log], cycle(sizes)))
        assert world.alerts() == whole.alerts()
        assert world.dead() == whole.dead()


def test_records_that_were_compacted_away_inside_a_range_change_nothing_where_they_meant_nothing(
    tmp_path: Path,
) -> None:
    """Null values, dead letters that are stored already: what compaction removes for good."""
    values = [(T0 + at * S, None if at % 5 == 4 else trade(T0 + at * S, 100.0 + at)) for at in range(40)]
    log = MemoryLog(LOG, records(values))
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log], cycle([16])), 4)
    dead = world.dead()
    assert world.journal()[-1][3] == 39
    compacted = MemoryLog(LOG, [record for record in log.records if record.value is not None], end=40)
    world.run(ListSource([compacted], cycle([16])))
    assert world.dead() == dead
    assert all(step.live is False for step in world.seen[-3:])
    (position,) = world.ask(
        "SELECT json_extract(positions, '$[0]') FROM checkpoints ORDER BY seq DESC LIMIT 1"
    )[0]
    assert position == 40


def test_a_task_whose_last_records_were_compacted_away_goes_live(tmp_path: Path) -> None:
    values = [(T0 + at * S, None if at >= 8 else trade(T0 + at * S, 100.0)) for at in range(10)]
    world = World(tmp_path / "store", every_s=1e9, timer_every_s=1.0)
    world.killed(ListSource([MemoryLog(LOG, records(values))]), 2)
    compacted = MemoryLog(LOG, records(values)[:8], end=10)

    def poll(number: int) -> None:
        world.time.s += 1.0
        if number == 5:
            compacted.records.append(Record(10, trade(T0 + 60 * S, 100.0), T0))
            compacted.end = 11

    engine = world.run(ListSource([compacted], on_poll=poll, endless=True), polls=8)
    assert [runner.live for runner in engine.runners.values()] == [True]
    assert world.seen[-1].task.watermark == T0 + 60 * S
    assert any(step.live and step.records == 0 for step in world.seen), "there were timers again"


def test_an_unreachable_source_does_not_pass_for_the_end_of_a_log(tmp_path: Path) -> None:
    log = log_of(50)
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log]), 2)
    source = ListSource([log], endless=True, reachable=False)
    engine = world.run(source, polls=5)
    assert [runner.live for runner in engine.runners.values()] == [False]
    assert world.files() == [], "no checkpoint while a script is being followed"


def test_recovery_that_is_killed_recovers(tmp_path: Path) -> None:
    log = log_of(300)
    whole = World(tmp_path / "whole")
    whole.run(ListSource([log]))
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log], cycle([50])), 5)
    for polls in (1, 2, 3, 1):
        world.killed(ListSource([log], cycle([50])), polls)
    world.run(ListSource([log], cycle([50])))
    assert world.alerts() == whole.alerts()
    assert world.dead() == whole.dead()
    (live,) = {step.task.partition: step.task for step in world.seen}.values()
    assert state_bytes(live, tmp_path) == state_bytes(whole.seen[-1].task, tmp_path)


@pytest.mark.parametrize("kind", ["promotion", "reset", "unheard-of"])
def test_an_entry_that_this_version_cannot_follow_stops_it(kind: str, tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log_of(60)]), 2)
    (last,) = world.ask("SELECT max(seq) FROM journal")[0]
    world.ask("INSERT INTO journal (task_id, seq, kind) VALUES (1, ?, ?)", last + 1, kind)
    before = world.alerts()
    with pytest.raises(TapewatchError, match=f"cannot replay the journal: it has an entry of kind '{kind}'"):
        world.run(ListSource([log_of(60)]))
    assert world.alerts() == before


def test_an_alert_that_is_derived_again_with_another_body_stops_the_task(tmp_path: Path) -> None:
    log = log_of()
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log]), 4)
    found = world.alerts()[3]
    tampered = found[3].replace(b'"severity":"', b'"severity":"un')
    world.ask("UPDATE outbox SET body = ? WHERE alert_id = ? AND number = ?", tampered, found[0], found[1])
    before = (world.alerts(), world.dead(), world.journal())
    with pytest.raises(TapewatchError, match="derived again with another body"):
        world.run(ListSource([log]))
    assert (world.alerts(), world.dead(), world.journal()) == before
    assert world.files() == []
    world.accept = True
    world.run(ListSource([log]))
    assert (tampered,) in world.ask("SELECT body FROM outbox")


def test_an_alert_that_had_never_been_raised_stops_the_task_too(tmp_path: Path) -> None:
    log = log_of()
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([log]), 4)
    gone = world.alerts()[0]
    world.ask("DELETE FROM decisions WHERE alert_id = ? AND number = ?", *gone[:2])
    world.ask("DELETE FROM outbox WHERE alert_id = ? AND number = ?", *gone[:2])
    with pytest.raises(TapewatchError, match=f"raised alert {gone[0]}.*not raised before"):
        world.run(ListSource([log]))
    assert gone[:2] not in [row[:2] for row in world.alerts()]
    world.accept = True
    world.run(ListSource([log]))
    assert gone[:2] in [row[:2] for row in world.alerts()]


def test_who_lost_a_task_writes_nothing_more(tmp_path: Path) -> None:
    log = log_of(200)
    world = World(tmp_path / "store", every_s=0.0)
    other = World(world.folder)

    def poll(number: int) -> None:
        world.time.s += 1
        if number == 3:
            other.killed(ListSource([log]), 1)
            before.append(
                (world.alerts(), world.dead(), world.journal(), world.ask("SELECT * FROM checkpoints"))
            )

    before: list[object] = []
    with pytest.raises(TapewatchError, match=r"trades\[0\] was taken over by another tapewatch"):
        world.run(ListSource([log], cycle([20]), poll))
    after = (world.alerts(), world.dead(), world.journal(), world.ask("SELECT * FROM checkpoints"))
    assert [after] == before


def test_a_task_given_up_and_taken_again_by_the_same_process_goes_on(tmp_path: Path) -> None:
    logs = [log_of(200), MemoryLog(Partition("trades", "t1", 1), market(200, seed=10))]
    whole = World(tmp_path / "whole")
    whole.run(ListSource(logs))
    world = World(tmp_path / "store", every_s=1e9)

    def poll(number: int) -> None:
        if number in (2, 5, 6):
            source.revoke(logs[:1])
        if number in (4, 6, 7):
            source.assign(logs[:1])

    source = ListSource(logs, cycle([30]), poll)
    world.run(source)
    assert world.alerts() == whole.alerts()
    assert world.ask("SELECT epoch FROM tasks") == [(4,), (1,)]


def test_a_partition_that_is_told_anew_without_having_been_taken_away_loses_nothing(tmp_path: Path) -> None:
    log = log_of(200)
    whole = World(tmp_path / "whole")
    whole.run(ListSource([log]))
    world = World(tmp_path / "store", every_s=1e9)

    def poll(number: int) -> None:
        if number == 3:
            log.first = log.records[55].offset
            source.assign([log])

    source = ListSource([log], cycle([30]), poll)
    world.run(source)
    assert world.alerts() == whole.alerts()
    assert world.service_alerts() == whole.service_alerts()


def test_positions_told_to_the_source_are_those_behind_a_checkpoint(tmp_path: Path) -> None:
    log = log_of(100)
    world = World(tmp_path / "store")
    source = ListSource([log], cycle([40]))
    world.run(source)
    assert source.told == [{LOG: 100}]
    assert source.closed


def test_dying_in_open_closes_the_source(tmp_path: Path) -> None:
    class Refusing(ListSource):
        def open(self, assignments: object) -> None:
            raise Crash

    source = Refusing([log_of(10)])
    with pytest.raises(Crash):
        World(tmp_path / "store").run(source)
    assert source.closed
