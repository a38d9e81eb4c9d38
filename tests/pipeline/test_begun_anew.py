"""Checkpoints that are lost or of no use: detection begins anew, and nothing old is sent again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import World, cycle, state_bytes

from streamer.config.load import load_text
from streamer.errors import TapewatchError
from streamer.messages.records import Partition, Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.recovery import Anew
from streamer.store.database import open_store
from streamer.store.pruning import Pruning, Retention
from streamer.store.silences import StoreSilences

RECORDS = market(400, seed=21)


def source(first: int = 0, size: int = 30, upto: int = 400) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS[:upto], first=first)], cycle([size]))


def left_at(world: World, polls: int = 6) -> int:
    """Stopped twice, killed behind; how far it had come."""
    world.run(source(), polls=polls // 2)
    world.run(source(), polls=polls // 2)
    world.every_s = 1e9
    world.killed(source(), 3)
    world.ask("UPDATE outbox SET routed = 1")
    return max(last for _, kind, _, last, _ in world.journal() if kind == "batch") + 1


def lose_checkpoints(world: World) -> None:
    for path in world.checkpoints.glob("task*"):
        path.unlink()


def told(world: World, rule: str) -> list[str]:
    return [json.loads(body)["text"] for name, body in world.service_alerts() if name == rule]


def test_lost_checkpoints_are_an_error_that_names_the_ways_on(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    left_at(world)
    lose_checkpoints(world)
    with pytest.raises(
        TapewatchError, match=r"restore a backup.*run --fold-again.* from offset 0 on.*--models-anew"
    ):
        world.run(source())
    with pytest.raises(TapewatchError) as refused:
        world.run(source(first=10))
    assert "--fold-again" not in str(refused.value), "Kafka no longer holds everything"
    assert "--models-anew" in str(refused.value)
    world.anew = Anew.LOST
    with pytest.raises(
        TapewatchError, match="cannot be folded again: it began at offset 0, and Kafka holds it only"
    ):
        world.run(source(first=10))


def test_folded_again_it_is_as_if_nothing_had_been_lost_and_nothing_old_is_sent_again(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "store")
    reach = left_at(world)
    lose_checkpoints(world)
    before = world.ask("SELECT alert_id, number FROM outbox")
    dead = world.dead()
    world.anew = Anew.LOST
    world.run(source())
    assert world.ask(
        "SELECT m.incarnation, position, settled FROM members m JOIN tasks ON id = task_id "
        "WHERE ended_at IS NULL"
    ) == [("t1~1", 0, reach)]
    # what a store that had nothing before says, but for what lies before the offset that was reached
    fresh = World(tmp_path / "fresh")
    fresh.run(ListSource([MemoryLog(LOG._replace(incarnation="t1~1"), RECORDS)], cycle([30])))
    again = world.ask(
        "SELECT alert_id, number, body FROM outbox WHERE task_id = 2 AND origin = 'detect' ORDER BY 1, 2"
    )
    assert again == fresh.ask(
        "SELECT alert_id, number, body FROM outbox WHERE origin = 'detect' ORDER BY 1, 2"
    )
    offsets = "SELECT json_extract(CAST(body AS TEXT), '$.source.offset') FROM outbox WHERE task_id = 2"
    sent = world.ask(f"{offsets} AND origin = 'detect' AND routed = 0")
    assert sent
    standing = world.ask(
        "SELECT alert_id FROM outbox WHERE task_id = 2 AND origin = 'detect' AND routed = 0 AND "
        f"json_extract(CAST(body AS TEXT), '$.source.offset') < {reach}"
    )
    assert len(standing) == len(set(standing)), "of what stood at the reach the newest transition, once"
    kept = world.ask(f"{offsets} AND origin = 'detect' AND routed = 2")
    assert kept
    # nobody hears of the end of an episode of which nobody heard anything
    quiet = {row[0] for row in world.ask("SELECT alert_id FROM outbox WHERE routed = 2")}
    spoken = world.ask("SELECT alert_id, transition FROM outbox WHERE routed = 0 ORDER BY alert_id, number")
    first = dict(reversed(spoken))
    assert all(first.get(alert_id) != "resolved" for alert_id in quiet)
    assert {row[:4] for row in dead} == {row[:4] for row in world.dead() if row[2] < reach}, "stored once"
    (text,) = told(world, "detection_anew")
    assert text.startswith("detection began anew, since its checkpoints are lost")
    assert set(before) <= set(world.ask("SELECT alert_id, number FROM outbox"))
    still_open = world.ask(
        "SELECT count(*) FROM (SELECT max(number), transition, task_id FROM outbox WHERE origin = 'detect' "
        "GROUP BY alert_id) WHERE task_id = 1 AND transition <> 'resolved'"
    )
    assert still_open == [(0,)]
    world.run(source())
    assert len(told(world, "detection_anew")) == 1, "only where there is need"


STANDING = """
    SELECT rule, symbol, routed FROM outbox AS o WHERE origin = 'detect' AND task_id = {} AND
    transition <> 'resolved' AND number = (SELECT max(number) FROM outbox WHERE alert_id = o.alert_id)
"""


def test_folded_again_what_stands_is_told_under_its_new_id_before_the_old_one_ends(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    reach = left_at(world)
    stood = {row[:2] for row in world.ask(STANDING.format(1))}
    assert stood
    lose_checkpoints(world)
    world.anew = Anew.LOST
    ends = "SELECT count(*), sum(routed = 0) FROM outbox WHERE task_id = 1 AND routed <> 1"
    world.killed(source(upto=reach), 3)
    assert world.ask(ends) == [(len(stood), 0)], "none is said to be over while it stands"
    world.anew = Anew.NONE
    world.run(source(upto=reach))
    now = world.ask(STANDING.format(2))
    assert {row[:2] for row in now} == stood
    assert {row[2] for row in now} == {0}, "each is told"
    assert world.ask(ends) == [(len(stood), len(stood))]
    told_again = world.ask(
        "SELECT count(*) FROM outbox WHERE task_id = 2 AND routed = 0 AND origin = 'detect'"
    )
    assert told_again == [(len(stood),)], "and nothing else"
    world.ask("UPDATE outbox SET routed = 1 WHERE routed = 0")
    world.run(source(upto=reach))
    assert world.ask("SELECT count(*) FROM outbox WHERE routed = 0 AND origin = 'detect'") == [(0,)], "once"
    (text,) = told(world, "detection_anew")
    assert "Models warm up" not in text
    doubled = "SELECT count(*) FROM decisions WHERE kind = 'near_miss' GROUP BY offset, index_, held_by, body"
    assert all(count == 1 for (count,) in world.ask(doubled))


SILENCES = """
source:
  kafka: {bootstrap: "127.0.0.1:1"}
  topics: [{match: "trades*", format: tapewatch, venue: here}]
rules:
  quiet: {when: silence_s > 5, clear: 1s}
  quiet_long: {when: silence_s > 3, for: 4s, clear: 1s}
  one_of_them: {when: silence_s > 2 and symbol == "B", clear: 1s}
  ended: {when: size > 100, on: trade, clear: 1s}
"""
LONG_AGO = [(T0 + n * S // 10, trade(T0 + n * S // 10, 100.0, 1.0, "B")) for n in range(2)]
LATELY = [
    (T0 + n * S // 10, trade(T0 + n * S // 10, 100.0, 200.0 if n > 57 else 1.0, "A")) for n in range(2, 60)
]


def test_folded_again_what_timers_raised_stands_until_it_is_told_under_its_new_id(tmp_path: Path) -> None:
    plan = compile_plan(load_text(SILENCES))
    world = World(tmp_path / "store", plan, timer_every_s=1.0, every_s=3.0)

    def source() -> ListSource:
        found = ListSource([MemoryLog(LOG, records(LONG_AGO + LATELY))], cycle([20]), endless=True)

        def poll(_: int) -> None:
            world.time.s += 1.0

        found.on_poll = poll
        return found

    for _ in range(3):
        world.run(source(), polls=8)
    stood = sorted(row[:2] for row in world.ask(STANDING.format(1)))
    assert stood == [
        ("one_of_them", "B"),
        *((rule, each) for rule in ("quiet", "quiet_long") for each in "AB"),
    ]
    world.ask("UPDATE outbox SET routed = 1")
    lose_checkpoints(world)
    world.anew, world.keep_all = Anew.LOST, True
    sent = (
        "SELECT task_id, transition, rule, symbol FROM outbox WHERE origin = 'detect' AND routed = 0 "
        "ORDER BY n"
    )
    world.killed(source(), 3)
    assert world.ask(sent) == [], "until it has come to where it was"
    world.killed(source(), 4)
    told_now = world.ask(sent)
    told_anew, ended = told_now[: len(stood)], told_now[len(stood) :]
    assert {row[0] for row in told_anew} == {2}
    assert sorted(row[2:] for row in told_anew) == stood
    assert {row[:2] for row in ended} == {(1, "resolved")}, "and only then those of before end"
    assert sorted(row[2:] for row in ended) == stood
    (before,) = world.run(source(), polls=12).runners.values()
    assert world.ask(sent) == told_now, "nothing more is said"
    lose_checkpoints(world)  # all is in the journal
    world.timer_every_s = None
    (again,) = world.run(source(), polls=5).runners.values()
    assert world.ask(sent) == told_now
    states = [state_bytes(runner.task, tmp_path / "compared") for runner in (again, before)]
    assert states[0] == states[1]


def in_two() -> list[MemoryLog]:
    """The same events in two topics."""
    return [
        MemoryLog(
            Partition(f"trades.{name}", f"t{name}", 0),
            [Record(at, value, ts_ns) for at, (ts_ns, value) in enumerate(part)],
        )
        for name, part in zip("ab", (LONG_AGO + LATELY[1::2], LATELY[::2]), strict=True)
    ]


def as_time_passes(world: World, logs: list[MemoryLog]) -> ListSource:
    def poll(_: int) -> None:
        world.time.s += 1.0

    topics = [log.partition.topic for log in in_two()]
    return ListSource(logs, cycle([20]), on_poll=poll, endless=True, joined=topics)


def left_joined(world: World) -> list[tuple[str, str]]:
    """Stopped twice, with checkpoints that are lost then; what stood."""
    world.timer_every_s, world.every_s = 1.0, 3.0
    for _ in range(3):
        world.run(as_time_passes(world, in_two()), polls=12)
    stood = sorted(row[:2] for row in world.ask(STANDING.format(1)))
    assert len(stood) == 5
    world.ask("UPDATE outbox SET routed = 1")
    lose_checkpoints(world)
    world.anew = Anew.LOST
    return stood


TOLD_NOW = """
    SELECT task_id, transition, rule, symbol, number, body FROM outbox
    WHERE routed = 0 AND origin = 'detect' ORDER BY n
"""


@pytest.mark.parametrize("size", [1, 500])
def test_folded_again_a_joined_log_comes_to_its_timers_before_what_its_members_bring_next(
    size: int, tmp_path: Path
) -> None:
    begin = T0 + 100 * S
    logs = in_two()
    next_of = len(logs[0].records)
    logs[0].records += [
        Record(next_of + n, trade(begin + n * S, 100.0, 1.0, "B"), begin + n * S) for n in range(3)
    ]
    found = []
    for number, of in enumerate((7, size)):
        world = World(tmp_path / str(number), compile_plan(load_text(SILENCES)), of)
        stood = left_joined(world)
        (runner,) = world.run(as_time_passes(world, logs), polls=12).runners.values()
        told_now = world.ask(TOLD_NOW)
        assert all(row[0] == 2 and row[1] != "resolved" for row in told_now[:5])
        assert sorted(row[2:4] for row in told_now[:5]) == stood
        assert {row[:2] for row in told_now[5:10]} == {(1, "resolved")}, "only then those of before end"
        found.append((told_now, state_bytes(runner.task, tmp_path / "compared")))
    assert found[0] == found[1]


def test_folded_again_a_joined_log_waits_for_no_member_that_is_gone(tmp_path: Path) -> None:
    world = World(tmp_path / "store", compile_plan(load_text(SILENCES)))
    stood = left_joined(world)
    first, second = in_two()
    world.run(as_time_passes(world, [first, MemoryLog(second.partition, second.records[:9])]), polls=2)
    world.anew = Anew.NONE
    assert world.ask(TOLD_NOW) == []
    world.run(as_time_passes(world, [first]), polls=12)
    told_now = world.ask(TOLD_NOW)
    assert sorted(row[2:4] for row in told_now if row[0] == 2 and row[1] != "resolved") == stood
    assert sum(row[:2] == (1, "resolved") for row in told_now) == len(stood)


def test_models_anew_go_on_where_it_was_and_keep_what_is_owed(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    reach = left_at(world)
    database = open_store(str(world.store))
    StoreSilences(database).mute("big", until=1e12, now=0.0)
    database.close()
    world.ask("UPDATE outbox SET routed = 0 WHERE n = (SELECT max(n) FROM outbox)")
    owed = world.ask("SELECT alert_id, number FROM outbox WHERE routed = 0")
    lose_checkpoints(world)
    world.anew = Anew.MODELS
    world.run(source(first=reach - 5))
    assert world.ask(
        "SELECT m.incarnation, position FROM members m JOIN tasks ON id = task_id WHERE ended_at IS NULL"
    ) == [("t1~1", reach)]
    assert set(owed) <= set(world.ask("SELECT alert_id, number FROM outbox WHERE routed = 0"))
    assert world.ask("SELECT count(*) FROM silences WHERE ends_at > 1e11") == [(1,)]
    assert world.alerts()
    assert told(world, "log_gap") == []
    assert len(told(world, "detection_anew")) == 1


def test_models_anew_are_the_way_on_where_another_body_is_derived(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    left_at(world)
    changed = """
        UPDATE outbox SET body = CAST(replace(CAST(body AS TEXT), '"text":"', '"text":"!') AS BLOB)
        WHERE n = (SELECT n FROM outbox WHERE origin = 'detect' ORDER BY n DESC LIMIT 1)
    """
    world.ask(changed)
    with pytest.raises(TapewatchError, match=r"with another body.*run --models-anew"):
        world.run(source())
    world.anew = Anew.MODELS
    world.run(source())
    assert len(told(world, "detection_anew")) == 1


def test_alerts_that_were_pruned_are_not_raised_again_when_the_journal_is_followed(tmp_path: Path) -> None:
    world = World(tmp_path / "store", timer_every_s=None)
    world.run(source(), polls=2)
    world.every_s = 1e9
    world.killed(source(), 8)
    world.ask("UPDATE outbox SET routed = 1")
    journal_from = world.ask("SELECT max(json_extract(positions, '$[0]')) FROM checkpoints")[0][0]
    database = open_store(str(world.store))
    keep = Retention(alerts_s=1.0, decisions_s=1.0, deliveries_s=1.0)
    gone = Pruning(database, keep, world.time.s + 100).all()
    database.close()
    assert gone["alerts"] > 3
    left = world.alerts()
    settled = world.ask("SELECT settled FROM members")[0][0]
    assert settled > journal_from, "some of what the journal raises is gone"
    reach = max(last for _, kind, _, last, _ in world.journal() if kind == "batch") + 1
    world.run(source(upto=reach))
    assert world.alerts() == left, "neither raised again, nor taken for a fold that is not deterministic"
