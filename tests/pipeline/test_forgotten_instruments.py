"""Instruments beyond `max_instruments`: the longest unseen gives up its place, or the newcomer is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, S, quote, trade
from market_bytes import records as records_of
from pipeline_world import Crash, World, cycle, state_bytes
from test_crash_anywhere import Killer

from alerts.alert import rfc3339
from streamer.config.load import load_text
from streamer.decoding.formats import DecodeContext
from streamer.messages.notices import InstrumentsFull
from streamer.messages.outcome import Outcome
from streamer.messages.records import NO_TIME, Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan
from streamer.pipeline.state import restore, snapshot
from streamer.pipeline.task import Task, Timer

DAY = 86_400 * S
PLACES = 6
CONFIG = """
source:
  kafka: {{bootstrap: "127.0.0.1:1"}}
  topics: [{{match: "trades*", format: tapewatch, venue: here}}]
detectors:
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
    params: {{n_trees: 3, height: 4, window_size: 20, seed: 7}}
  forest:
    model: river.anomaly.HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s]
    params: {{n_trees: 2, height: 3, window_size: 20, seed: 7}}
  far: {{model: RobustZ, on: trade, features: [return_bps_10s]}}
rules:
  big: {{when: size > 8 * size_mean_1h, clear: 1s}}
  odd: {{when: tape.score > 0.7, clear: 1s, flap: 20s}}
  held: {{when: price > 0, on: trade, for: 3s, clear: 30d}}
  pulls: {{when: pulled_size_10s > 1, on: order, clear: 1s}}
  gaps: {{when: missing_events > 2 or spread_bps > 900 or fill_ratio_10s > 2 or trade_to_mid_bps > 9999}}
drift: {{watch: [spread_bps, tape.score, alert_rate], per_instrument: {each}}}
engine: {{flood: 5, max_instruments: {places}, forget_after: {after}, max_ahead: 10s}}
"""


@cache
def plan_of(after: str = "7d", places: int = PLACES, each: str = "true") -> Plan:
    return compile_plan(load_text(CONFIG.format(after=after, places=places, each=each)))


def folded(
    steps: Sequence[Record | Timer], plan: Plan, size: int = 10_000, put_away: frozenset[int] = frozenset()
) -> tuple[Task, list[Outcome]]:
    """Fold in batches of a size, beginning again from a snapshot before some of them."""
    feed = plan.feed(LOG.topic)
    assert feed is not None
    context = DecodeContext(LOG.topic, feed.venue)
    task, outcomes = Task(plan, LOG), list[Outcome]()
    waiting: list[Record] = []

    def flush() -> None:
        nonlocal task
        if waiting:
            if len(outcomes) in put_away:
                task = restore(plan, LOG, snapshot(task))
            outcomes.append(task.step(feed.format.decode(waiting, context)))
            waiting.clear()

    for step in steps:
        if isinstance(step, Timer):
            flush()
            outcomes.append(task.step(step))
            continue
        waiting.append(step)
        if len(waiting) == size:
            flush()
    flush()
    return task, outcomes


def seen(*events: tuple[str, float], since: int = T0, timed: bool = True) -> list[Record]:
    """A trade of each symbol, so many days after the beginning."""
    times = [since + int(days * DAY) for _, days in events]
    values = [(at, trade(at, 100.0, 1.0, name)) for at, (name, _) in zip(times, events, strict=True)]
    found = records_of(values)
    return found if timed else [Record(each.offset, each.value, int(NO_TIME)) for each in found]


def held(task: Task) -> list[str]:
    return [instrument.symbol for instrument in task.slots.instruments]


def told(outcomes: list[Outcome]) -> list[InstrumentsFull]:
    return [each for out in outcomes for each in out.notices if isinstance(each, InstrumentsFull)]


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [letter.reason for out in outcomes for letter in out.dead]


def test_the_longest_unseen_gives_up_its_place_once_it_was_unseen_for_a_week() -> None:
    plan = plan_of(places=3)
    early = [("A", 0), ("B", 0.1), ("C", 0.2), ("A", 0.3), ("C", 7.0), ("A", 7.0)]
    task, outcomes = folded(seen(*early, ("D", 7.09)), plan)
    assert (held(task), reasons(outcomes)) == (["A", "B", "C"], ["too_many_instruments"])
    task, outcomes = folded(seen(*early, ("D", 7.1), ("B", 7.2)), plan)
    assert held(task) == ["A", "D", "C"], "B was last heard before A, though it came after"
    assert reasons(outcomes) == ["too_many_instruments"], "and is a newcomer now itself"
    forgot, refused = told(outcomes)
    assert (forgot.forgot, forgot.newcomer) == (("here", "B"), ("here", "D"))
    assert (forgot.unseen_ns, forgot.forgotten, forgot.refused) == (7 * DAY, 1, 0)
    assert (refused.forgot, refused.newcomer, refused.refused) == (None, ("here", "B"), 1)


def test_never_is_a_choice() -> None:
    task, outcomes = folded(seen(("A", 0), ("B", 900)), plan_of("never", 1))
    assert (held(task), reasons(outcomes)) == (["A"], ["too_many_instruments"])


def test_junk_symbols_cannot_wipe_thin_instruments() -> None:
    thin = [(f"T{at}", at / 10) for at in range(PLACES)]
    junk = [(f"J{at}", 5 + at / 1_000) for at in range(1_500)]
    task, outcomes = folded(seen(*thin, *junk), plan_of())
    assert held(task) == [name for name, _ in thin]
    assert task.place_notices.refused == 1_500
    assert told(outcomes)[0].refused == 1, "when it begins"
    apart = {after.minute - before.minute for before, after in pairwise(told(outcomes))}
    assert apart <= {60, 61}, "and then once an hour: one is refused every 86 seconds"


def test_open_episodes_of_the_forgotten_resolve_with_the_reason_and_nobody_inherits_them() -> None:
    plan = plan_of(places=1)
    values = [(T0 + at * S, trade(T0 + at * S, 100.0, 1.0, "A")) for at in range(5)]
    later = T0 + 8 * DAY
    values += [(later + at * S, trade(later + at * S, 100.0, 1.0, "B")) for at in range(2)]
    _, outcomes = folded(records_of(values), plan)
    ends = [each for out in outcomes for each in out.transitions if each.transition == "resolved"]
    assert [(each.rule, each.instrument, each.offset) for each in ends] == [("held", ("here", "A"), 5)]
    body = json.loads(ends[0].body)
    assert body["text"].endswith("(over: it was unseen for 8d, and its place was needed for here B)")
    assert body["ts_event"] == rfc3339(later)
    whose = {each.instrument for out in outcomes for each in out.transitions}
    assert whose == {("here", "A")}, "B has not held for long enough"


@pytest.mark.parametrize("timed", [True, False])
def test_a_clock_that_lies_wipes_nobody(timed: bool) -> None:
    """A producer a month ahead brings instruments of its own; the others go on, and the lie is refuted."""
    usual = [(f"T{at % PLACES}", at / 100) for at in range(60)]
    lies = [(f"L{at}", 40 + at / 100_000) for at in range(40)]
    then = [(f"T{at % PLACES}", 0.6 + at / 100) for at in range(120)]
    task, _ = folded(seen(*usual, *lies, *then, timed=timed), plan_of())
    assert task.guard.counts["log_steps_back"] >= 1
    assert sum(name.startswith("T") for name in held(task)) >= PLACES - 5, "a handful at most, without proof"
    many = plan_of(places=60)
    usual = [(f"T{at % 60}", at / 1_000) for at in range(600)]
    task, _ = folded(seen(*usual, *lies, *then, timed=timed), many)
    assert sum(name.startswith("L") for name in held(task)) <= 5
    again = [(f"L{at}", 0.7 + at / 1_000) for at in range(40)]
    back = [(f"T{at}", 0.8 + at / 1_000) for at in range(60)]
    task, _ = folded(seen(*usual, *lies, *then, *again, *back, timed=timed), many)
    assert task.guard.watermark < T0 + DAY
    assert (task.guard.state()["own"][:, -2] <= task.guard.watermark).all(), "nobody was seen in the future"


def churn(count: int, seed: int, symbols: int = 60, gap_s: float = 6.0) -> list[Record | Timer]:
    """A market whose instruments come and go, a few at a time, each for some minutes; now and then a lie."""
    chance = random.Random(seed)
    steps: list[Record | Timer] = []
    now, number = T0, 0
    price = [100.0 + at for at in range(symbols)]
    for at in range(count):
        now += int(chance.expovariate(1 / (gap_s * S)))
        if chance.random() < 0.01:
            now += 200 * S
        at_work = int(at / count * symbols)
        which = min(max(at_work + int(chance.gauss(0, 2.5)), 0), symbols - 1)
        name = f"S{which}"
        ts = now + 600 * S if chance.random() < 0.004 else now - (30 * S if chance.random() < 0.03 else 0)
        price[which] *= 1 + chance.gauss(0, 3e-4)
        if chance.random() < 0.3:
            value = quote(ts, price[which] - 0.01, price[which] + 0.01 * (1 + chance.random()), name)
        else:
            size = chance.lognormvariate(0, 1) * (80 if chance.random() < 0.03 else 1)
            value = trade(ts, round(price[which], 4), size, name, sequence=at)
        steps.append(Record(at, value, int(NO_TIME) if chance.random() < 0.3 else ts // MS * MS))
        if chance.random() < 0.02:
            number += 1
            steps.append(Timer(number, now + 2 * S))
    return steps


def everything(outcomes: list[Outcome]) -> list[object]:
    transitions = [(t.alert_id, t.number, t.body, t.decision) for out in outcomes for t in out.transitions]
    notices = [notice for out in outcomes for notice in out.notices]
    dead = [letter for out in outcomes for letter in out.dead]
    missed = [(each.id, each.body) for out in outcomes for each in out.near_misses]
    scores: dict[str, list[object]] = {}
    for out in outcomes:
        for part in out.scores:
            names = [part.instruments[code] for code in part.instrument.tolist()]
            columns = (part.slot, part.offset, part.index, part.status)
            rows = zip(names, *(c.tolist() for c in columns), [v.hex() for v in part.score.tolist()],
                       [v.hex() for v in part.rarity.tolist()], strict=True)  # fmt: skip
            scores.setdefault(part.detector, []).extend(rows)
    return [transitions, notices, dead, missed, scores]


@pytest.mark.parametrize(
    ("each", "count", "symbols", "least"),
    [("true", 700, 16, 5), pytest.param("false", 5_200, 60, 40, marks=pytest.mark.long)],
)
def test_evictions_agree_to_the_bit_in_any_batches_and_through_checkpoints(
    each: str, count: int, symbols: int, least: int, tmp_path: Path
) -> None:
    plan, steps = plan_of("5m", each=each), churn(count, 9, symbols)
    whole, outcomes = folded(steps, plan, 5_000)
    assert whole.place_notices.forgotten > least
    assert whole.place_notices.refused > least
    ends = [t for out in outcomes for t in out.transitions if b'"kind": "forgotten"' in t.decision]
    assert len(ends) > least // 2
    expected, state = everything(outcomes), state_bytes(whole, tmp_path)
    chance = random.Random(3)
    for size in (1, 7, 500, 5_000):
        put_away = frozenset(chance.sample(range(count // size + 1), min(20, count // size + 1))) | {0, 3}
        task, found = folded(steps, plan, size, put_away)
        assert everything(found) == expected, size
        assert state_bytes(task, tmp_path) == state, size


def test_killed_and_recovered_evictions_are_those_of_a_run_left_alone(tmp_path: Path) -> None:
    log = MemoryLog(LOG, [step for step in churn(500, 4, 16) if isinstance(step, Record)])
    calm = World(tmp_path / "calm", plan_of("5m"), keep_all=True)
    calm.run(ListSource([log], cycle([40])))
    chance, kills = random.Random(5), 0
    world = World(tmp_path / "killed", plan_of("5m"))
    while True:
        killer = Killer(world, chance.randint(3, 15) if kills < 6 else -1)
        world.batch_size = chance.choice([1, 7, 50])
        try:
            world.run(ListSource([log], cycle([40]), killer.poll), clock=killer.clock, watch=killer.watch)
        except Crash:
            kills += 1
            continue
        break
    assert kills >= 4
    assert world.alerts() == calm.alerts()
    assert world.dead() == calm.dead()
    assert sorted(world.service_alerts()) == sorted(calm.service_alerts())
    assert [rule for rule, _ in calm.service_alerts()].count("instruments_full") == 2
    ends = {name: each.seen[-1].task for name, each in (("killed", world), ("calm", calm))}
    assert state_bytes(ends["killed"], tmp_path) == state_bytes(ends["calm"], tmp_path)
    assert ends["calm"].place_notices.forgotten > 3


def test_a_forgotten_slot_is_to_the_bit_as_one_never_used() -> None:
    """Every array with an entry for each slot, whichever part it is of: new parts are compared at once."""
    plan = plan_of("never", 8)
    steps = [step for step in churn(900, seed=6, symbols=8) if isinstance(step, Record)]
    used, _ = folded(steps, plan)
    blank = Task(plan, LOG)
    blank.slots.restore([tuple(instrument) for instrument in used.slots.instruments])
    blank.grow()
    before, n = snapshot(used), len(used.slots)
    used.forget(3)
    used.guard.forget(3)
    after, fresh = snapshot(used), snapshot(blank)
    compared = 0
    for name, array in after.arrays.items():
        if name.endswith(("|lengths", "|pickles", "|reasons")) or len(array) % n:
            continue
        rows, unused = array.reshape(n, -1), fresh.arrays[name].reshape(n, -1)
        if len(array) == len(fresh.arrays[name]):
            assert rows[3].tobytes() == unused[3].tobytes(), name
            compared += 1
            others = [slot for slot in range(n) if slot != 3]
            assert rows[others].tobytes() == before.arrays[name].reshape(n, -1)[others].tobytes(), name
    assert compared > 60
    assert all(3 not in alerts.open and 3 not in alerts.waiting for alerts in used.alerts)


def test_of_both_an_alert_an_hour_goes_out_with_counts_that_only_grow(tmp_path: Path) -> None:
    world = World(tmp_path / "store", plan_of(places=2))
    within_the_hour = [("D", 0.1), ("D", 0.13)]
    events = [("A", 0), ("B", 0), ("C", 0.1), *within_the_hour, ("C", 0.2), ("E", 8), ("F", 8), ("G", 8)]
    world.run(ListSource([MemoryLog(LOG, seen(*events))]))
    found = [json.loads(body) for rule, body in world.service_alerts() if rule == "instruments_full"]
    assert [(each["values"]["forgotten"], each["values"]["refused"]) for each in found] == [
        (0, 1), (0, 4), (1, 4), (2, 5),
    ]  # fmt: skip
    assert found[0]["text"] == (
        "trades[0]: all 2 places for instruments (engine.max_instruments) are taken, and none was unseen for "
        "engine.forget_after: events of here C are dead letters; "
        "1 event of further instruments refused so far"
    )
    assert found[2]["text"] == (
        "trades[0]: all 2 places for instruments (engine.max_instruments) are taken: here A, unseen for 8d, "
        "was forgotten for here E; 1 forgotten so far"
    )
    assert {each["severity"] for each in found} == {"warning"}
