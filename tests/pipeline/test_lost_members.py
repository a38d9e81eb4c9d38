"""Joined logs that lost a member, or some of its records, while a stored journal is to be replayed."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from list_source import ListSource, MemoryLog
from market_bytes import T0, S, market, records, trade
from pipeline_world import Crash, Time, World, cycle, state_bytes
from test_joined_logs import order_of

from streamer.messages.records import Partition, Record

TRADES, ORDERS, MORE = (Partition(f"trades.{name}", f"t{name}", 0) for name in ("a", "b", "c"))
WHOLE = market(400, seed=3)


@dataclass
class Mortal(Time):
    """The process dies when it asks for the time this often."""

    left: int = 0

    def now(self) -> float:
        self.left -= 1
        if self.left == 0:
            raise Crash
        return self.s


def joined(world: World, logs: list[MemoryLog], sizes: tuple[int, ...] = (50,)) -> ListSource:
    def on_poll(_: int) -> None:
        world.time.s += 1

    topics = [TRADES.topic, ORDERS.topic, MORE.topic]
    return ListSource(logs, cycle(sizes), endless=True, on_poll=on_poll, joined=topics)


def quiet(of: Partition, first: int = 0, count: int = 1) -> MemoryLog:
    """A member that brings next to nothing."""
    values = [(T0 + at * S, trade(T0 + at * S, 1.0, symbol="Q")) for at in range(first, first + count)]
    return MemoryLog(of, records(values, first), first=first)


def checkpointed(folder: Path) -> World:
    """The quiet members have brought all that they have, and a checkpoint covers it."""
    world = World(folder, every_s=1e9, keep_all=True, batch_size=50)
    world.run(joined(world, [MemoryLog(TRADES, WHOLE[:100]), quiet(ORDERS), quiet(MORE)]), polls=10)
    return world


def killed_with_a_journal_of_one_member(folder: Path) -> World:
    """What the busy member brought since is in the journal."""
    world = checkpointed(folder)
    world.killed(joined(world, [MemoryLog(TRADES, WHOLE[:300]), quiet(ORDERS), quiet(MORE)]), polls=20)
    pending = world.ask("SELECT data FROM journal WHERE seq > (SELECT max(seq) FROM checkpoints)")
    assert any(data.startswith("[[[0,") for (data,) in pending)
    return world


def told(world: World) -> list[str]:
    return [text for rule, text in world.service_alerts() if rule == "log_gap"]


def test_a_member_that_is_gone_when_a_journal_is_replayed_is_told_once_it_is(tmp_path: Path) -> None:
    world = killed_with_a_journal_of_one_member(tmp_path / "store")
    left = [MemoryLog(TRADES, WHOLE), quiet(MORE)]
    world.run(joined(world, left), polls=2)  # the replay is not done yet
    world.run(joined(world, left), polls=30)
    (text,) = told(world)
    assert "trades.b[0] is not there any more, read up to offset" in text
    assert [gone is not None for (gone,) in world.ask("SELECT gone_at FROM members ORDER BY place")] == [
        False, True, False,
    ]  # fmt: skip
    world.run(joined(world, left), polls=5)
    assert told(world) == [text]
    states = world.seen[-1].task.members
    assert states is not None
    assert states.idle[1]


def test_records_that_a_member_lost_before_a_journal_is_replayed_are_told_once_it_is(tmp_path: Path) -> None:
    world = killed_with_a_journal_of_one_member(tmp_path / "store")
    logs = [MemoryLog(TRADES, WHOLE), quiet(ORDERS, 50, 10), quiet(MORE)]
    world.killed(source := joined(world, logs), polls=2)  # before the replay is done
    assert source.positions[ORDERS] >= 50, "it is read where it begins"
    assert told(world) == []
    world.run(joined(world, logs), polls=40)
    (text,) = told(world)
    assert "trades.b[0] has lost offsets 1 to 49 before they were read" in text
    assert world.ask("SELECT first, last, data FROM journal WHERE kind = 'gap'") == [(1, 49, "1")]
    world.run(joined(world, logs), polls=5)
    assert told(world) == [text]
    assert {at for partition, at in order_of(world) if partition == ORDERS} == {0, *range(50, 60)}


def test_the_state_is_the_same_whether_a_member_was_lost_at_work_or_the_journal_says_so(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    logs = [MemoryLog(TRADES, WHOLE), quiet(ORDERS)]
    source = joined(world, logs)
    source.wait_s = 1e9
    world.run(source, polls=3)  # a checkpoint has what both brought, and the other is waited for
    source = joined(world, logs)
    source.wait_s = 1e9
    before = source.on_poll

    def on_poll(number: int) -> None:
        before(number)
        if number == 5:
            assert source.assignments is not None
            source.assignments.lose([ORDERS])  # type: ignore[attr-defined]
            source.logs = logs[:1]

    source.on_poll = on_poll
    world.killed(source, polls=20)
    lost_at_work = state_bytes(world.seen[-1].task, tmp_path / "live")
    world.seen.clear()
    world.run(joined(world, logs[:1]), polls=20)
    assert world.ask("SELECT place FROM members WHERE gone_at NOTNULL") == [(1,)]
    assert state_bytes(world.seen[-1].task, tmp_path / "replayed") == lost_at_work


def test_what_was_read_before_a_damaged_range_is_not_folded_again_by_a_log_that_starts_afresh(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    parts: list[list[Record]] = [[], []]
    for record in WHOLE:
        of = parts[record.offset % 2]
        of.append(Record(len(of), record.value, record.timestamp))
    busy = MemoryLog(TRADES, parts[0])
    damaged = MemoryLog(ORDERS, parts[1], damaged=[(10, 11)])
    world.killed(joined(world, [busy, damaged], (20,)), polls=7)
    read_to = max(at for partition, at in order_of(world) if partition == ORDERS)
    assert read_to > 60
    world.seen.clear()
    damaged.damaged.append((20, 21))
    source = joined(world, [busy, damaged])
    source.sizes = chain([0, 20] * 3, cycle([20]))  # the replay waits for the busy one meanwhile
    world.run(source, polls=60)
    assert min(at for of, at in order_of(world) if of.topic == ORDERS.topic) > read_to


def test_a_log_that_starts_afresh_since_a_member_is_gone_goes_on_without_it(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    busy, other = MemoryLog(TRADES, WHOLE[:200]), quiet(ORDERS, 0, 30)
    world.killed(joined(world, [busy, other]), polls=10)
    world.seen.clear()
    world.run(joined(world, [MemoryLog(TRADES, WHOLE)]), polls=20)
    assert len(order_of(world)) > 50
    texts = told(world)
    assert "trades.b[0] has lost offsets 0 to " in texts[0]
    assert "trades.b[0] is not there any more" in texts[1]
    gone = "SELECT place FROM members JOIN tasks ON id = task_id WHERE ended_at IS NULL AND gone_at NOTNULL"
    assert world.ask(gone) == [(1,)]


def test_a_loss_is_told_even_where_the_journal_turns_out_to_be_damaged(tmp_path: Path) -> None:
    world = killed_with_a_journal_of_one_member(tmp_path / "store")
    damaged = MemoryLog(TRADES, WHOLE, damaged=[(140, 149)])
    world.run(joined(world, [damaged, quiet(ORDERS, 50, 10)]), polls=30)
    texts = [text for _, text in world.service_alerts()]
    assert sum("trades.a[0] is damaged: offsets 140 to 149" in text for text in texts) == 1
    assert sum("trades.b[0] has lost offsets 1 to 49" in text for text in texts) == 1
    assert sum("trades.c[0] is not there any more" in text for text in texts) == 1
    world.run(joined(world, [damaged, quiet(ORDERS, 50, 10)]), polls=5)
    assert [text for _, text in world.service_alerts()] == texts


def test_a_loss_is_told_even_where_the_process_dies_once_its_log_starts_afresh(tmp_path: Path) -> None:
    """Where the new log begins lies behind what is lost, so a process that comes later cannot find it."""
    world = killed_with_a_journal_of_one_member(tmp_path / "store")
    logs = [MemoryLog(TRADES, WHOLE, damaged=[(140, 149)]), quiet(ORDERS, 50, 10)]

    def dead_at(moment: int) -> World:
        copy = world.copied(tmp_path / str(moment))
        copy.time = Mortal(copy.time.s, moment)
        with suppress(Crash):
            copy.run(joined(copy, logs), polls=10)
        return copy

    def begun(moment: int) -> bool:
        return dead_at(moment).ask("SELECT count(*) FROM tasks") == [(2,)]

    first = bisect_left(range(200), True, key=begun)  # the first moment behind the new log's commit
    for moment in (first - 1, first):
        copy = World(tmp_path / str(moment), every_s=1e9, keep_all=True, batch_size=50)
        copy = copy if copy.store.exists() else dead_at(moment)
        copy.time = Time(world.time.s)
        copy.run(joined(copy, logs), polls=10)
        texts = [text for _, text in copy.service_alerts()]
        for loss in ("trades.b[0] has lost offsets 1 to 49", "trades.c[0] is not there any more"):
            assert sum(loss in text for text in texts) == 1, (moment - first, texts)


def test_of_a_topic_that_is_known_a_new_partition_begins_at_its_first_record(tmp_path: Path) -> None:
    """What it holds was written since, however long it took until it was found; a new topic is aligned."""
    anew, second = ORDERS._replace(incarnation="anew"), TRADES._replace(partition=1)
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    trades = MemoryLog(TRADES, WHOLE[:100])
    world.run(joined(world, [trades, quiet(ORDERS)]), polls=10)
    world.run(joined(world, [trades]), polls=10)
    for more, first in ((quiet(anew, 0, 3), 0), (quiet(MORE, 0, 3), 2)):
        source = joined(world, [trades, more])
        source.align = lambda known, of=more: {of.partition: 2}  # type: ignore[misc]
        world.seen.clear()
        world.run(source, polls=10)
        assert min(at for of, at in order_of(world) if of == more.partition) == first
    world = World(tmp_path / "all", every_s=1e9, keep_all=True)
    names = [TRADES.topic]
    world.run(ListSource([trades, quiet(second._replace(partition=2))], cycle([50]), joined=names))
    world.seen.clear()
    logs = [trades, quiet(second, 0, 3), quiet(second._replace(partition=2))]
    world.run(ListSource(logs, cycle([50]), joined=names, align=lambda known: {second: 2}))
    assert min(at for of, at in order_of(world) if of == second) == 0
