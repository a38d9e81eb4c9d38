"""Times that lie: what a task makes of them, in any batches, over checkpoints and after a kill."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, S, trade
from pipeline_world import World, cycle, plan_of, state_bytes

from detectors.work_watch import NobodyWatches, watched_by
from streamer.decoding.formats import DecodeContext
from streamer.messages.outcome import Outcome, Transition
from streamer.messages.records import NO_TIME, Record
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import restore, snapshot
from streamer.pipeline.task import Task, Timer

RULES = """
  move: {when: abs(return_bps_10s) > 100bps, clear: 5s}
  big: {when: size > 8 * size_mean_1h, clear: 1s, severity: info}
  held: {when: price > 99.5, for: 3s, clear: 8s, severity: info}
"""
PLAN = plan_of(RULES)
HOUR = 3_600 * S
SYMBOLS = ("BTC", "ETH", "SOL")


def market(seconds: int, *, timed: bool = True) -> list[Record]:
    """Six trades a second of three instruments; a big one each 20 s, and BTC falls by 492 bps at 400 s."""
    found = []
    for number in range(6 * seconds):
        now, symbol = T0 + number * S // 6, SYMBOLS[number % 3]
        price = 95.08 if symbol == "BTC" and now >= T0 + 400 * S else 100.0
        size = 50.0 if number % 120 == 60 else 1.0
        found.append(
            Record(number, trade(now, price, size, symbol), now // MS * MS if timed else int(NO_TIME))
        )
    return found


def with_lie(records: Sequence[Record], at: int, ahead_ns: int, price: float = 130.0) -> list[Record]:
    """The same, where one trade more, of BTC, is dated ahead: by its record, too, if records have times."""
    timed = records[0].timestamp != NO_TIME
    event = json.loads(records[at].value or b"")
    ts = event["ts_event"] + ahead_ns
    lie = Record(0, trade(ts, price, 1.0, "BTC"), ts // MS * MS if timed else int(NO_TIME))
    return [replace(record, offset=n) for n, record in enumerate([*records[:at], lie, *records[at:]])]


def fold(
    records: Sequence[Record | Timer], size: int = 500, plan: Plan = PLAN, put_away: bool = False
) -> tuple[Task, list[Outcome]]:
    task, outcomes, waiting = Task(plan, LOG), list[Outcome](), list[Record]()
    feed = plan.feed(LOG.topic)
    assert feed is not None
    for at, each in enumerate(records):
        if isinstance(each, Record):
            waiting.append(each)
        due = len(waiting) >= size or isinstance(each, Timer) or at + 1 == len(records)
        if waiting and due:
            outcomes.append(task.step(feed.format.decode(waiting, DecodeContext(LOG.topic, feed.venue))))
            waiting = []
            if put_away:
                task = restore(plan, LOG, snapshot(task))
        if isinstance(each, Timer):
            outcomes.append(task.step(each))
    return task, outcomes


def transitions(outcomes: Sequence[Outcome], rule: str | None = None) -> list[Transition]:
    return [each for out in outcomes for each in out.transitions if rule in (None, each.rule)]


def fired(outcomes: Sequence[Outcome], rule: str) -> list[float]:
    """When a rule fired, in seconds of the market."""
    found = transitions(outcomes, rule)
    return [(each.ts_event_ns - T0) / S for each in found if each.transition == "fired"]


def test_a_trade_dated_an_hour_ahead_blinds_nobody_and_its_alert_ends() -> None:
    task, outcomes = fold(with_lie(market(500), 600, HOUR))
    assert task.late < 10
    move = transitions(outcomes, "move")
    false, real = move[:2], move[2:]
    assert [each.transition for each in false] == ["fired", "resolved"]
    assert false[0].ts_event_ns == T0 + 100 * S + HOUR
    over = json.loads(false[1].body)
    assert over["text"].endswith("(over: its clock was wrong: its times went back by 60m)")
    assert (false[1].ts_event_ns - T0) / S == pytest.approx(101.5, abs=1)
    assert over["source"]["offset"] == false[1].offset == 607
    assert [each.transition for each in real][:1] == ["fired"], "the fall that was missed"
    assert (real[0].ts_event_ns - T0) / S == 400
    (notice,) = (each for out in outcomes for each in out.notices)
    assert task.guard.counts == {"instrument_steps_back": 1, "log_steps_back": 1, "far_off": 0}
    assert notice.offset == 607  # type: ignore[union-attr]


@pytest.mark.parametrize("ahead_s", [3_600, 12 * 365 * 86_400])
def test_an_event_of_the_future_in_a_file_takes_no_alerts_from_it(ahead_s: int) -> None:
    records = market(500, timed=False)
    _, honest = fold(records)
    task, lied = fold(with_lie(records, 600, ahead_s * S, price=100.0))
    assert len(fired(honest, "big")) > 20
    assert fired(lied, "big") == fired(honest, "big")
    assert fired(lied, "move") == fired(honest, "move")
    assert task.late < 10


def test_a_clock_set_back_at_the_end_of_daylight_saving_is_followed() -> None:
    honest = market(800, timed=False)
    there, again = honest[:2_400], honest[2_400:]
    back = [
        replace(each, value=trade(json.loads(each.value or b"")["ts_event"] - HOUR, 100.0, size, symbol))
        for each in again
        for event in [json.loads(each.value or b"")]
        for size, symbol in [(event["size"], event["symbol"])]
    ]
    task, outcomes = fold([*there, *back])
    assert task.late < 6 * 70
    assert task.guard.counts["log_steps_back"] == 1
    assert task.guard.counts["instrument_steps_back"] == 3
    after = [at for at in fired(outcomes, "big") if at < 0]
    assert len(after) >= 15, "of the twenty in 400 s"


LIES = with_lie(with_lie(with_lie(market(260), 1_400, 2 * HOUR), 600, HOUR), 500, 365 * 24 * HOUR)
TIMERS = [Timer(1, T0 + 90 * S), Timer(2, T0 + 240 * S)]
WITH_TIMERS: list[Record | Timer] = [*LIES[:540], TIMERS[0], *LIES[540:1_440], TIMERS[1], *LIES[1_440:]]


def told(outcomes: Sequence[Outcome]) -> list[object]:
    found: list[object] = [(t.alert_id, t.number, t.body, t.decision) for t in transitions(outcomes)]
    return [*found, *(notice for out in outcomes for notice in out.notices)]


def scores(outcomes: Sequence[Outcome]) -> list[tuple[str, bytes, bytes]]:
    by_name: dict[str, list[tuple[str, bytes, bytes]]] = {}
    for out in outcomes:
        for part in out.scores:
            rows = zip(part.offset.tolist(), part.score, part.rarity, strict=True)
            by_name.setdefault(part.detector, []).extend(
                (f"{offset}", score.tobytes(), rarity.tobytes()) for offset, score, rarity in rows
            )
    return [each for name in sorted(by_name) for each in by_name[name]]


def test_batches_and_checkpoints_change_no_bit_where_clocks_are_set_back(tmp_path: Path) -> None:
    whole, outcomes = fold(WITH_TIMERS, 5_000)
    assert whole.guard.counts["log_steps_back"] == 3
    assert len([each for out in outcomes for each in out.notices]) == 3
    # 501, 506 and 607 end batches right at the lies, at what refutes them, and at the steps back
    for size in (1, 7, 500, 501, 506, 607):
        for put_away in (False, True) if size > 1 else (False,):
            task, cut = fold(WITH_TIMERS, size, put_away=put_away)
            assert told(cut) == told(outcomes)
            assert scores(cut) == scores(outcomes)
            assert state_bytes(task, tmp_path / "cut") == state_bytes(whole, tmp_path / "whole")


def test_killed_anywhere_and_recovered_in_other_batches_raises_the_same(tmp_path: Path) -> None:
    def world(name: str, batch_size: int) -> World:
        return World(tmp_path / name, plan=PLAN, batch_size=batch_size, every_s=1e9)

    log = MemoryLog(LOG, LIES)
    smooth = world("smooth", 50)
    smooth.run(ListSource([log], cycle([100])))
    rule = "SELECT alert_id, body FROM outbox WHERE origin = 'service' ORDER BY alert_id"
    assert len(smooth.ask(rule)) == 3
    killed = world("killed", 7)
    for polls, batch_size in ((7, 1), (4, 500), (9, 7)):
        killed.killed(ListSource([log], cycle([100])), polls)
        killed.batch_size = batch_size
    killed.run(ListSource([log], cycle([77])))
    assert killed.alerts() == smooth.alerts()
    assert killed.ask(rule) == smooth.ask(rule)
    assert b"the clock of here BTC was wrong: it stood at " in smooth.ask(rule)[0][1]


def test_more_clocks_than_a_few_in_a_minute_are_told_as_one() -> None:
    symbols = [f"S{number}" for number in range(40)]
    plan = plan_of(RULES, max_instruments=100)
    values = []
    for second in range(10):
        values += [(T0 + second * S, trade(T0 + second * S, 100.0, 1.0, symbol)) for symbol in symbols]
    ahead = T0 + HOUR
    values += [(ahead, trade(ahead, 100.0, 1.0, symbol)) for symbol in symbols[:30]]
    for second in range(10, 13):
        values += [
            (T0 + second * S, trade(T0 + second * S, 100.0, 1.0, symbol)) for symbol in reversed(symbols)
        ]
    found = [Record(at, value, ts // MS * MS) for at, (ts, value) in enumerate(values)]
    task, outcomes = fold(found, plan=plan)
    assert task.guard.counts["instrument_steps_back"] == 30
    kinds = [type(notice).__name__ for out in outcomes for notice in out.notices]
    assert kinds == ["ClockSetBack"] * 10 + ["MoreClocksSetBack"], "all are set back to the same minute"
    _, one_by_one = fold(found, 1, plan=plan)
    assert told(one_by_one) == told(outcomes)


def test_lies_at_random_distances_are_no_more_than_a_few_alerts_in_a_minute() -> None:
    chance, found = random.Random(1), list[Record]()
    for number in range(1_200):
        now = T0 + number * S // 20
        ts = now + chance.randrange(2, 5_000) * 60 * S if number % 6 == 5 else now
        found.append(Record(number, trade(ts, 100.0, 1.0, "BTC"), ts // MS * MS))
    task, outcomes = fold(found, plan=plan_of(RULES, ""))
    assert task.guard.counts["instrument_steps_back"] > 100
    minutes = {(T0 + second * S) // (60 * S) for second in (0, 60)}
    assert len([notice for out in outcomes for notice in out.notices]) <= 11 * len(minutes)


@pytest.mark.parametrize("size", [1, 500])
def test_notices_come_in_the_order_of_events_in_any_batches(size: int) -> None:
    found = []
    for number in range(40):
        now = T0 + number * S
        ts = now + HOUR if number == 10 else now - 3 * 365 * 24 * HOUR if number == 30 else now
        found.append(Record(number, trade(ts, 100.0), max(ts, now) // MS * MS))
    _, outcomes = fold(found, size, plan=plan_of(RULES, ""))
    kinds = [type(notice).__name__ for out in outcomes for notice in out.notices]
    assert kinds == ["ClockSetBack", "FarOffTime"]


class Marks(NobodyWatches):
    """Counts pieces of work that are finished."""

    def __init__(self) -> None:
        self.count = 0

    def mark(self) -> None:
        self.count += 1


def test_a_batch_in_which_many_clocks_are_set_back_is_no_hanging_detector() -> None:
    symbols = [f"S{number}" for number in range(40)]
    times = [(T0 + second * S, symbol) for second in range(10) for symbol in symbols]
    times += [(T0 + HOUR, symbol) for symbol in symbols[:30]]
    times += [(T0 + second * S, symbol) for second in (10, 11) for symbol in reversed(symbols)]
    values = [(ts, trade(ts, 100.0, 1.0, symbol)) for ts, symbol in times]
    found = [Record(at, value, ts // MS * MS) for at, (ts, value) in enumerate(values)]
    with watched_by(marks := Marks()):
        task, _ = fold(found, plan=plan_of(RULES, "", max_instruments=100))
    assert task.guard.counts["instrument_steps_back"] == 30
    assert marks.count > 30, "each part that is folded is one"
