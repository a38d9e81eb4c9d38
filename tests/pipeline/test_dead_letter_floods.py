"""Dead letters: kept with their bytes, counted beyond a limit, and the same when derived again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, S, records, trade
from pipeline_world import World, cycle, plan_of

from streamer.messages.batch import DeadLetter
from streamer.messages.floods import Flood
from streamer.messages.records import NO_TIME
from streamer.pipeline.floods import FloodGate

MINUTE = 60 * S


Letter = tuple[DeadLetter, int]
"""A dead letter, and the log's time before it."""


def letter(offset: int, reason: str = "bad_json", minute: int | None = 7) -> Letter:
    log_time = int(NO_TIME) if minute is None else minute * MINUTE + offset * MS % MINUTE
    return DeadLetter(offset, 0, reason, "", None, T0), log_time


def sort(gate: FloodGate, letters: Sequence[Letter]) -> tuple[tuple[DeadLetter, ...], tuple[Flood, ...]]:
    times = {each.offset: log_time for each, log_time in letters}
    return gate.sort([(each.offset, each) for each, _ in letters], times.__getitem__)


def test_the_first_of_a_reason_and_minute_are_kept_and_the_rest_are_counted() -> None:
    gate = FloodGate(3)
    kept, floods = sort(gate, [letter(offset) for offset in range(5)])
    assert [each.offset for each in kept] == [0, 1, 2]
    assert [(each.minute, each.first_offset, each.last_offset, each.count) for each in floods] == [
        (7, 3, 4, 2)
    ]
    kept, floods = sort(
        gate, [letter(9), letter(10, "missing_field"), letter(11, minute=8), letter(12, minute=None)]
    )
    assert [each.offset for each in kept] == [10, 11, 12]
    assert [(each.first_offset, each.last_offset, each.count) for each in floods] == [(3, 9, 3)]


def test_a_late_record_still_counts_in_its_own_minute() -> None:
    gate = FloodGate(1)
    sort(gate, [letter(0, minute=7), letter(1, minute=8)])
    kept, floods = sort(gate, [letter(2, minute=7)])
    assert (kept, [each.count for each in floods]) == ((), [1])


def test_memory_is_bounded_and_the_oldest_minute_is_forgotten() -> None:
    gate = FloodGate(1)
    sort(gate, [letter(0, minute=0), letter(1, minute=0)])
    sort(gate, [letter(10 + minute, minute=minute) for minute in range(1, 2_000)])
    assert len(gate.document()) == 1_000
    kept, floods = sort(gate, [letter(5_000, minute=0), letter(5_001, minute=0)])
    assert [each.offset for each in kept] == [5_000]
    assert [(each.first_offset, each.count) for each in floods] == [(5_001, 1)], "a flood of its own"


LETTERS = st.lists(
    st.tuples(st.sampled_from(["bad_json", "null_value"]), st.sampled_from([1, 2, None])), max_size=60
)


@given(LETTERS, st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_cuts_and_restores_change_nothing(shape: list[tuple[str, int | None]], sizes: list[int]) -> None:
    letters = [letter(offset, reason, minute) for offset, (reason, minute) in enumerate(shape)]
    whole = FloodGate(4)
    kept, floods = sort(whole, letters)
    cut = FloodGate(4)
    found: list[DeadLetter] = []
    last: dict[tuple[str, int, int], Flood] = {}
    at = 0
    for size in cycle(sizes):
        if at >= len(letters):
            break
        some, flooding = sort(cut, letters[at : at + size])
        found += some
        last |= {(each.reason, each.minute, each.first_offset): each for each in flooding}
        at += size
        document = json.loads(json.dumps(cut.document()))
        cut = FloodGate(4)
        cut.restore(document)
    assert found == list(kept)
    assert set(last.values()) == set(floods)
    assert cut.document() == whole.document()


def junk_log(count: int, value: bytes | None = b"{") -> MemoryLog:
    return MemoryLog(LOG, records([(T0 + at * MS, value) for at in range(count)]))


def test_a_flood_is_one_row_with_a_range_and_one_alert(tmp_path: Path) -> None:
    world = World(tmp_path / "store", batch_size=4)
    world.run(ListSource([junk_log(40)], cycle([9])))
    assert [row[2] for row in world.dead() if len(row) == 11] == [0, 1, 2, 3, 4]
    assert world.dead()[-1][2:] == ("bad_json", -1, 5, 39, 35), "no event has told what time it is"
    ((rule, body),) = world.service_alerts()
    told = json.loads(body)
    assert rule == "dead_letter_flood"
    assert told["source"] == {
        "topic": "trades", "partition": 0, "offset": 5, "index": None, "reason": "bad_json",
    }  # fmt: skip
    assert told["config_hash"] == world.plan.config_hash


def test_a_flood_goes_by_the_logs_minute_and_not_by_what_its_records_say(tmp_path: Path) -> None:
    good = [(T0 + at * MINUTE, trade(T0 + at * MINUTE, 100.0)) for at in range(3)]
    stamped = [(T0 - 9_000 * MINUTE + at * MINUTE, b"{") for at in range(400)]
    values = [good[0], *stamped[:200], good[1], *stamped[200:], good[2]]
    found = []
    for size in (1, 7, 500):
        world = World(tmp_path / f"{size}", batch_size=size)
        world.run(ListSource([MemoryLog(LOG, records(values))]))
        found.append(world.dead())
        letters = [row for row in world.dead() if len(row) == 11]
        assert [row[2] for row in letters] == [1, 2, 3, 4, 5, 202, 203, 204, 205, 206]
        assert {row[10] for row in letters} == {T0 // MINUTE, T0 // MINUTE + 1}
        assert [row[2:4] + row[-1:] for row in world.dead() if len(row) != 11] == [
            ("bad_json", T0 // MINUTE, 195),
            ("bad_json", T0 // MINUTE + 1, 195),
        ]
    assert found[0] == found[1] == found[2]


def test_a_timer_begins_a_new_minute(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=1.0)
    log = MemoryLog(LOG, records([(T0, trade(T0, 100.0)), (T0, b"{")]))

    def poll(number: int) -> None:
        world.time.s += 20.0
        if number == 5:
            log.records += records([(T0, b"{")], first=2)

    world.run(ListSource([log], on_poll=poll, endless=True), polls=8)
    assert [row[10] for row in world.dead()] == [T0 // MINUTE, T0 // MINUTE + 1]


def test_counts_of_a_flood_never_fall_while_it_is_derived_again(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(ListSource([junk_log(40)], cycle([40])), 2)
    world.batch_size = 1
    world.killed(ListSource([junk_log(40)], cycle([10])), 2)
    assert world.dead()[-1][-1] == 35
    world.run(ListSource([junk_log(60)]))
    assert world.dead()[-1][-1] == 55


def test_bytes_are_kept_up_to_64_kb(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    values = [b"", None, b"x" * 65_536, b"y" * 65_537, b"\xff\x00" * 3]
    world.run(ListSource([MemoryLog(LOG, records([(int(NO_TIME), value) for value in values]))]))
    found = {row[2]: (row[6], row[7], row[8], row[9], row[10]) for row in world.dead()}
    assert found[0] == (b"", 0, 0, None, -1)
    assert found[1] == (None, 0, 0, None, -1)
    assert found[2] == (b"x" * 65_536, 0, 65_536, None, -1)
    assert found[3] == (b"y" * 65_536, 1, 65_537, None, -1)
    assert found[4] == (b"\xff\x00" * 3, 0, 6, None, -1)


def test_refusals_of_the_task_keep_their_bytes_and_their_order(tmp_path: Path) -> None:
    ahead = trade(T0 + 120 * S, 100.0)
    both = json.dumps([json.loads(trade(T0, 100.0)), json.loads(ahead), {"event_type": "trade"}]).encode()
    values = [(T0, trade(T0, 1.0, symbol=f"S{at}")) for at in range(5)] + [
        (T0, ahead),
        (T0, both),
        (T0, b"{"),
    ]
    world = World(tmp_path / "store", plan=plan_of(max_instruments=4))
    world.run(ListSource([MemoryLog(LOG, records(values))]))
    found = world.ask("SELECT offset, index_, reason FROM dead_letters ORDER BY n")
    assert found == [
        (4, 0, "too_many_instruments"),
        (5, 0, "ts_ahead"),
        (6, 0, "too_many_instruments"),
        (6, 1, "ts_ahead"),
        (6, 2, "no_symbol"),
        (7, 0, "bad_json"),
    ]
    assert world.ask("SELECT value FROM dead_letters WHERE offset = 6") == [(both,)] * 3
